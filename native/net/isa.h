/* Dispatch by instruction set.
 *
 * isa.c includes every *_tmpl.h and is compiled once per instruction set (plain, avx2, avx512, avx512bf16; see
 * native/CMakeLists.txt), with that set's compiler flags and CVSR_ISA set to its name. Each compilation defines one table of
 * functions, cvsr_net_<name>. net.c picks the table of the best set that the processor has and calls through it. */
#ifndef CVSR_NET_ISA_H
#define CVSR_NET_ISA_H

#include "cvsr_net.h"

typedef struct {
    size_t (*scratch_bytes)(int32_t input_channels, int32_t output_channels);
    size_t (*finish_bytes)(int32_t width, int32_t scale);
    void (*pack)(const float *weights, int32_t input_channels, int32_t output_channels, int32_t kind, void *packed);
    /* By kind: computes row `row` of tiles of a step with these parameters; of tiles with 0 in `tiles` nothing, NULL for all. */
    void (*steps[CVSR_KINDS])(const void *params, int32_t row, const uint8_t *tiles, float *scratch);
    size_t (*gradient_scratch_bytes)(int32_t input_channels, int32_t output_channels);
    void (*weight_gradient)(const cvsr_weight_gradient *work, float *scratch);
} cvsr_isa;

extern const cvsr_isa cvsr_net_plain, cvsr_net_avx2, cvsr_net_avx512, cvsr_net_avx512bf16;

#endif
