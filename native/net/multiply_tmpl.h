/* The matrix products of convolutions, a block of tiles at a time. */
#ifndef CVSR_NET_MULTIPLY_H
#define CVSR_NET_MULTIPLY_H

#include "transforms_tmpl.h"

/* Tiles multiplied at once: as many as there are registers for their sums, so fewer where outputs are two registers wide. With
 * 16, rows of 80 tiles (320 pixels) divide without remainder. */
#if LANES == 16
#define AT_ONCE      16
#define WIDE_AT_ONCE 8
#define FOR_ALL(DO) \
    DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
#else
#define AT_ONCE      6
#define WIDE_AT_ONCE 6
#define FOR_ALL(DO)  DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#endif
enum { BLOCK = LANES == 16 ? AT_ONCE : 4 * AT_ONCE, WIDE = 2 * LANES };

/* A group of 16 channels of one input. */
typedef struct {
    const float *data;
    size_t stride;  /* floats from pixel to pixel */
    int32_t number; /* index among the groups of all inputs, absent ones included */
} source;

/* Lists the groups of the inputs that are present and returns their number; `total` counts the absent ones too. */
static int32_t sources_of(const cvsr_conv *conv, source *sources, int32_t *total)
{
    int32_t count = 0;
    *total = 0;
    for (int32_t i = 0; i < CVSR_MAX_INPUTS; i++) {
        const int32_t channels = conv->input_channels[i];
        for (int32_t c = 0; c < channels; c += GROUP, ++*total)
            if (conv->inputs[i])
                sources[count++] = (source){conv->inputs[i] + c, (size_t)channels, *total};
    }
    return count;
}

/* Writes the sums over input channels of `from` (groups, BLOCK, 16) times `factors` to `to` (tiles, output channels), rows
 * `step` apart: two registers of output channels of WIDE_AT_ONCE tiles if `wide`, else one register of AT_ONCE tiles. A row of
 * `factors` holds the output channels of one input channel. */
#define IS_USED(t) (!wide || (t) < WIDE_AT_ONCE)
#define BEGIN(t)   lanes low##t = {0}, high##t = {0};
#define END(t)                                \
    if (IS_USED(t)) {                         \
        STORE(lanes, to + (t) * step, low##t); \
        if (wide)                              \
            STORE(lanes, to + (t) * step + LANES, high##t); \
    }

INLINE void multiply(const float *from, const float *factors, const source *sources, int32_t count, float *to,
                     size_t step, const int wide)
{
    const size_t width = wide ? WIDE : LANES;
#define ADD(t)                                              \
    if (IS_USED(t)) {                                      \
        const lanes x = from[(t) * GROUP + k] - (lanes){0}; \
        low##t += x * a;                                    \
        if (wide)                                           \
            high##t += x * b;                               \
    }
    FOR_ALL(BEGIN)
    for (int32_t c = 0; c < count; c++, from += BLOCK * GROUP) {
        const float *row = factors + (size_t)sources[c].number * GROUP * width;
        for (int k = 0; k < GROUP; k++, row += width) {
            const lanes a = LOAD(lanes, row), b = LOAD(lanes, row + (wide ? LANES : 0));
            FOR_ALL(ADD)
        }
    }
    FOR_ALL(END)
#undef ADD
}

/* The same with products of bfloat16: input channels come in pairs, and so do the factors of each output channel. */
INLINE void multiply_bf16(const uint16_t *from, const uint16_t *factors, const source *sources, int32_t count,
                            float *to, size_t step, const int wide)
{
    const size_t width = 2 * (wide ? WIDE : LANES); /* values in a row of pairs */
#define ADD(t)                                                         \
    if (IS_USED(t)) {                                                 \
        low##t = add_pairs(low##t, from + (t) * GROUP + k, a);         \
        if (wide)                                                      \
            high##t = add_pairs(high##t, from + (t) * GROUP + k, b);   \
    }
    FOR_ALL(BEGIN)
    for (int32_t c = 0; c < count; c++, from += BLOCK * GROUP) {
        const uint16_t *row = factors + (size_t)sources[c].number * GROUP / 2 * width;
        for (int k = 0; k < GROUP; k += 2, row += width) {
            const lane_bits a = LOAD(lane_bits, row), b = LOAD(lane_bits, row + (wide ? 2 * LANES : 0));
            FOR_ALL(ADD)
        }
    }
    FOR_ALL(END)
#undef ADD
}
#undef IS_USED
#undef BEGIN
#undef END

/* Multiplies point `point` of `points` of a block: `from` (groups, BLOCK, 16) as float or bfloat16, `to` (tiles,
 * output_channels). The packed weights are ordered by pair of registers of output channels, point and input channel. */
INLINE void multiply_point(const cvsr_conv *conv, const source *sources, int32_t count, int32_t total, int32_t point,
                           int32_t points, int32_t tiles, const void *from, float *to, const int is_bf16)
{
    const size_t channels = (size_t)conv->output_channels, rows = (size_t)total * GROUP;
    for (size_t o = 0; o < channels; o += WIDE) {
        const size_t width = channels - o < WIDE ? channels - o : WIDE;
        const size_t begin = (o * (size_t)points + width * (size_t)point) * rows;
        for (int32_t t = 0; t < tiles; t += width > LANES ? WIDE_AT_ONCE : AT_ONCE) {
            float *sums = to + (size_t)t * channels + o;
            const size_t at = (size_t)t * GROUP;
            if (is_bf16) {
                const uint16_t *factors = (const uint16_t *)conv->weights + begin;
                const uint16_t *values = (const uint16_t *)from + at;
                if (width > LANES)
                    multiply_bf16(values, factors, sources, count, sums, channels, 1);
                else
                    multiply_bf16(values, factors, sources, count, sums, channels, 0);
            } else {
                const float *factors = (const float *)conv->weights + begin;
                const float *values = (const float *)from + at;
                if (width > LANES)
                    multiply(values, factors, sources, count, sums, channels, 1);
                else
                    multiply(values, factors, sources, count, sums, channels, 0);
            }
        }
    }
}

#endif
