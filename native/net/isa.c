/* The functions of one instruction set: this file is compiled once for each; see isa.h. */
#include "isa.h"

#include "conv_tmpl.h"
#include "finish_tmpl.h"
#include "gather_tmpl.h"
#include "load_tmpl.h"
#include "sample_tmpl.h"
#include "shrink_tmpl.h"
#include "weights_tmpl.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b)  JOIN_(a, b)

/* Turns a function over a rectangle of pixels into one over the tiles of a row. */
#define OVER_TILES(name, type)                                                                         \
    static void name##_tiles(const void *params, int32_t row, const uint8_t *tiles, float *scratch)     \
    {                                                                                                   \
        const type *typed = params;                                                                     \
        const int32_t first = row * CVSR_TILE, last = min_int(first + CVSR_TILE, typed->height);         \
        (void)scratch;                                                                                  \
        span part = {0, 0};                                                                             \
        while (next_span(tiles, typed->width, &part))                                                   \
            name(typed, first, last, part.begin, part.end);                                             \
    }
OVER_TILES(warp, cvsr_warp)
OVER_TILES(flow_input, cvsr_flow_input)
OVER_TILES(flow_output, cvsr_flow_output)
OVER_TILES(gather, cvsr_gather)
OVER_TILES(to_bf16, cvsr_convert)
OVER_TILES(from_bf16, cvsr_convert)
OVER_TILES(copy, cvsr_copy)

static void finish_tiles(const void *params, int32_t row, const uint8_t *tiles, float *scratch)
{
    const cvsr_finish *typed = params;
    const int32_t first = row * CVSR_TILE, last = min_int(first + CVSR_TILE, typed->height);
    span part = {0, 0};
    while (next_span(tiles, typed->width, &part)) {
        if (typed->scale == SCALE)
            finish(typed, first, last, part.begin, part.end);
        else
            finish_shrunk(typed, first, last, part.begin, part.end, scratch);
    }
}

static void load_tiles(const void *params, int32_t row, const uint8_t *tiles, float *scratch)
{
    const cvsr_load *typed = params;
    (void)tiles;
    (void)scratch;
    load(typed, row * CVSR_TILE, min_int((row + 1) * CVSR_TILE, typed->height));
}

const cvsr_isa JOIN(cvsr_net, CVSR_ISA) = {
    scratch_bytes,
    finish_bytes,
    pack,
    {
        [CVSR_CONV3X3] = conv3x3,
        [CVSR_CONV3X3_BF16] = conv3x3_bf16,
        [CVSR_CONV1X1] = conv1x1,
        [CVSR_LOAD] = load_tiles,
        [CVSR_WARP] = warp_tiles,
        [CVSR_FLOW_INPUT] = flow_input_tiles,
        [CVSR_FLOW_OUTPUT] = flow_output_tiles,
        [CVSR_GATHER] = gather_tiles,
        [CVSR_TO_BF16] = to_bf16_tiles,
        [CVSR_FROM_BF16] = from_bf16_tiles,
        [CVSR_FINISH] = finish_tiles,
        [CVSR_COPY] = copy_tiles,
    },
    gradient_scratch_bytes,
    weight_gradient,
};
