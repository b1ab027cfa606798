/* What the parts of the network library share: vectors as wide as the way they are compiled for, and their names. */
#ifndef CVSR_NET_LANES_H
#define CVSR_NET_LANES_H

#include "cvsr_net.h"

/* The same sources are compiled once for every way of computing. */
#ifndef CVSR_WAY
#define CVSR_WAY plain
#endif
#define CVSR_JOIN_(a, b) a##_##b
#define CVSR_JOIN(a, b) CVSR_JOIN_(a, b)
#define OF_THIS_WAY(name) CVSR_JOIN(name, CVSR_WAY)

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

#define INLINE static inline __attribute__((always_inline))

/* A register of floats; loads and stores need no alignment. */
typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t lane_bits __attribute__((vector_size(4 * LANES)));
typedef float loose_lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float four __attribute__((vector_size(16)));
typedef float loose_four __attribute__((vector_size(16), aligned(4), may_alias));
/* Sixteen values, whatever the width of registers is. */
typedef float sixteen __attribute__((vector_size(64)));
typedef float loose_sixteen __attribute__((vector_size(64), aligned(4), may_alias));

#define LOAD(type, from) (*(const loose_##type *)(from))
#define STORE(type, to, value) (*(loose_##type *)(to) = (value))

/* One way of computing: what cvsr_net.c chooses from. */
typedef struct {
  size_t (*scratch_bytes)(int32_t, int32_t);
  void (*pack)(const float *, int32_t, int32_t, int32_t, float *);
  void (*conv3x3)(const cvsr_conv *, int32_t, int32_t, float *);
  void (*conv1x1)(const cvsr_conv *, int32_t, int32_t, float *);
  void (*warp)(const float *, const float *, const float *, float *, int32_t, int32_t, int32_t, int32_t, int32_t);
  void (*flow_input)(const cvsr_picture *, const cvsr_picture *, const float *, float *, float *, int32_t, int32_t,
                     int32_t, int32_t);
  void (*look)(const cvsr_look *, int32_t, int32_t);
  void (*finish)(const cvsr_picture *, const float *, uint8_t *, float *, int32_t, int32_t, int32_t, int32_t);
} cvsr_way;

#endif
