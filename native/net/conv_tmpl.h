/* Convolutions of 1x1 pixels, and of 3x3 pixels by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast algorithms
 * for convolutional neural networks", CVPR 2016), which needs 36 multiplications for 4x4 pixels instead of 144.
 *
 * A block of tiles is transformed, multiplied and transformed back before the next begins, so that everything but the pictures
 * stays in the second-level cache. With bfloat16 the factors are rounded; sums are float. */
#ifndef CVSR_NET_CONV_H
#define CVSR_NET_CONV_H

#include <string.h>

#include "multiply_tmpl.h"

enum { MAX_SOURCES = CVSR_MAX_CHANNELS / GROUP };

/* Transforms the 36 points of a tile, `step` apart, to its pixels inside the picture. */
static void from_points(const cvsr_conv *conv, const float *from, size_t step, int32_t tile_row, int32_t tile_column,
                        int32_t columns)
{
    const size_t channels = (size_t)conv->output_channels, line = (size_t)conv->width * channels;
    const int32_t y0 = tile_row * TILE, x0 = tile_column * TILE;
    const int rows = min_int(conv->height - y0, TILE);
    const int pixels = min_int(conv->width - x0, TILE);
    const float *cell = conv->cells ? conv->cells + ((size_t)tile_row * columns + tile_column) * channels : NULL;
    const size_t at = (size_t)y0 * line + (size_t)x0 * channels;
    for (size_t o = 0; o < channels; o += LANES) {
        const float *residual = conv->residual ? conv->residual + at + o : NULL;
        float *to = conv->output + at + o;
        lanes bias = LOAD(lanes, conv->bias + o);
        if (cell)
            bias += LOAD(lanes, cell + o);
        if (rows == TILE && pixels == TILE) {
            if (residual)
                from_tile(from + o, step, bias, conv->slope, residual, to, line, channels);
            else
                from_tile(from + o, step, bias, conv->slope, NULL, to, line, channels);
            continue;
        }
        float whole[TILE * TILE * LANES];
        from_tile(from + o, step, bias, conv->slope, NULL, whole, TILE * LANES, LANES);
        for (int y = 0; y < rows; y++) {
            for (int x = 0; x < pixels; x++) {
                const size_t pixel = (size_t)y * line + (size_t)x * channels;
                const lanes value = LOAD(lanes, whole + (y * TILE + x) * LANES);
                STORE(lanes, to + pixel, residual ? value + LOAD(lanes, residual + pixel) : value);
            }
        }
    }
}

