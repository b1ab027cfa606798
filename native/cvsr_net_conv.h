/* Convolutions of 3x3 pixels by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast algorithms for convolutional
 * neural networks", CVPR 2016), and of 1x1: 36 multiplications instead of 144 for 4x4 pixels.
 *
 * A block of 14 or so tiles is transformed, multiplied and transformed back before the next begins, so that everything but the
 * picture itself stays in the second-level cache. */
#ifndef CVSR_NET_CONV_H
#define CVSR_NET_CONV_H

#include <string.h>

#include "cvsr_net_lanes.h"

enum { TILE = CVSR_TILE, PATCH = TILE + 2, POINTS = PATCH * PATCH, GROUP = CVSR_GROUP };

/* So many tiles are multiplied at once: two registers of sums for each, and as many again as fit for factors. */
#if LANES == 16
#define AT_ONCE     14
#define FOR_ALL(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13)
#else
#define AT_ONCE     6
#define FOR_ALL(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#endif
enum { BLOCK = LANES == 16 ? AT_ONCE : 4 * AT_ONCE, WIDE = 2 * LANES };

/* 16 channels of one input, as the convolution goes through them. */
typedef struct {
    const float *data;
    size_t stride;  /* of a pixel */
    int32_t number; /* among all channels' groups, absent inputs' included */
} source;

static int32_t sources_of(const cvsr_conv *conv, source *sources, int32_t *total)
{
    int32_t count = 0;
    *total = 0;
    for (int32_t i = 0; i < CVSR_MOST_INPUTS; i++) {
        const int32_t channels = conv->input_channels[i];
        for (int32_t c = 0; c < channels; c += GROUP, ++*total)
            if (conv->inputs[i])
                sources[count++] = (source){conv->inputs[i] + c, (size_t)channels, *total};
    }
    return count;
}

enum { MOST_SOURCES = CVSR_MOST_CHANNELS / GROUP };

static size_t scratch_bytes(int32_t input_channels, int32_t output_channels)
{
    const size_t channels = (size_t)input_channels + (size_t)output_channels;
    return POINTS * (BLOCK * channels + 3 * GROUP) * sizeof(float);
}

/* ---------------------------------------------------------------------------------------------------- multiplication */

/* sums (AT_ONCE, output stride `step`) of the products of `from` (groups, AT_ONCE of BLOCK, 16) and `factors`. With `wide`
 * two registers of output channels, else one. Packed factors are rows of as many channels. */
