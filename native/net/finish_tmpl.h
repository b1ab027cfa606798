/* The finished picture: MATLAB's bicubic enlargement by 4, what the network adds, clamped, rounded and interleaved. */
#ifndef CVSR_NET_FINISH_H
#define CVSR_NET_FINISH_H

#include <string.h>

#include "lanes.h"

enum { SCALE = 4, TAPS = 5, ACROSS = 3 * SCALE, STRETCH = 64 };

/* Of pixels -2 .. 2 around one, by which of the 4 pixels it becomes: the kernel a = -0.5 at distances of 1/8, 3/8, ... */
static const float bicubic[SCALE][TAPS] = {
    {-0.0439453125f, 0.3896484375f, 0.7275390625f, -0.0732421875f, 0},
    {-0.0068359375f, 0.0908203125f, 0.9638671875f, -0.0478515625f, 0},
    {0, -0.0478515625f, 0.9638671875f, 0.0908203125f, -0.0068359375f},
    {0, -0.0732421875f, 0.7275390625f, 0.3896484375f, -0.0439453125f},
};

/* A row or column beyond the border is the mirror image, the edge itself included. */
INLINE int32_t mirrored(int32_t i, int32_t size)
{
    i = ((i % (2 * size)) + 2 * size) % (2 * size);
    return i < size ? i : 2 * size - 1 - i;
}

/* 12 values of a row to bytes or floats; `is_last` where nothing of the row comes after them. */
INLINE void put_pixels(sixteen values, uint8_t *bytes, float *floats, int is_last)
{
    if (!bytes) {
        memcpy(floats, &values, ACROSS * sizeof(float));
        return;
    }
    const sixteen whole = rounded(all_within(values * 255, 0, 255));
    const sixteen_bytes packed = __builtin_convertvector(__builtin_convertvector(whole, sixteen_bits), sixteen_bytes);
    if (is_last)
        memcpy(bytes, &packed, ACROSS);
    else
        STORE(sixteen_bytes, bytes, packed); /* four too many, which the next pixels overwrite */
}

static void finish(const cvsr_finish *told, int32_t first, int32_t last)
{
    const cvsr_picture *frame = &told->frame;
    const float *residual = told->residual;
    const int32_t height = told->height, width = told->width;
    uint8_t *bytes = told->bytes;
    float *values = told->values;
    const float *end = residual + (size_t)height * width * SCALE * ACROSS;
    sixteen kernel[TAPS]; /* by pixel of the four and colour */
    /* The colours of a stretch of pixels between rows, four times each, as the four pixels they become want them. */
    float repeated[(STRETCH + TAPS - 1) * ACROSS + 4] = {0};
    for (int k = 0; k < TAPS; k++)
        for (int i = 0; i < 16; i++)
            kernel[k][i] = i < ACROSS ? bicubic[i / 3][k] : 0;
    for (int32_t y = first; y < last; y++) {
        const float *rows[TAPS];
        for (int i = 0; i < TAPS; i++)
            rows[i] = frame->colours + 4 * (size_t)mirrored(y + i - 2, height) * width;
        for (int32_t begin = 0; begin < width; begin += STRETCH) {
            const int32_t count = width - begin < STRETCH ? width - begin : STRETCH;
            for (int j = 0; j < SCALE; j++) {
                for (int32_t k = 0; k < count + TAPS - 1; k++) {
                    const int32_t at = begin + k - 2, x = at >= 0 && at < width ? at : mirrored(at, width);
                    four between = {0};
                    for (int i = 0; i < TAPS; i++)
                        between += bicubic[j][i] * LOAD(four, rows[i] + 4 * x);
                    for (int i = 0; i < SCALE; i++)
                        STORE(four, repeated + k * ACROSS + 3 * i, between);
                }
                for (int32_t k = 0; k < count; k++) {
                    const size_t pixel = (size_t)y * width + begin + k;
                    const size_t to = (((size_t)y * SCALE + j) * width + begin + k) * ACROSS;
                    const float *added = residual + (pixel * SCALE + j) * ACROSS;
                    sixteen sum = {0};
                    if (added + 16 <= end)
                        sum = LOAD(sixteen, added);
                    else
                        memcpy(&sum, added, ACROSS * sizeof(float));
                    for (int i = 0; i < TAPS; i++)
                        sum += kernel[i] * LOAD(sixteen, repeated + (k + i) * ACROSS);
                    put_pixels(sum, bytes ? bytes + to : NULL, values ? values + to : NULL, begin + k + 1 == width);
                }
            }
        }
    }
}

#endif