/* Transforms the 6x6 pixels around a tile to points; pixels beyond the border are zero. */
INLINE void load_tile(const cvsr_conv *conv, const source *from, int32_t tile_row, int32_t tile_column, void *to,
                      size_t at, size_t step, float *patch, const int is_bf16)
{
    const int32_t y0 = tile_row * TILE - 1, x0 = tile_column * TILE - 1;
    const size_t line = (size_t)conv->width * from->stride;
    if (y0 >= 0 && x0 >= 0 && y0 + PATCH <= conv->height && x0 + PATCH <= conv->width) {
        to_points(from->data + (size_t)y0 * line + (size_t)x0 * from->stride, line, from->stride, to, at,
                  step, is_bf16);
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
    to_points(patch, PATCH * GROUP, GROUP, to, at, step, is_bf16);
}

/* Prefetches 4x4 pixels of a picture, `channels` values each, `stride` apart. */
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

/* Lists the next tiles of a row, BLOCK or fewer, from *column on, that are not left out; moves *column behind them. */
INLINE int32_t next_tiles(const uint8_t *tiles, int32_t *column, int32_t columns, int32_t list[BLOCK])
{
    int32_t count = 0;
    for (; count < BLOCK && *column < columns; ++*column)
        if (!tiles || tiles[*column])
            list[count++] = *column;
    return count;
}

/* Prefetches the rows that the next block is the first to read, and the residual and output of this block. */
static void fetch_ahead(const cvsr_conv *conv, const source *sources, int32_t groups, int32_t row, const int32_t *here,
                        int32_t count, const int32_t *next, int32_t next_count)
{
    const size_t channels = (size_t)conv->output_channels;
    for (int32_t t = 0; t < count; t++) {
        if (conv->residual)
            fetch(conv, conv->residual, channels, channels, row * TILE, here[t] * TILE);
        if (conv->residual != conv->output)
            fetch(conv, conv->output, channels, channels, row * TILE, here[t] * TILE);
    }
    for (int32_t t = 0; t < next_count; t++)
        for (int32_t c = 0; c < groups; c++)
            fetch(conv, sources[c].data, sources[c].stride, GROUP, row * TILE + 1, next[t] * TILE);
}

/* Memory of one thread for a block: padded points of inputs and outputs, and a patch. */
static size_t scratch_bytes(int32_t input_channels, int32_t output_channels)
{
    const size_t channels = (size_t)input_channels + (size_t)output_channels;
    return POINTS * (BLOCK * channels + 3 * GROUP) * sizeof(float);
}

INLINE void winograd(const cvsr_conv *conv, int32_t row, const uint8_t *mask, float *scratch, const int is_bf16)
{
    source sources[MAX_SOURCES];
    int32_t total, lists[2][BLOCK], *here = lists[0], *next = lists[1], column = 0;
    const int32_t count = sources_of(conv, sources, &total), columns = (conv->width + TILE - 1) / TILE;
    const size_t channels = (size_t)conv->output_channels;
    /* One cache line of padding: else all points map to the same few cache lines. */
    const size_t point_step = (size_t)count * BLOCK * GROUP + GROUP, product_step = BLOCK * channels + GROUP;
    float *patch = scratch, *transformed = scratch + POINTS * GROUP, *products = transformed + POINTS * point_step;
    int32_t tiles = next_tiles(mask, &column, columns, here);
    while (tiles > 0) {
        for (int32_t c = 0; c < count; c++) {
            /* The last tile is repeated up to a multiple of AT_ONCE. */
            for (int32_t t = 0; t < tiles || t % AT_ONCE != 0; t++) {
                load_tile(conv, &sources[c], row, here[t < tiles ? t : tiles - 1], transformed,
                          ((size_t)c * BLOCK + (size_t)t) * GROUP, point_step, patch, is_bf16);
            }
        }
        const int32_t ahead = next_tiles(mask, &column, columns, next);
        fetch_ahead(conv, sources, count, row, here, tiles, next, ahead);
        for (int32_t p = 0; p < POINTS; p++) {
            const size_t at = (size_t)p * point_step;
            const void *from = is_bf16 ? (const void *)((const uint16_t *)transformed + at) : transformed + at;
            multiply_point(conv, sources, count, total, p, POINTS, tiles, from, products + (size_t)p * product_step, is_bf16);
        }
        for (int32_t t = 0; t < tiles; t++)
            from_points(conv, products + (size_t)t * channels, product_step, row, here[t], columns);
        int32_t *used = here;
        here = next;
        next = used;
        tiles = ahead;
    }
}

static void conv3x3(const void *params, int32_t row, const uint8_t *tiles, float *scratch)
{
    winograd(params, row, tiles, scratch, 0);
}

static void conv3x3_bf16(const void *params, int32_t row, const uint8_t *tiles, float *scratch)
{
    winograd(params, row, tiles, scratch, 1);
}

/* Convolves the pixels `begin` to `end` - 1, counted line by line. */
static void convolve_pixels(const cvsr_conv *conv, int64_t begin, int64_t end, float *scratch)
{
    source sources[MAX_SOURCES];
    int32_t total;
    const int32_t count = sources_of(conv, sources, &total);
    const size_t channels = (size_t)conv->output_channels;
    float *values = scratch, *sums = scratch + (size_t)count * BLOCK * GROUP;
    for (; begin < end; begin += BLOCK) {
        const int32_t pixels = end - begin < BLOCK ? (int32_t)(end - begin) : BLOCK;
        for (int32_t c = 0; c < count; c++) {
            for (int32_t t = 0; t < pixels || t % AT_ONCE != 0; t++) {
                const size_t pixel = (size_t)(begin + (t < pixels ? t : pixels - 1));
                memcpy(values + ((size_t)c * BLOCK + (size_t)t) * GROUP, sources[c].data + pixel * sources[c].stride,
                       GROUP * sizeof(float));
            }
        }
        multiply_point(conv, sources, count, total, 0, 1, pixels, values, sums, 0);
        for (int32_t t = 0; t < pixels; t++) {
            const size_t at = (size_t)(begin + t) * channels;
            for (size_t o = 0; o < channels; o += LANES) {
                put(LOAD(lanes, sums + (size_t)t * channels + o), LOAD(lanes, conv->bias + o), conv->slope,
                    conv->residual ? conv->residual + at + o : NULL, conv->output + at + o);
            }
        }
    }
}

static void conv1x1(const void *params, int32_t row, const uint8_t *tiles, float *scratch)
{
    const cvsr_conv *conv = params;
    const int32_t last_line = min_int((row + 1) * TILE, conv->height);
    if (!tiles) {
        convolve_pixels(conv, (int64_t)row * TILE * conv->width, (int64_t)last_line * conv->width, scratch);
        return;
    }
    for (int32_t y = row * TILE; y < last_line; y++) {
        const int64_t line = (int64_t)y * conv->width;
        span part = {0, 0};
        while (next_span(tiles, conv->width, &part))
            convolve_pixels(conv, line + part.begin, line + part.end, scratch);
    }
}

/* ----------------------------------------------------------------------------------------------------------- weights */

/* See cvsr_net_pack in cvsr_net.h. */
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
                    ((uint16_t *)packed)[matrix + (i / 2 * width + o - begin) * 2 + i % 2] = bf16_of((float)values[p]);
                else
                    ((float *)packed)[matrix + i * width + o - begin] = (float)values[p];
            }
        }
    }
}

#endif
