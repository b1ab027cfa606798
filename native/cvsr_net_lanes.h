/* Vectors as wide as the way of computing that the parts of the network library are compiled for. */
#ifndef CVSR_NET_LANES_H
#define CVSR_NET_LANES_H

#include "cvsr_net.h"

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
typedef int32_t sixteen_bits __attribute__((vector_size(64)));
typedef uint8_t sixteen_bytes __attribute__((vector_size(16)));
typedef float loose_sixteen __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint8_t loose_sixteen_bytes __attribute__((vector_size(16), aligned(1), may_alias));

#define LOAD(type, from)       (*(const loose_##type *)(from))
#define STORE(type, to, value) (*(loose_##type *)(to) = (value))

/* `a` where `which` is all ones, `b` where it is 0. */
INLINE sixteen choose(sixteen_bits which, sixteen a, sixteen b)
{
    return (sixteen)((which & (sixteen_bits)a) | (~which & (sixteen_bits)b));
}

/* The nearest value within bounds; the lower one for NaN. */
INLINE sixteen all_within(sixteen value, float low, float high)
{
    const sixteen bottom = low - (sixteen){0}, top = high - (sixteen){0};
    value = choose(value > bottom, value, bottom);
    return choose(value < top, value, top);
}

/* To whole numbers, halves to even ones; for values less than 2^22. */
INLINE sixteen rounded(sixteen value)
{
    return value + 12582912.0f - 12582912.0f;
}

#endif
