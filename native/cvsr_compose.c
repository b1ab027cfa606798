/* Fields put together: one after the other, for motion over more frames than a vector spans, and averaged over time. And
 * a picture sampled along a field. */
#include "cvsr_motion_internal.h"

/* composed = first + second where first points, bilinear between cell centres, the border repeated. */
CVSR_CLONES
static void compose(const float *restrict first, const float *restrict second, int32_t rows, int32_t columns,
                    float *restrict composed)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    for (int32_t row = 0; row < rows; row++) {
        const size_t line = (size_t)row * (size_t)columns;
        for (int32_t column = 0; column < columns; column++) {
            const size_t at = line + (size_t)column;
            const float x = bounded(first[at] / CELL), y = bounded(first[plane + at] / CELL);
            const int32_t ix = whole(x), iy = whole(y);
            const float part_x = x - (float)ix, part_y = y - (float)iy;
            const float *above = second + (size_t)within(row + iy, rows) * (size_t)columns;
            const float *below = second + (size_t)within(row + iy + 1, rows) * (size_t)columns;
            const int32_t left = within(column + ix, columns), right = within(column + ix + 1, columns);
            composed[at] = first[at] + mix(mix(above[left], above[right], part_x),
                                           mix(below[left], below[right], part_x), part_y);
            above += plane;
            below += plane;
            composed[plane + at] = first[plane + at] + mix(mix(above[left], above[right], part_x),
                                                           mix(below[left], below[right], part_x), part_y);
        }
    }
}

int32_t cvsr_compose(const float *first, const float *second, int32_t rows, int32_t columns, float *composed)
{
    if (sizes_are_wrong(rows, columns) || !first || !second || !composed)
        return -1;
    compose(first, second, rows, columns, composed);
    return 0;
}

/* One more field for a line of cells: its vectors into the sums, its weights into `weights`. */
CVSR_CLONES
static void add_line(const float *restrict field_x, const float *restrict field_y, const float *restrict other_x,
                     const float *restrict other_y, float sign, float share, float falloff, int32_t columns,
                     float *restrict sum_x, float *restrict sum_y, float *restrict weights)
{
    for (int32_t i = 0; i < columns; i++) {
        const float x = sign * other_x[i], y = sign * other_y[i];
        const float apart_x = x - field_x[i], apart_y = y - field_y[i];
        const float far = (apart_x * apart_x + apart_y * apart_y) * falloff;
        const int counts = far <= FLT_MAX; /* no NaN does */
        const float weight = counts ? share / (1.0f + far) : 0.0f;
        sum_x[i] += counts ? weight * x : 0.0f;
        sum_y[i] += counts ? weight * y : 0.0f;
        weights[i] += weight;
    }
}

int32_t cvsr_steady(const float *field, const float *const *others, const float *shares, int32_t count,
                    float tolerance, int32_t rows, int32_t columns, float *steadied)
{
    if (sizes_are_wrong(rows, columns) || count < 0 || !field || (count && (!others || !shares)) || !steadied)
        return -1;
    for (int32_t i = 0; i < count; i++)
        if (!others[i])
            return -1;
    float *weights = floats((size_t)columns);
    if (!weights)
        return -2;
    const size_t plane = (size_t)rows * (size_t)columns;
    const float falloff = 1.0f / (tolerance * tolerance);
    memcpy(steadied, field, 2 * plane * sizeof *field);
    for (int32_t row = 0; row < rows; row++) {
        const size_t x = (size_t)row * (size_t)columns, y = plane + x;
        for (int32_t i = 0; i < columns; i++)
            weights[i] = 1.0f;
        for (int32_t k = 0; k < count; k++)
            add_line(field + x, field + y, others[k] + x, others[k] + y, shares[k] < 0.0f ? -1.0f : 1.0f,
                     fabsf(shares[k]), falloff, columns, steadied + x, steadied + y, weights);
        for (int32_t i = 0; i < columns; i++) {
            steadied[x + (size_t)i] /= weights[i];
            steadied[y + (size_t)i] /= weights[i];
        }
    }
    free(weights);
    return 0;
}

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
    if (height < 0 || width < 0 || height > CELL * CVSR_MOST_CELLS || width > CELL * CVSR_MOST_CELLS || !picture ||
        !flow || !warped)
        return -1;
    warp(picture, flow, height, width, warped);
    return 0;
}
