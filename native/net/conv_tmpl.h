/* Convolutions of 3x3 pixels by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast algorithms for convolutional
 * neural networks", CVPR 2016), and of 1x1: 36 multiplications instead of 144 for 4x4 pixels.
 *
 * A block of 16 or so tiles is transformed, multiplied and transformed back before the next begins, so that everything but the
 * picture itself stays in the second-level cache. In bfloat16 what is multiplied is rounded, and sums are not. */
#ifndef CVSR_NET_CONV_H
#define CVSR_NET_CONV_H

#include <string.h>

#include "points.h"

/* So many tiles are multiplied at once: as many as there are registers for their sums; fewer where outputs are two registers
 * wide. With 16, rows of 80 tiles (320 pixels) come out even. */
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
 * two registers of output channels, of WIDE_AT_ONCE tiles, else one. Packed factors are rows of as many channels. */
#define IS_MEANT(t) (!wide || (t) < WIDE_AT_ONCE)
#define BEGIN(t)    lanes low##t = {0}, high##t = {0};
#define END(t)                                 \
    if (IS_MEANT(t)) {                         \
        STORE(lanes, to + (t) * step, low##t); \
        if (wide)                              \
            STORE(lanes, to + (t) * step + LANES, high##t); \
    }

INLINE void multiply(const float *from, const float *factors, const source *sources, int32_t count, float *to,
                     size_t step, const int wide)
{
    const size_t width = wide ? WIDE : LANES;
#define ADD(t)                                              \
    if (IS_MEANT(t)) {                                      \
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

/* The same in bfloat16: pairs of input channels, packed as pairs for each output channel. */
INLINE void multiply_halves(const uint16_t *from, const uint16_t *factors, const source *sources, int32_t count,
                            float *to, size_t step, const int wide)
{
    const size_t width = 2 * (wide ? WIDE : LANES); /* of a row of pairs */
#define ADD(t)                                                         \
    if (IS_MEANT(t)) {                                                 \
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
#undef IS_MEANT
#undef BEGIN
#undef END

/* Point `point` of `points` of a block: `from` (groups, BLOCK, 16), floats or halves, `to` (tiles, output_channels). Packed
 * factors are sorted by registers of output channels, points and input channels. */
INLINE void multiply_point(const cvsr_conv *conv, const source *sources, int32_t count, int32_t total, int32_t point,
                           int32_t points, int32_t tiles, const void *from, float *to, const int half)
{
    const size_t channels = (size_t)conv->output_channels, rows = (size_t)total * GROUP;
    for (size_t o = 0; o < channels; o += WIDE) {
        const size_t width = channels - o < WIDE ? channels - o : WIDE;
        const size_t begin = (o * (size_t)points + width * (size_t)point) * rows;
        for (int32_t t = 0; t < tiles; t += width > LANES ? WIDE_AT_ONCE : AT_ONCE) {
            float *made = to + (size_t)t * channels + o;
            const size_t at = (size_t)t * GROUP;
            if (half) {
                const uint16_t *factors = (const uint16_t *)conv->weights + begin, *taken = (const uint16_t *)from + at;
                if (width > LANES)
                    multiply_halves(taken, factors, sources, count, made, channels, 1);
                else
                    multiply_halves(taken, factors, sources, count, made, channels, 0);
            } else {
                const float *factors = (const float *)conv->weights + begin, *taken = (const float *)from + at;
                if (width > LANES)
                    multiply(taken, factors, sources, count, made, channels, 1);
                else
                    multiply(taken, factors, sources, count, made, channels, 0);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------------------ convolutions */

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
    for (size_t o = 0; o < channels; o += LANES) {
        const float *residual = conv->residual ? conv->residual + at + o : NULL;
        float *to = conv->output + at + o;
        lanes bias = LOAD(lanes, conv->bias + o);
        if (cell)
            bias += LOAD(lanes, cell + o);
        if (rows == TILE && wide == TILE) {
            if (residual)
                from_tile(from + o, step, bias, conv->slope, residual, to, line, channels);
            else
                from_tile(from + o, step, bias, conv->slope, NULL, to, line, channels);
            continue;
        }
        float done[TILE * TILE * LANES];
        from_tile(from + o, step, bias, conv->slope, NULL, done, TILE * LANES, LANES);
        for (int y = 0; y < rows; y++) {
            for (int x = 0; x < wide; x++) {
                const size_t pixel = (size_t)y * line + (size_t)x * channels;
                const lanes value = LOAD(lanes, done + (y * TILE + x) * LANES);
                STORE(lanes, to + pixel, residual ? value + LOAD(lanes, residual + pixel) : value);
            }
        }
    }
}

/* The 6x6 pixels around a tile to points; zeros beyond the border. */
INLINE void take_tile(const cvsr_conv *conv, const source *from, int32_t tile_row, int32_t tile_column, void *to,
                      size_t at, size_t step, float *patch, const int half)
{
    const int32_t y0 = tile_row * TILE - 1, x0 = tile_column * TILE - 1;
    const size_t line = (size_t)conv->width * from->stride;
    if (y0 >= 0 && x0 >= 0 && y0 + PATCH <= conv->height && x0 + PATCH <= conv->width) {
        to_points(from->data + (size_t)y0 * line + (size_t)x0 * from->stride, line, from->stride, to, at,
                  step, half);
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
    to_points(patch, PATCH * GROUP, GROUP, to, at, step, half);
}

/* Ask for 4x4 pixels of a picture, `channels` values of each, which are `stride` apart: they are wanted soon. */
INLINE void fetch(const cvsr_conv *conv, const float *picture, size_t stride, size_t channels, int32_t y0, int32_t x0)
{
    const size_t line = (size_t)conv->width * stride;
    if (y0 + TILE > conv->height || x0 + TILE > conv->width)
        return;
    const float *row = picture + (size_t)y0 * line + (size_t)x0 * stride;
    for (int y = 0; y < TILE; y++, row += line)
        for (int x = 0; x < TILE; x++)
            for (size_t c = 0; c < channels; c += GROUP)
                __builtin_prefetch(row + (size_t)x * stride + c);
}

/* What the next block is the first to read (of a tile's patch the lower rows), and what this one adds to or writes. */
static void fetch_ahead(const cvsr_conv *conv, const source *sources, int32_t count, int64_t begin, int64_t end,
                        int32_t columns)
{
    const size_t channels = (size_t)conv->output_channels;
    for (int64_t t = begin; t < begin + BLOCK && t < end; t++) {
        const int32_t y0 = (int32_t)(t / columns) * TILE, x0 = (int32_t)(t % columns) * TILE;
        if (conv->residual)
            fetch(conv, conv->residual, channels, channels, y0, x0);
        if (conv->residual != conv->output)
            fetch(conv, conv->output, channels, channels, y0, x0);
    }
    for (int64_t t = begin + BLOCK; t < begin + 2 * BLOCK && t < end; t++) {
        const int32_t y0 = (int32_t)(t / columns) * TILE + 1, x0 = (int32_t)(t % columns) * TILE;
        for (int32_t c = 0; c < count; c++)
            fetch(conv, sources[c].data, sources[c].stride, GROUP, y0, x0);
    }
}

INLINE void winograd(const cvsr_conv *conv, int32_t first, int32_t last, float *scratch, const int half)
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
                take_tile(conv, &sources[c], (int32_t)(tile / columns), (int32_t)(tile % columns), taken,
                          ((size_t)c * BLOCK + (size_t)t) * GROUP, taken_step, patch, half);
            }
        }
        fetch_ahead(conv, sources, count, begin, end, columns);
        for (int32_t p = 0; p < POINTS; p++) {
            const size_t at = (size_t)p * taken_step;
            multiply_point(conv, sources, count, total, p, POINTS, tiles,
                           half ? (const void *)((const uint16_t *)taken + at) : taken + at, made + (size_t)p * made_step,
                           half);
        }
        for (int32_t t = 0; t < tiles; t++) {
            const int64_t tile = begin + t;
            from_points(conv, made + (size_t)t * channels, made_step, (int32_t)(tile / columns),
                        (int32_t)(tile % columns), columns);
        }
    }
}

static void conv3x3(const void *record, int32_t first, int32_t last, float *scratch)
{
    winograd(record, first, last, scratch, 0);
}

static void conv3x3_bf16(const void *record, int32_t first, int32_t last, float *scratch)
{
    winograd(record, first, last, scratch, 1);
}

static void conv1x1(const void *record, int32_t first, int32_t last, float *scratch)
{
    const cvsr_conv *conv = record;
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
        multiply_point(conv, sources, count, total, 0, 1, pixels, taken, made, 0);
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

static void pack(const float *weights, int32_t input_channels, int32_t output_channels, int32_t kind, void *packed)
{
    const size_t inputs = (size_t)input_channels, outputs = (size_t)output_channels;
    const size_t points = kind == CVSR_CONV1X1 ? 1 : POINTS;
    double values[POINTS];
    for (size_t o = 0; o < outputs; o++) {
        const size_t begin = o / WIDE * WIDE, width = outputs - begin < WIDE ? outputs - begin : WIDE;
        for (size_t i = 0; i < inputs; i++) {
            if (kind == CVSR_CONV1X1)
                values[0] = (double)weights[o * inputs + i];
            else
                pack3x3(weights + (o * inputs + i) * 9, values);
            for (size_t p = 0; p < points; p++) {
                const size_t matrix = (begin * points + p * width) * inputs;
                if (kind == CVSR_CONV3X3_BF16)
                    ((uint16_t *)packed)[matrix + (i / 2 * width + o - begin) * 2 + i % 2] = half_of((float)values[p]);
                else
                    ((float *)packed)[matrix + i * width + o - begin] = (float)values[p];
            }
        }
    }
}

#endif
