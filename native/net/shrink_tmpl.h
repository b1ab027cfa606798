/* The finished picture at twice the frame's size: that of four times the size, a strip of it at a time, shrunk by 2 as MATLAB's
 * bicubic imresize does, antialiased. Weights are whole multiples of 1/256, so that sums are exact. */
#ifndef CVSR_NET_SHRINK_H
#define CVSR_NET_SHRINK_H

#include "finish_tmpl.h"

enum { HALF_TAPS = 4, LINES = CVSR_TILE + 2, SMALL = SCALE / 2 };

/* Weights of the pixels at distances of 1/2, 3/2, 5/2 and 7/2 from the centre of a shrunk pixel, in 1/256. */
static const int32_t shrinking[HALF_TAPS] = {111, 29, -9, -3};

/* Scratch memory in bytes: a line of sums, and a strip of the large picture. */
static size_t half_bytes(int32_t width)
{
    return (size_t)width * ACROSS * (sizeof(int32_t) + LINES * SCALE);
}

/* Sums lines of the strip around a line of the small picture, for values `first` to `last` - 1. */
static void sum_lines(uint8_t *const lines[2 * HALF_TAPS], int32_t first, int32_t last, int32_t *sums)
{
    for (int32_t i = first; i < last; i++) {
        int32_t sum = 0;
        for (int k = 0; k < HALF_TAPS; k++)
            sum += shrinking[k] * (lines[HALF_TAPS - 1 - k][i] + lines[HALF_TAPS + k][i]);
        sums[i] = sum;
    }
}

/* Pixels x = left .. right - 1 of the frame, in its lines `first` to `last` - 1, at most a row of tiles. */
static void finish_half(const cvsr_finish *params, int32_t first, int32_t last, int32_t left, int32_t right, float *scratch)
{
    const int32_t height = params->height, width = params->width, large = SCALE * width, tall = SCALE * height;
    const size_t line = (size_t)width * ACROSS;
    const int32_t top = first > 0 ? first - 1 : 0, bottom = min_int(last + 1, height);
    const int32_t begin = left > 0 ? left - 1 : 0, end = min_int(right + 1, width);
    int32_t *sums = (int32_t *)scratch;
    uint8_t *strip = (uint8_t *)(sums + line);
    finish_lines(params, top, bottom, begin, end, strip, NULL, top);
    for (int32_t y = SMALL * first; y < SMALL * last; y++) {
        uint8_t *lines[2 * HALF_TAPS];
        for (int32_t k = 0; k < 2 * HALF_TAPS; k++)
            lines[k] = strip + (size_t)(mirrored(2 * y + 1 - HALF_TAPS + k, tall) - SCALE * top) * line;
        sum_lines(lines, begin * ACROSS, end * ACROSS, sums);
        uint8_t *to = params->bytes + (size_t)y * SMALL * width * 3;
        for (int32_t x = SMALL * left; x < SMALL * right; x++) {
            const int32_t at = 2 * x + 1 - HALF_TAPS;
            const int is_inside = at >= 0 && at + 2 * HALF_TAPS <= large;
            for (int32_t c = 0; c < 3; c++) {
                int32_t sum = 1 << 15;
                for (int32_t k = 0; k < HALF_TAPS; k++) {
                    const int32_t before = at + HALF_TAPS - 1 - k, after = at + HALF_TAPS + k;
                    sum += shrinking[k] * (sums[3 * (is_inside ? before : mirrored(before, large)) + c] +
                                           sums[3 * (is_inside ? after : mirrored(after, large)) + c]);
                }
                to[3 * x + c] = (uint8_t)clamp_int(sum >> 16, 0, 255);
            }
        }
    }
}

#endif
