/* Ways of computing: the same functions, compiled once for every instruction set. */
#ifndef CVSR_NET_WAY_H
#define CVSR_NET_WAY_H

#include "cvsr_net.h"

typedef struct {
    size_t (*scratch_bytes)(int32_t, int32_t);
    void (*pack)(const float *, int32_t, int32_t, int32_t, void *);
    /* By kind: the record, rows of tiles from the first to the one after the last, scratch memory. */
    void (*steps[CVSR_KINDS])(const void *, int32_t, int32_t, float *);
} cvsr_way;

extern const cvsr_way cvsr_net_plain, cvsr_net_avx2, cvsr_net_avx512, cvsr_net_avx512bf16;

#endif
