/* A plane sampled along a flow, see cvsr_motion.h. */
#include "internal.h"

CVSR_CLONES
static void warp(const float *restrict picture, const float *restrict flow, int32_t height, int32_t width,
                 float *restrict warped)
{
    const size_t plane = (size_t)height * (size_t)width;
    for (int32_t row = 0; row < height; row++) {
        const size_t line = (size_t)row * (size_t)width;
        for (int32_t column = 0; column < width; column++) {
            const size_t at = line + (size_t)column;
            const float x = bounded(flow[at]), y = bounded(flow[plane + at]);
            const int32_t ix = whole(x), iy = whole(y);
            const float part_x = x - (float)ix, part_y = y - (float)iy;
            const float *above = picture + (size_t)within(row + iy, height) * (size_t)width;
            const float *below = picture + (size_t)within(row + iy + 1, height) * (size_t)width;
            const int32_t left = within(column + ix, width), right = within(column + ix + 1, width);
            warped[at] = mix(mix(above[left], above[right], part_x), mix(below[left], below[right], part_x), part_y);
        }
    }
}

int32_t cvsr_warp(const float *picture, const float *flow, int32_t height, int32_t width, float *warped)
{
    if (height < 0 || width < 0 || height > CELL * CVSR_MAX_CELLS || width > CELL * CVSR_MAX_CELLS || !picture ||
        !flow || !warped)
        return -1;
    warp(picture, flow, height, width, warped);
    return 0;
}
