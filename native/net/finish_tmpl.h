/* The finished picture: the frame enlarged by 4 as MATLAB's bicubic imresize does, plus the network's residual. */
#ifndef CVSR_NET_FINISH_H
#define CVSR_NET_FINISH_H

#include <string.h>

#include "lanes.h"

enum { SCALE = 4, TAPS = 5, ACROSS = 3 * SCALE, SEGMENT = 64 };

/* Weights of pixels -2 .. 2 for each of the 4 output pixels: the cubic kernel a = -0.5 at distances of 1/8, 3/8, ... */
static const float bicubic[SCALE][TAPS] = {
    {-0.0439453125f, 0.3896484375f, 0.7275390625f, -0.0732421875f, 0},
    {-0.0068359375f, 0.0908203125f, 0.9638671875f, -0.0478515625f, 0},
    {0, -0.0478515625f, 0.9638671875f, 0.0908203125f, -0.0068359375f},
    {0, -0.0732421875f, 0.7275390625f, 0.3896484375f, -0.0439453125f},
};

/* The index of a row or column; beyond the border it is the mirror image, the edge itself included. */
INLINE int32_t mirrored(int32_t i, int32_t size)
{
    i = ((i % (2 * size)) + 2 * size) % (2 * size);
    return i < size ? i : 2 * size - 1 - i;
}

/* Stores 12 values of a row as bytes or floats; `is_last` at the end of the pixels to write. */
INLINE void put_pixels(sixteen values, uint8_t *bytes, float *floats, int is_last)
{
    if (floats) {
        memcpy(floats, &values, ACROSS * sizeof(float));
        return;
    }
    const sixteen whole = round_sixteen(clamp_sixteen(values * 255, 0, 255));
    const sixteen_bytes packed = __builtin_convertvector(__builtin_convertvector(whole, sixteen_bits), sixteen_bytes);
    if (is_last)
        memcpy(bytes, &packed, ACROSS);
    else
        STORE(sixteen_bytes, bytes, packed); /* 16 bytes; the next pixels overwrite the last four */
}

/* Pixels `left` to `right` - 1 of the frame's lines `first` to `last` - 1; `bytes` or `values`, the other NULL, begin with what
 * belongs to line `origin`. */
static void finish_lines(const cvsr_finish *params, int32_t first, int32_t last, int32_t left, int32_t right,
                         uint8_t *bytes, float *values, int32_t origin)
{
    const cvsr_picture *frame = &params->frame;
    const float *residual = params->residual;
    const int32_t height = params->height, width = params->width;
    const float *end = residual + (size_t)height * width * SCALE * ACROSS;
    sixteen kernel[TAPS]; /* by output pixel and colour */
    /* Vertically interpolated colours of a segment of pixels, each four times: once for each output pixel. */
    float repeated[(SEGMENT + TAPS - 1) * ACROSS + 4] = {0};
    for (int k = 0; k < TAPS; k++)
        for (int i = 0; i < 16; i++)
            kernel[k][i] = i < ACROSS ? bicubic[i / 3][k] : 0;
    for (int32_t y = first; y < last; y++) {
        const float *rows[TAPS];
        for (int i = 0; i < TAPS; i++)
            rows[i] = frame->colours + 4 * (size_t)mirrored(y + i - 2, height) * width;
        for (int32_t begin = left; begin < right; begin += SEGMENT) {
            const int32_t count = min_int(right - begin, SEGMENT);
            for (int j = 0; j < SCALE; j++) {
                for (int32_t k = 0; k < count + TAPS - 1; k++) {
                    const int32_t at = begin + k - 2, x = at >= 0 && at < width ? at : mirrored(at, width);
                    four mixed = {0};
                    for (int i = 0; i < TAPS; i++)
                        mixed += bicubic[j][i] * LOAD(four, rows[i] + 4 * x);
                    for (int i = 0; i < SCALE; i++)
                        STORE(four, repeated + k * ACROSS + 3 * i, mixed);
                }
                for (int32_t k = 0; k < count; k++) {
                    const size_t pixel = (size_t)y * width + begin + k;
                    const size_t to = (((size_t)(y - origin) * SCALE + j) * width + begin + k) * ACROSS;
                    const float *added = residual + (pixel * SCALE + j) * ACROSS;
                    sixteen sum = {0};
                    if (added + 16 <= end)
                        sum = LOAD(sixteen, added);
                    else
                        memcpy(&sum, added, ACROSS * sizeof(float));
                    for (int i = 0; i < TAPS; i++)
                        sum += kernel[i] * LOAD(sixteen, repeated + (k + i) * ACROSS);
                    put_pixels(sum, bytes ? bytes + to : NULL, values ? values + to : NULL, begin + k + 1 == right);
                }
            }
        }
    }
}

static void finish(const cvsr_finish *params, int32_t first, int32_t last, int32_t left, int32_t right)
{
    finish_lines(params, first, last, left, right, params->bytes, params->values, 0);
}

#endif
