/* Loading a frame as a picture, and conversion of features to bfloat16 and back. */
#ifndef CVSR_NET_LOAD_H
#define CVSR_NET_LOAD_H

#include <string.h>

#include "lanes.h"

static void load(const cvsr_load *params, int32_t first, int32_t last)
{
    const int32_t height = params->height, width = params->width;
    const int32_t step = CVSR_LUMA_STEP(width);
    for (int32_t y = first; y < last; y++) {
        float *luma = params->picture.luma + (size_t)(y + 2) * step;
        for (int32_t x = 0; x < width; x++) {
            const uint8_t *pixel = params->rgb + 3 * ((size_t)y * width + x);
            const float red = pixel[0] / 255.0f, green = pixel[1] / 255.0f, blue = pixel[2] / 255.0f;
            float *colours = params->picture.colours + 4 * ((size_t)y * width + x);
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

static void to_bf16(const cvsr_convert *params, int32_t first, int32_t last)
{
    const size_t line = (size_t)params->width * (size_t)params->channels;
    const float *from = params->from;
    uint16_t *to = params->to;
    for (size_t i = (size_t)first * line; i < (size_t)last * line; i += LANES)
        store_bf16(to + i, LOAD(lanes, from + i));
}

static void from_bf16(const cvsr_convert *params, int32_t first, int32_t last)
{
    const size_t line = (size_t)params->width * (size_t)params->channels;
    const uint16_t *from = params->from;
    float *to = params->to;
    for (size_t i = (size_t)first * line; i < (size_t)last * line; i += LANES) {
        const lane_bits upper = __builtin_convertvector(LOAD(bf16_lanes, from + i), lane_bits);
        STORE(lanes, to + i, (lanes)(upper << 16));
    }
}

#endif
