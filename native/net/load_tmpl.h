/* Bytes to pictures as sampling wants them, and features to half of their size and back. */
#ifndef CVSR_NET_LOAD_H
#define CVSR_NET_LOAD_H

#include <string.h>

#include "lanes.h"

static void load(const cvsr_load *told, int32_t first, int32_t last)
{
    const int32_t height = told->height, width = told->width;
    const int32_t step = CVSR_LUMA_STEP(width);
    for (int32_t y = first; y < last; y++) {
        float *luma = told->picture.luma + (size_t)(y + 2) * step;
        for (int32_t x = 0; x < width; x++) {
            const uint8_t *pixel = told->rgb + 3 * ((size_t)y * width + x);
            const float red = pixel[0] / 255.0f, green = pixel[1] / 255.0f, blue = pixel[2] / 255.0f;
            float *colours = told->picture.colours + 4 * ((size_t)y * width + x);
            colours[0] = red;
            colours[1] = green;
            colours[2] = blue;
            colours[3] = 0;
            luma[x + 2] = 0.299f * red + 0.587f * green + 0.114f * blue;
        }
        luma[0] = luma[1] = luma[2];
        for (int32_t x = width + 2; x < step; x++)
            luma[x] = luma[width + 1];
        for (int32_t k = 1; k <= 2 && y == 0; k++)
            memcpy(luma - (size_t)k * step, luma, (size_t)step * sizeof(float));
        for (int32_t k = 1; k <= 2 && y == height - 1; k++)
            memcpy(luma + (size_t)k * step, luma, (size_t)step * sizeof(float));
    }
}

static void halve(const cvsr_change *told, int32_t first, int32_t last)
{
    const size_t line = (size_t)told->width * (size_t)told->channels;
    const float *from = told->from;
    uint16_t *to = told->to;
    for (size_t i = (size_t)first * line; i < (size_t)last * line; i += LANES)
        store_halves(to + i, LOAD(lanes, from + i));
}

static void widen(const cvsr_change *told, int32_t first, int32_t last)
{
    const size_t line = (size_t)told->width * (size_t)told->channels;
    const uint16_t *from = told->from;
    float *to = told->to;
    for (size_t i = (size_t)first * line; i < (size_t)last * line; i += LANES) {
        const lane_bits halves = __builtin_convertvector(LOAD(half_lanes, from + i), lane_bits);
        STORE(lanes, to + i, (lanes)(halves << 16));
    }
}

#endif
