/* Bytes to pictures as sampling wants them. */
#ifndef CVSR_NET_LOAD_H
#define CVSR_NET_LOAD_H

#include <string.h>

#include "cvsr_net.h"

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

#endif
