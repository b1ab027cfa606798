/* Ways of computing: the same functions, compiled once for every instruction set. */
#ifndef CVSR_NET_WAY_H
#define CVSR_NET_WAY_H

#include "cvsr_net.h"

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

extern const cvsr_way cvsr_net_plain, cvsr_net_avx2, cvsr_net_avx512;

#endif
