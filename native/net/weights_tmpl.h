/* The gradient of the weights of a 3x3 convolution, from the same transforms as the convolution (conv_tmpl.h).
 *
 * The algorithm's output is A' [(G g G') * (B' d B)] A for weights g and pixels d, so its gradient for g is
 * G' [(A y A') * (B' d B)] G for a gradient y of the output. This adds up the bracket over all tiles. */
#ifndef CVSR_NET_WEIGHTS_H
#define CVSR_NET_WEIGHTS_H

#include "conv_tmpl.h"

enum {
    STRIP = 48,                 /* tiles transformed before they are multiplied */
    REGISTERS = GROUP / LANES,  /* of 16 input channels */
    DOWN = LANES == 16 ? 8 : 4, /* output channels multiplied at once: as many as there are registers for */
};

/* One row or column of the transform of a gradient: 4 values to 6 points, `step` apart. */
INLINE void spread(lanes y0, lanes y1, lanes y2, lanes y3, float *to, size_t step)
{
    const lanes evens = y0 + y2, odds = y1 + y3, far_evens = y0 + 4 * y2, far_odds = 2 * y1 + 8 * y3;
    STORE(lanes, to, y0);
    STORE(lanes, to + step, evens + odds);
    STORE(lanes, to + 2 * step, evens - odds);
    STORE(lanes, to + 3 * step, far_evens + far_odds);
    STORE(lanes, to + 4 * step, far_evens - far_odds);
    STORE(lanes, to + 5 * step, y3);
}

/* Transforms 4x4 pixels of 16 channels of a gradient to 36 points. Strides: `row` and `pixel` for the input, `step` between
 * points. */
INLINE void gradient_to_points(const float *from, size_t row, size_t pixel, float *to, size_t step)
{
    for (int c = 0; c < GROUP; c += LANES, from += LANES, to += LANES) {
        float columns[PATCH * TILE * LANES];
        for (int x = 0; x < TILE; x++) {
            const float *y = from + (size_t)x * pixel;
            spread(LOAD(lanes, y), LOAD(lanes, y + row), LOAD(lanes, y + 2 * row), LOAD(lanes, y + 3 * row),
                   columns + x * LANES, TILE * LANES);
        }
        for (int y = 0; y < PATCH; y++) {
            const float *line = columns + y * TILE * LANES;
            spread(LOAD(lanes, line), LOAD(lanes, line + LANES), LOAD(lanes, line + 2 * LANES),
                   LOAD(lanes, line + 3 * LANES), to + (size_t)y * PATCH * step, step);
        }
    }
}

/* Transforms 16 channels, from `channel` on, of a tile of the gradient; pixels beyond the picture are zero. */
INLINE void load_gradient(const cvsr_weight_gradient *work, size_t channel, int32_t tile_row, int32_t tile_column, float *to,
                          size_t step, float *patch)
{
    const size_t pixel = (size_t)work->output_channels, line = (size_t)work->width * pixel;
    const int32_t y0 = tile_row * TILE, x0 = tile_column * TILE;
    const int rows = min_int(work->height - y0, TILE), columns = min_int(work->width - x0, TILE);
    const float *from = work->gradient + (size_t)y0 * line + (size_t)x0 * pixel + channel;
    if (rows == TILE && columns == TILE) {
        gradient_to_points(from, line, pixel, to, step);
        return;
    }
    memset(patch, 0, TILE * TILE * GROUP * sizeof(float));
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++)
            memcpy(patch + (y * TILE + x) * GROUP, from + (size_t)y * line + (size_t)x * pixel, GROUP * sizeof(float));
    gradient_to_points(patch, TILE * GROUP, GROUP, to, step);
}

/* Adds to `sums` (output channels, input channels), for DOWN output and 16 input channels, the sum over tiles of `wanted`
 * (tiles, output channels) times `values` (tiles, input channels). */
INLINE void add_products(const float *wanted, size_t outputs, const float *values, size_t inputs, int32_t tiles, float *sums)
{
    lanes total[DOWN][REGISTERS];
    for (int o = 0; o < DOWN; o++)
        for (int c = 0; c < REGISTERS; c++)
            total[o][c] = LOAD(lanes, sums + (size_t)o * inputs + c * LANES);
    for (int32_t t = 0; t < tiles; t++, wanted += outputs, values += inputs) {
        lanes value[REGISTERS];
        for (int c = 0; c < REGISTERS; c++)
            value[c] = LOAD(lanes, values + c * LANES);
        for (int o = 0; o < DOWN; o++) {
            const lanes factor = wanted[o] - (lanes){0};
            for (int c = 0; c < REGISTERS; c++)
                total[o][c] += factor * value[c];
        }
    }
    for (int o = 0; o < DOWN; o++)
        for (int c = 0; c < REGISTERS; c++)
            STORE(lanes, sums + (size_t)o * inputs + c * LANES, total[o][c]);
}

/* Floats between the points of a strip; one cache line of padding, else all points map to the same few cache lines. */
static size_t strip_step(int32_t channels)
{
    return (size_t)STRIP * (size_t)channels + GROUP;
}

static size_t gradient_scratch_bytes(int32_t input_channels, int32_t output_channels)
{
    return POINTS * (strip_step(input_channels) + strip_step(output_channels) + GROUP) * sizeof(float);
}

static void weight_gradient(const cvsr_weight_gradient *work, float *scratch)
{
    const cvsr_conv picture = {.height = work->height, .width = work->width};
    const size_t inputs = (size_t)work->input_channels, outputs = (size_t)work->output_channels;
    const size_t value_step = strip_step(work->input_channels), wanted_step = strip_step(work->output_channels);
    const int32_t columns = (work->width + TILE - 1) / TILE;
    const int64_t end = (int64_t)columns * ((work->height + TILE - 1) / TILE);
    float *patch = scratch, *values = scratch + POINTS * GROUP, *wanted = values + POINTS * value_step;
    for (int64_t begin = 0; begin < end; begin += STRIP) {
        const int32_t tiles = end - begin < STRIP ? (int32_t)(end - begin) : STRIP;
        for (int32_t t = 0; t < tiles; t++) {
            const int32_t row = (int32_t)((begin + t) / columns), column = (int32_t)((begin + t) % columns);
            for (size_t c = 0; c < inputs; c += GROUP) {
                const source from = {work->input + c, inputs, 0};
                load_tile(&picture, &from, row, column, values, (size_t)t * inputs + c, value_step, patch, 0);
            }
            for (size_t o = 0; o < outputs; o += GROUP)
                load_gradient(work, o, row, column, wanted + (size_t)t * outputs + o, wanted_step, patch);
        }
        for (size_t p = 0; p < POINTS; p++) {
            float *sums = work->points + p * outputs * inputs;
            for (size_t o = 0; o < outputs; o += DOWN)
                for (size_t c = 0; c < inputs; c += GROUP)
                    add_products(wanted + p * wanted_step + o, outputs, values + p * value_step + c, inputs, tiles,
                                 sums + o * inputs + c);
        }
    }
}

#endif
