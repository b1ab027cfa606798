/* Fields put together: one after the other, for motion over more frames than a vector spans, and averaged over time. And
 * a picture sampled along a field. */
#include "cvsr_motion_internal.h"

enum { TILE = 64 }; /* cells done at once */

/* Where the vectors of up to TILE cells of a row point: the four cells around, and the shares of the right and lower ones. */
struct tile {
    float part_x[TILE], part_y[TILE];
    int32_t left[TILE], right[TILE], above[TILE], below[TILE];
    float corners[2][4][TILE];
};

CVSR_INLINE void find_corners(const float *restrict first_x, const float *restrict first_y, int32_t row,
                              int32_t column, int32_t rows, int32_t columns, int32_t count, struct tile *restrict tile)
{
    for (int32_t i = 0; i < count; i++) {
        tile->part_x[i] = first_x[i] == first_x[i] ? first_x[i] / CELL : 0.0f;
        tile->part_y[i] = first_y[i] == first_y[i] ? first_y[i] / CELL : 0.0f;
    }
    for (int32_t i = 0; i < count; i++) {
        tile->part_x[i] = least(most(tile->part_x[i], -FARTHEST), FARTHEST);
        tile->part_y[i] = least(most(tile->part_y[i], -FARTHEST), FARTHEST);
    }
    for (int32_t i = 0; i < count; i++) {
        const int32_t ix = whole(tile->part_x[i]), iy = whole(tile->part_y[i]);
        tile->part_x[i] -= (float)ix;
        tile->part_y[i] -= (float)iy;
        tile->left[i] = column + i + ix;
        tile->above[i] = row + iy;
    }
    for (int32_t i = 0; i < count; i++) {
        tile->right[i] = within(tile->left[i] + 1, columns);
        tile->below[i] = within(tile->above[i] + 1, rows) * columns;
        tile->left[i] = within(tile->left[i], columns);
        tile->above[i] = within(tile->above[i], rows) * columns;
    }
}

/* composed = first + second where first points, bilinear between cell centres, the border repeated. */
CVSR_CLONES
static void compose(const float *restrict first, const float *restrict second, int32_t rows, int32_t columns,
                    float *restrict composed)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    struct tile tile;
    for (int32_t row = 0; row < rows; row++)
        for (int32_t column = 0; column < columns; column += TILE) {
            const int32_t count = columns - column < TILE ? columns - column : TILE;
            const size_t at = (size_t)row * (size_t)columns + (size_t)column;
            find_corners(first + at, first + plane + at, row, column, rows, columns, count, &tile);
            for (int32_t i = 0; i < count; i++)
                for (int part = 0; part < 2; part++) {
                    const float *from = second + (part ? plane : 0);
                    tile.corners[part][0][i] = from[tile.above[i] + tile.left[i]];
                    tile.corners[part][1][i] = from[tile.above[i] + tile.right[i]];
                    tile.corners[part][2][i] = from[tile.below[i] + tile.left[i]];
                    tile.corners[part][3][i] = from[tile.below[i] + tile.right[i]];
                }
            for (int part = 0; part < 2; part++) {
                const float *restrict here = first + (part ? plane : 0) + at;
                float *restrict to = composed + (part ? plane : 0) + at;
                float(*corners)[TILE] = tile.corners[part];
                for (int32_t i = 0; i < count; i++)
                    to[i] = here[i] + mix(mix(corners[0][i], corners[1][i], tile.part_x[i]),
                                          mix(corners[2][i], corners[3][i], tile.part_x[i]), tile.part_y[i]);
            }
        }
}

void cvsr_compose_fields(const float *first, const float *second, int32_t rows, int32_t columns, float *composed)
{
    compose(first, second, rows, columns, composed);
}

int32_t cvsr_compose(const float *first, const float *second, int32_t rows, int32_t columns, float *composed)
{
    if (sizes_are_wrong(rows, columns) || !first || !second || !composed)
        return -1;
    compose(first, second, rows, columns, composed);
    return 0;
}

enum { MOST_AT_ONCE = 256 }; /* cells averaged at once */

CVSR_CLONES
static void steady(const float *restrict field, const float *const *others, const float *shares, int32_t count,
                   float falloff, size_t plane, float *restrict steadied)
{
    float sum_x[MOST_AT_ONCE], sum_y[MOST_AT_ONCE], weights[MOST_AT_ONCE];
    for (size_t begin = 0; begin < plane; begin += MOST_AT_ONCE) {
        const size_t cells = plane - begin < MOST_AT_ONCE ? plane - begin : MOST_AT_ONCE;
        const float *restrict field_x = field + begin, *restrict field_y = field_x + plane;
        for (size_t i = 0; i < cells; i++) {
            sum_x[i] = field_x[i];
            sum_y[i] = field_y[i];
            weights[i] = 1.0f;
        }
        for (int32_t k = 0; k < count; k++) {
            const float *restrict other_x = others[k] + begin, *restrict other_y = other_x + plane;
            const float sign = shares[k] < 0.0f ? -1.0f : 1.0f, share = fabsf(shares[k]);
            for (size_t i = 0; i < cells; i++) {
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
        for (size_t i = 0; i < cells; i++) {
            steadied[begin + i] = sum_x[i] / weights[i];
            steadied[plane + begin + i] = sum_y[i] / weights[i];
        }
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
    steady(field, others, shares, count, 1.0f / (tolerance * tolerance), (size_t)rows * (size_t)columns, steadied);
    return 0;
}

CVSR_CLONES
static void spread(const float *restrict field, const float *const *parts, int32_t count, float share, size_t size,
                   float *restrict corrected)
{
    const float *restrict first = parts[0];
    for (size_t i = 0; i < size; i++)
        corrected[i] = first[i];
    for (int32_t k = 1; k < count; k++) {
        const float *restrict part = parts[k];
        for (size_t i = 0; i < size; i++)
            corrected[i] += part[i];
    }
    for (size_t i = 0; i < size; i++)
        corrected[i] = corrected[i] * share + field[i];
}

int32_t cvsr_spread(const float *field, const float *const *parts, int32_t count, float share, int32_t rows,
                    int32_t columns, float *corrected)
{
    if (sizes_are_wrong(rows, columns) || count < 1 || !field || !parts || !corrected)
        return -1;
    for (int32_t i = 0; i < count; i++)
        if (!parts[i])
            return -1;
    spread(field, parts, count, share, 2 * (size_t)rows * (size_t)columns, corrected);
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
