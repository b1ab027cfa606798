/* The finished picture at one, two or three times the frame's size: that of four times the size, a strip of it at a time, shrunk as
 * MATLAB's bicubic imresize does, antialiased. Weights and their sums are whole numbers, so that sums are exact. */
#ifndef CVSR_NET_SHRINK_H
#define CVSR_NET_SHRINK_H

#include "finish_tmpl.h"

enum { MAX_TAPS = 16, MAX_MARGIN = 2 };

/* What a shrunk pixel is made of, along one axis: pixels of the large picture, counted from the first that belongs to the same
 * pixel of the frame. */
typedef struct {
    int32_t first, count, sum, weights[MAX_TAPS];
} taps;

/* By scale: of the shrunk pixels that belong to one pixel of the frame. The cubic kernel, a = -0.5, is as wide as the pixels are
 * far apart: centres lie at 3/2; at 1/2 and 5/2; at 1/6, 3/2 and 17/6. */
static const taps shrunk[SCALE][SCALE - 1] = {
    [1] = {{-6, 16, 4096, {-7, -45, -75, -49, 93, 399, 745, 987, 987, 745, 399, 93, -49, -75, -45, -7}}},
    [2] = {{-3, 8, 256, {-3, -9, 29, 111, 111, 29, -9, -3}}, {-1, 8, 256, {-3, -9, 29, 111, 111, 29, -9, -3}}},
    [3] = {{-2, 5, 1359, {-45, 93, 987, 399, -75}},
           {-1, 6, 1378, {-7, -49, 745, 745, -49, -7}},
           {1, 5, 1359, {-75, 399, 987, 93, -45}}},
};

/* Far above rounding errors, far below the steps of the sums: what lies so near to a half counts as one. */
static const double tie = 1e-9;

/* Pixels of the frame around a tile that a shrunk picture depends on. */
INLINE int32_t margin_of(int32_t scale)
{
    return scale == 1 ? 2 : 1;
}

/* Scratch memory in bytes: a strip of the large picture. */
static size_t finish_bytes(int32_t width, int32_t scale)
{
    return scale == SCALE ? 0 : (size_t)width * ACROSS * SCALE * (CVSR_TILE + 2 * MAX_MARGIN);
}

/* Adds a line of bytes, weighted. */
static void add_line(const uint8_t *restrict line, int32_t weight, int32_t count, int32_t *restrict sums)
{
    for (int32_t i = 0; i < count; i++)
        sums[i] += weight * line[i];
}

/* Pixels of a line of the shrunk picture: those of the frame's pixels `left` to `right` - 1, at most SEGMENT, of lines of the large
 * picture and their weights. */
static void shrink_pixels(const uint8_t *const lines[MAX_TAPS], const taps *down, int32_t scale, int32_t left, int32_t right,
                          int32_t width, uint8_t *to)
{
    const int32_t large = SCALE * width, margin = margin_of(scale);
    const int32_t first = SCALE * (left - margin), last = SCALE * (right + margin); /* of the large picture's columns */
    const int32_t begin = first > 0 ? first : 0, end = min_int(last, large);
    int32_t sums[(SEGMENT + 2 * MAX_MARGIN) * ACROSS] = {0};
    double values[(SEGMENT + 2 * MAX_MARGIN) * ACROSS + 1]; /* the columns' sums; one more, as four are read at once */
    for (int32_t k = 0; k < down->count; k++)
        add_line(lines[k] + 3 * begin, down->weights[k], 3 * (end - begin), sums);
    for (int32_t i = 0; i < 3 * (end - begin); i++)
        values[3 * (begin - first) + i] = sums[i];
    for (int32_t x = first; x < last; x++)
        if (x < begin || x >= end)
            memcpy(values + 3 * (x - first), values + 3 * (mirrored(x, large) - first), 3 * sizeof *values);
    values[3 * (last - first)] = 0;
    for (int32_t i = 0; i < scale; i++) {
        const taps *across = &shrunk[scale][i];
        const double share = 1.0 / ((double)down->sum * across->sum);
        for (int32_t x = left; x < right; x++) {
            const double *from = values + 3 * (SCALE * x + across->first - first);
            four_doubles mixed = {0};
            for (int32_t k = 0; k < across->count; k++)
                mixed += (double)across->weights[k] * LOAD(four_doubles, from + 3 * k);
            mixed = mixed * share + (0.5 + tie);
            for (int c = 0; c < 3; c++)
                to[3 * (scale * x + i) + c] = (uint8_t)clamp_int((int32_t)mixed[c], 0, 255);
        }
    }
}

/* Pixels x = left .. right - 1 of the frame, in its lines `first` to `last` - 1, at most a row of tiles. */
static void finish_shrunk(const cvsr_finish *params, int32_t first, int32_t last, int32_t left, int32_t right, float *scratch)
{
    const int32_t scale = params->scale, margin = margin_of(scale), height = params->height, width = params->width;
    const size_t line = (size_t)width * ACROSS;
    const int32_t top = first > margin ? first - margin : 0;
    uint8_t *strip = (uint8_t *)scratch;
    finish_lines(params, top, min_int(last + margin, height), left > margin ? left - margin : 0,
                 min_int(right + margin, width), strip, NULL, top);
    for (int32_t y = first; y < last; y++) {
        for (int32_t j = 0; j < scale; j++) {
            const taps *down = &shrunk[scale][j];
            const uint8_t *lines[MAX_TAPS];
            for (int32_t k = 0; k < down->count; k++)
                lines[k] = strip + (size_t)(mirrored(SCALE * y + down->first + k, SCALE * height) - SCALE * top) * line;
            uint8_t *to = params->bytes + (size_t)(scale * y + j) * scale * width * 3;
            for (int32_t x = left; x < right; x += SEGMENT)
                shrink_pixels(lines, down, scale, x, min_int(x + SEGMENT, right), width, to);
        }
    }
}

#endif
