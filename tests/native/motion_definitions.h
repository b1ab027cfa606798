/* Matching errors and prepared pictures from their definition, slow and simple. Included by motion_fuzz.c alone. */
#ifndef CVSR_MOTION_DEFINITIONS_H
#define CVSR_MOTION_DEFINITIONS_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

static long at_border(long value, long size)
{
    return value < 0 ? 0 : value >= size ? size - 1 : value;
}

static long to_sixteenths(float value)
{
    const double longest = 32767, sixteenths = (double)value * 16;
    return lrint(sixteenths < -longest ? -longest : sixteenths > longest ? longest : sixteenths);
}

/* The sum of |current - other| over a cell, in quarters of a luma step; -1 where it has no vector. */
static long sum_at(const uint8_t *current, const uint8_t *other, const float *field, long rows, long columns, long row,
                   long column)
{
    const long width = 4 * columns, height = 4 * rows;
    const size_t at = (size_t)(row * columns + column);
    if (!isfinite(field[at]) || !isfinite(field[(size_t)(rows * columns) + at]))
        return -1;
    const long vx = to_sixteenths(field[at]), vy = to_sixteenths(field[(size_t)(rows * columns) + at]);
    const long part[2] = {vx & 15, vy & 15};
    long sum = 0;
    for (long k = 0; k < 16; k++) {
        const long x = 4 * column + k % 4, y = 4 * row + k / 4;
        long mixed = 0;
        for (int corner = 0; corner < 4; corner++) {
            const long from_x = at_border(x + (vx - part[0]) / 16 + corner % 2, width);
            const long from_y = at_border(y + (vy - part[1]) / 16 + corner / 2, height);
            mixed += (corner % 2 ? part[0] : 16 - part[0]) * (corner / 2 ? part[1] : 16 - part[1]) *
                     other[from_y * width + from_x];
        }
        sum += labs(4 * current[y * width + x] - (mixed + 32) / 64);
    }
    return sum;
}

/* 1 4 1 along; what is empty or outside counts like the cell itself. */
static long weighed(const uint8_t *current, const uint8_t *other, const float *field, long rows, long columns, long row,
                    long column)
{
    if (row < 0 || row >= rows)
        return -1;
    const long here = sum_at(current, other, field, rows, columns, row, column);
    long sum = 4 * here;
    for (long k = -1; k <= 1; k += 2) {
        const int inside = column + k >= 0 && column + k < columns;
        const long side = inside ? sum_at(current, other, field, rows, columns, row, column + k) : -1;
        sum += side < 0 ? here : side;
    }
    return here < 0 ? -1 : sum;
}

static int error_is_right(const uint8_t *current, const uint8_t *other, const float *field, long rows, long columns,
                          long row, long column, float error)
{
    const long here = weighed(current, other, field, rows, columns, row, column);
    if (here < 0)
        return isinf(error) && error > 0;
    const long above = weighed(current, other, field, rows, columns, row - 1, column);
    const long below = weighed(current, other, field, rows, columns, row + 1, column);
    const long sum = 4 * here + (above < 0 ? here : above) + (below < 0 ? here : below);
    return fabs((double)sum / (36 * 64) - error) < 1e-4;
}

/* The prepared picture from its definition. */
static long blurred_at(const uint8_t *picture, long width, long height, long x, long y)
{
    static const long weights[5] = {1, 27, 72, 27, 1};
    long sum = 0;
    for (long j = -2; j <= 2; j++)
        for (long i = -2; i <= 2; i++)
            sum += weights[j + 2] * weights[i + 2] *
                   picture[at_border(at_border(y, height) + j, height) * width + at_border(at_border(x, width) + i, width)];
    long wide = 0;
    for (long j = -7; j <= 7; j++)
        for (long i = -7; i <= 7; i++)
            wide += picture[at_border(at_border(y, height) + j, height) * width +
                            at_border(at_border(x, width) + i, width)];
    return ((sum + 64) >> 7) - (wide * 23302 >> 16);
}

static int is_prepared(const uint8_t *picture, long rows, long columns, const int16_t *prepared)
{
    static const int order[8] = {0, 3, 2, 1, 2, 1, 0, 3};
    const long width = 4 * columns, height = 4 * rows, plane = rows * columns;
    int right = 1;
    for (long i = 0; i < 16 * plane; i++) {
        const long x = i % width, y = i / width;
        right &= prepared[2 * i] == blurred_at(picture, width, height, x, y);
        right &= prepared[2 * i + 1] == blurred_at(picture, width, height, x, y + 1);
    }
    for (long i = 0; i < 8 * plane; i++) {
        const long k = i / plane, x = i % plane % columns * 4 + order[k], y = i % plane / columns * 4 + k % 4;
        const int16_t *sample = prepared + 32 * plane + i;
        right &= sample[0] == blurred_at(picture, width, height, x, y);
        right &= sample[8 * plane] ==
                 blurred_at(picture, width, height, x + 1, y) - blurred_at(picture, width, height, x - 1, y);
        right &= sample[16 * plane] ==
                 blurred_at(picture, width, height, x, y + 1) - blurred_at(picture, width, height, x, y - 1);
    }
    return right;
}

#endif