INLINE void multiply(const float *from, const float *factors, const source *sources, int32_t count, float *to,
                     size_t step, const int wide)
{
    const size_t width = wide ? WIDE : LANES;
#define BEGIN(t) lanes low##t = {0}, high##t = {0};
#define ADD(t)                                              \
    {                                                       \
        const lanes x = from[(t) * GROUP + k] - (lanes){0}; \
        low##t += x * a;                                    \
        if (wide)                                           \
            high##t += x * b;                               \
    }
#define END(t)                             \
    STORE(lanes, to + (t) * step, low##t); \
    if (wide)                              \
        STORE(lanes, to + (t) * step + LANES, high##t);
    FOR_ALL(BEGIN)
    for (int32_t c = 0; c < count; c++, from += BLOCK * GROUP) {
        const float *row = factors + (size_t)sources[c].number * GROUP * width;
        for (int k = 0; k < GROUP; k++, row += width) {
            const lanes a = LOAD(lanes, row), b = LOAD(lanes, row + (wide ? LANES : 0));
            FOR_ALL(ADD)
        }
    }
    FOR_ALL(END)
#undef BEGIN
#undef ADD
#undef END
}

/* Point `point` of `points` of a block: `from` (groups, BLOCK, 16), `to` (tiles, output_channels). Packed factors are sorted by
 * registers of output channels, points and input channels. */
static void multiply_point(const cvsr_conv *conv, const source *sources, int32_t count, int32_t total, int32_t point,
                           int32_t points, int32_t tiles, const float *from, float *to)
{
    const size_t channels = (size_t)conv->output_channels, rows = (size_t)total * GROUP;
    for (size_t o = 0; o < channels; o += WIDE) {
        const size_t width = channels - o < WIDE ? channels - o : WIDE;
        const float *factors = conv->weights + (o * (size_t)points + width * (size_t)point) * rows;
        for (int32_t t = 0; t < tiles; t += AT_ONCE)
            if (width > LANES)
                multiply(from + t * GROUP, factors, sources, count, to + (size_t)t * channels + o, channels, 1);
            else
                multiply(from + t * GROUP, factors, sources, count, to + (size_t)t * channels + o, channels, 0);
    }
}

/* -------------------------------------------------------------------------------------------------------- transforms */

INLINE void forward(lanes d0, lanes d1, lanes d2, lanes d3, lanes d4, lanes d5, float *to, size_t step)
{
    const lanes even = d4 - 4 * d2, odd = d3 - 4 * d1, near = d4 - d2, far = 2 * (d3 - d1);
    STORE(lanes, to, 4 * d0 + (d4 - 5 * d2));
    STORE(lanes, to + step, even + odd);
    STORE(lanes, to + 2 * step, even - odd);
    STORE(lanes, to + 3 * step, near + far);
    STORE(lanes, to + 4 * step, near - far);
    STORE(lanes, to + 5 * step, 4 * d1 + (d5 - 5 * d3));
}

/* 6x6 pixels of 16 channels, `row` and `pixel` apart, to the 36 points, `step` apart. */
static void to_points(const float *from, size_t row, size_t pixel, float *to, size_t step)
{
    float half[POINTS * LANES];
    for (int c = 0; c < GROUP; c += LANES, from += LANES, to += LANES) {
        for (int x = 0; x < PATCH; x++) {
            const float *d = from + (size_t)x * pixel;
            forward(LOAD(lanes, d), LOAD(lanes, d + row), LOAD(lanes, d + 2 * row), LOAD(lanes, d + 3 * row),
                    LOAD(lanes, d + 4 * row), LOAD(lanes, d + 5 * row), half + x * LANES, PATCH * LANES);
        }
        for (int y = 0; y < PATCH; y++) {
            const float *d = half + y * PATCH * LANES;
            forward(LOAD(lanes, d), LOAD(lanes, d + LANES), LOAD(lanes, d + 2 * LANES), LOAD(lanes, d + 3 * LANES),
                    LOAD(lanes, d + 4 * LANES), LOAD(lanes, d + 5 * LANES), to + (size_t)y * PATCH * step, step);
        }
    }
}

INLINE void backward(const float *m, size_t step, float *to, size_t to_step)
{
    const lanes m0 = LOAD(lanes, m), m5 = LOAD(lanes, m + 5 * step);
    const lanes m1 = LOAD(lanes, m + step), m2 = LOAD(lanes, m + 2 * step);
    const lanes m3 = LOAD(lanes, m + 3 * step), m4 = LOAD(lanes, m + 4 * step);
    const lanes sum = m1 + m2, difference = m1 - m2, far_sum = m3 + m4, far_difference = m3 - m4;
    STORE(lanes, to, m0 + sum + far_sum);
    STORE(lanes, to + to_step, difference + 2 * far_difference);
    STORE(lanes, to + 2 * to_step, sum + 4 * far_sum);
    STORE(lanes, to + 3 * to_step, difference + 8 * far_difference + m5);
}

INLINE lanes larger(lanes a, lanes b)
{
    const lane_bits is_a = a > b;
    return (lanes)((is_a & (lane_bits)a) | (~is_a & (lane_bits)b));
}

/* A register of output channels: bias and what belongs to the cell, activation, residual. */
INLINE void put(lanes sum, lanes bias, float slope, const float *residual, float *to)
{
    lanes value = sum + bias;
    value = larger(value, slope * value);
    STORE(lanes, to, residual ? value + LOAD(lanes, residual) : value);
}

/* 36 points of one tile, `step` apart, to its pixels inside the picture. */
static void from_points(const cvsr_conv *conv, const float *from, size_t step, int32_t tile_row, int32_t tile_column,
                        int32_t columns)
{
    const size_t channels = (size_t)conv->output_channels, line = (size_t)conv->width * channels;
    const int32_t y0 = tile_row * TILE, x0 = tile_column * TILE;
    const int rows = conv->height - y0 < TILE ? conv->height - y0 : TILE;
    const int wide = conv->width - x0 < TILE ? conv->width - x0 : TILE;
    const float *cell = conv->cells ? conv->cells + ((size_t)tile_row * columns + tile_column) * channels : NULL;
    const size_t at = (size_t)y0 * line + (size_t)x0 * channels;
    float half[TILE * PATCH * LANES], done[TILE * LANES];
    for (size_t o = 0; o < channels; o += LANES) {
        lanes bias = LOAD(lanes, conv->bias + o);
        if (cell)
            bias += LOAD(lanes, cell + o);
        for (int x = 0; x < PATCH; x++)
            backward(from + o + (size_t)x * step, PATCH * step, half + x * LANES, PATCH * LANES);
        for (int y = 0; y < rows; y++) {
            const size_t here = at + (size_t)y * line + o;
            backward(half + y * PATCH * LANES, LANES, done, LANES);
            for (int x = 0; x < wide; x++) {
                const size_t pixel = here + (size_t)x * channels;
                put(LOAD(lanes, done + x * LANES), bias, conv->slope, conv->residual ? conv->residual + pixel : NULL,
                    conv->output + pixel);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------------------ convolutions */

/* The 6x6 pixels around a tile to points; zeros beyond the border. */
static void take_tile(const cvsr_conv *conv, const source *from, int32_t tile_row, int32_t tile_column, float *to,
                      size_t step, float *patch)
{
    const int32_t y0 = tile_row * TILE - 1, x0 = tile_column * TILE - 1;
    const size_t line = (size_t)conv->width * from->stride;
    if (y0 >= 0 && x0 >= 0 && y0 + PATCH <= conv->height && x0 + PATCH <= conv->width) {
        to_points(from->data + (size_t)y0 * line + (size_t)x0 * from->stride, line, from->stride, to, step);
        return;
    }
    for (int y = 0; y < PATCH; y++) {
        for (int x = 0; x < PATCH; x++) {
            float *pixel = patch + (y * PATCH + x) * GROUP;
            if (y0 + y < 0 || y0 + y >= conv->height || x0 + x < 0 || x0 + x >= conv->width) {
                memset(pixel, 0, GROUP * sizeof(float));
            } else {
                memcpy(pixel, from->data + (size_t)(y0 + y) * line + (size_t)(x0 + x) * from->stride,
                       GROUP * sizeof(float));
            }
        }
    }
    to_points(patch, PATCH * GROUP, GROUP, to, step);
}

static void conv3x3(const cvsr_conv *conv, int32_t first, int32_t last, float *scratch)
{
    source sources[MOST_SOURCES];
    int32_t total;
    const int32_t count = sources_of(conv, sources, &total), columns = (conv->width + TILE - 1) / TILE;
    const size_t channels = (size_t)conv->output_channels;
    /* One line of cache more than needed: points must not all fall on the same few lines of the cache. */
    const size_t taken_step = (size_t)count * BLOCK * GROUP + GROUP, made_step = BLOCK * channels + GROUP;
    float *patch = scratch, *taken = scratch + POINTS * GROUP, *made = taken + POINTS * taken_step;
    const int64_t end = (int64_t)last * columns;
    for (int64_t begin = (int64_t)first * columns; begin < end; begin += BLOCK) {
        const int32_t tiles = end - begin < BLOCK ? (int32_t)(end - begin) : BLOCK;
        for (int32_t c = 0; c < count; c++) {
            for (int32_t t = 0; t < tiles || t % AT_ONCE != 0;
                 t++) { /* the last tile again, to fill what is multiplied at once */
                const int64_t tile = begin + (t < tiles ? t : tiles - 1);
                take_tile(conv, &sources[c], (int32_t)(tile / columns), (int32_t)(tile % columns),
                          taken + ((size_t)c * BLOCK + (size_t)t) * GROUP, taken_step, patch);
            }
        }
        for (int32_t p = 0; p < POINTS; p++) {
            multiply_point(conv, sources, count, total, p, POINTS, tiles, taken + (size_t)p * taken_step,
                           made + (size_t)p * made_step);
        }
        for (int32_t t = 0; t < tiles; t++) {
            const int64_t tile = begin + t;
            from_points(conv, made + (size_t)t * channels, made_step, (int32_t)(tile / columns),
                        (int32_t)(tile % columns), columns);
        }
    }
}

static void conv1x1(const cvsr_conv *conv, int32_t first, int32_t last, float *scratch)
{
    source sources[MOST_SOURCES];
    int32_t total;
    const int32_t count = sources_of(conv, sources, &total);
    const int32_t last_line = last * TILE < conv->height ? last * TILE : conv->height;
    const size_t channels = (size_t)conv->output_channels;
    float *taken = scratch, *made = scratch + (size_t)count * BLOCK * GROUP;
    const int64_t end = (int64_t)last_line * conv->width;
    for (int64_t begin = (int64_t)first * TILE * conv->width; begin < end; begin += BLOCK) {
        const int32_t pixels = end - begin < BLOCK ? (int32_t)(end - begin) : BLOCK;
        for (int32_t c = 0; c < count; c++) {
            for (int32_t t = 0; t < pixels || t % AT_ONCE != 0; t++) {
                const size_t pixel = (size_t)(begin + (t < pixels ? t : pixels - 1));
                memcpy(taken + ((size_t)c * BLOCK + (size_t)t) * GROUP, sources[c].data + pixel * sources[c].stride,
                       GROUP * sizeof(float));
            }
        }
        multiply_point(conv, sources, count, total, 0, 1, pixels, taken, made);
        for (int32_t t = 0; t < pixels; t++) {
            const size_t at = (size_t)(begin + t) * channels;
            for (size_t o = 0; o < channels; o += LANES) {
                put(LOAD(lanes, made + (size_t)t * channels + o), LOAD(lanes, conv->bias + o), conv->slope,
                    conv->residual ? conv->residual + at + o : NULL, conv->output + at + o);
            }
        }
    }
}

/* ----------------------------------------------------------------------------------------------------------- weights */

static void pack3x3(const float *w, double points[POINTS])
{
    static const double to_points_of[PATCH][3] = {{1. / 4, 0, 0},
                                                  {-1. / 6, -1. / 6, -1. / 6},
                                                  {-1. / 6, 1. / 6, -1. / 6},
                                                  {1. / 24, 1. / 12, 1. / 6},
                                                  {1. / 24, -1. / 12, 1. / 6},
                                                  {0, 0, 1}};
    for (int y = 0; y < PATCH; y++) {
        for (int x = 0; x < PATCH; x++) {
            double sum = 0;
            for (int i = 0; i < 9; i++)
                sum += to_points_of[y][i / 3] * to_points_of[x][i % 3] * (double)w[i];
            points[y * PATCH + x] = sum;
        }
    }
}

static void pack(const float *weights, int32_t input_channels, int32_t output_channels, int32_t size, float *packed)
{
    const size_t inputs = (size_t)input_channels, outputs = (size_t)output_channels;
    const size_t points = size == 3 ? POINTS : 1;
    double values[POINTS];
    for (size_t o = 0; o < outputs; o++) {
        const size_t begin = o / WIDE * WIDE, width = outputs - begin < WIDE ? outputs - begin : WIDE;
        for (size_t i = 0; i < inputs; i++) {
            if (size == 3)
                pack3x3(weights + (o * inputs + i) * 9, values);
            else
                values[0] = (double)weights[o * inputs + i];
            for (size_t p = 0; p < points; p++)
                packed[(begin * points + p * width) * inputs + i * width + (o - begin)] = (float)values[p];
        }
    }
}

#endif
