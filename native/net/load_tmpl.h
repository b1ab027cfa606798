/* Loading a frame as a picture, conversion of features to bfloat16 and back, and copies. */
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

static void to_bf16(const cvsr_convert *params, int32_t first, int32_t last, int32_t left, int32_t right)
{
    const size_t depth = (size_t)params->channels, line = (size_t)params->width * depth;
    const float *from = params->from;
    uint16_t *to = params->to;
    for (int32_t y = first; y < last; y++)
        for (size_t i = (size_t)y * line + (size_t)left * depth; i < (size_t)y * line + (size_t)right * depth; i += LANES)
            store_bf16(to + i, LOAD(lanes, from + i));
}

static void from_bf16(const cvsr_convert *params, int32_t first, int32_t last, int32_t left, int32_t right)
{
    const size_t depth = (size_t)params->channels, line = (size_t)params->width * depth;
    const uint16_t *from = params->from;
    float *to = params->to;
    for (int32_t y = first; y < last; y++) {
        for (size_t i = (size_t)y * line + (size_t)left * depth; i < (size_t)y * line + (size_t)right * depth; i += LANES) {
            const lane_bits upper = __builtin_convertvector(LOAD(bf16_lanes, from + i), lane_bits);
            STORE(lanes, to + i, (lanes)(upper << 16));
        }
    }
}

static void copy(const cvsr_copy *params, int32_t first, int32_t last, int32_t left, int32_t right)
{
    const size_t scale = (size_t)params->scale, pixel = scale * (size_t)params->pixel_bytes;
    const size_t line = (size_t)params->width * pixel;
    for (size_t y = (size_t)first * scale; y < (size_t)last * scale; y++) {
        const size_t at = y * line + (size_t)left * pixel;
        if (params->from)
            memcpy((uint8_t *)params->to + at, (const uint8_t *)params->from + at, (size_t)(right - left) * pixel);
        else
            memset((uint8_t *)params->to + at, 0, (size_t)(right - left) * pixel);
    }
}

#endif
