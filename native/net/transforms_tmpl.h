/* The transforms of Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast algorithms for convolutional neural
 * networks", CVPR 2016): 6x6 pixels and 3x3 weights to 36 points, and points to 4x4 pixels. */
#ifndef CVSR_NET_TRANSFORMS_H
#define CVSR_NET_TRANSFORMS_H

#include "lanes.h"

enum { TILE = CVSR_TILE, PATCH = TILE + 2, POINTS = PATCH * PATCH, GROUP = CVSR_GROUP };

/* Stores a register of a point at `to` + `at`, as float or as bfloat16. */
INLINE void put_point(void *to, size_t at, lanes value, const int is_bf16)
{
    if (is_bf16)
        store_bf16((uint16_t *)to + at, value);
    else
        STORE(lanes, (float *)to + at, value);
}

/* One row or column of the transform: 6 values to 6 points, `step` apart. */
INLINE void forward(lanes d0, lanes d1, lanes d2, lanes d3, lanes d4, lanes d5, void *to, size_t at, size_t step,
                    const int is_bf16)
{
    const lanes evens = d4 - 4 * d2, odds = d3 - 4 * d1, near = d4 - d2, far = d3 - d1;
    put_point(to, at, 4 * d0 + (d4 - 5 * d2), is_bf16);
    put_point(to, at + step, evens + odds, is_bf16);
    put_point(to, at + 2 * step, evens - odds, is_bf16);
    put_point(to, at + 3 * step, near + 2 * far, is_bf16);
    put_point(to, at + 4 * step, near - 2 * far, is_bf16);
    put_point(to, at + 5 * step, 4 * d1 + (d5 - 5 * d3), is_bf16);
}

/* Makes the compiler reload values after this: there are too few registers, and loads are cheaper than spills. */
#define FORGET() __asm__ volatile("" ::: "memory")

/* Transforms 6x6 pixels of 16 channels to 36 points, two rows of points at a time. Strides: `row` and `pixel` for the input,
 * `step` between points, which begin at `to` + `at`. */
INLINE void to_points(const float *from, size_t row, size_t pixel, void *to, size_t at, size_t step, const int is_bf16)
{
#define AT(y) LOAD(lanes, d + (y) * row)
    for (int c = 0; c < GROUP; c += LANES, from += LANES, at += LANES) {
        lanes a[PATCH], b[PATCH];
        const float *d = from;
        for (int x = 0; x < PATCH; x++, d += pixel) {
            const lanes evens = AT(4) - 4 * AT(2), odds = AT(3) - 4 * AT(1);
            a[x] = evens + odds;
            b[x] = evens - odds;
        }
        forward(a[0], a[1], a[2], a[3], a[4], a[5], to, at + PATCH * step, step, is_bf16);
        forward(b[0], b[1], b[2], b[3], b[4], b[5], to, at + 2 * PATCH * step, step, is_bf16);
        FORGET();
        d = from;
        for (int x = 0; x < PATCH; x++, d += pixel) {
            const lanes near = AT(4) - AT(2), far = AT(3) - AT(1);
            a[x] = near + 2 * far;
            b[x] = near - 2 * far;
        }
        forward(a[0], a[1], a[2], a[3], a[4], a[5], to, at + 3 * PATCH * step, step, is_bf16);
        forward(b[0], b[1], b[2], b[3], b[4], b[5], to, at + 4 * PATCH * step, step, is_bf16);
        FORGET();
        d = from;
        for (int x = 0; x < PATCH; x++, d += pixel) {
            a[x] = 4 * AT(0) + (AT(4) - 5 * AT(2));
            b[x] = 4 * AT(1) + (AT(5) - 5 * AT(3));
        }
        forward(a[0], a[1], a[2], a[3], a[4], a[5], to, at, step, is_bf16);
        forward(b[0], b[1], b[2], b[3], b[4], b[5], to, at + 5 * PATCH * step, step, is_bf16);
        FORGET();
    }
#undef AT
}

/* Stores a register of output channels after bias, activation and residual. */
INLINE void put(lanes sum, lanes bias, float slope, const float *residual, float *to)
{
    lanes value = sum + bias;
    value = max_lanes(value, slope * value);
    STORE(lanes, to, residual ? value + LOAD(lanes, residual) : value);
}

/* Transforms a row of 6 points to 4 pixels, `apart` from each other. */
INLINE void put_row(const lanes m[PATCH], lanes bias, float slope, const float *residual, float *to, size_t apart)
{
    const lanes sum = m[1] + m[2], difference = m[1] - m[2], far_sum = m[3] + m[4], far_difference = m[3] - m[4];
    put(m[0] + sum + far_sum, bias, slope, residual, to);
    put(difference + 2 * far_difference, bias, slope, residual ? residual + apart : NULL, to + apart);
    put(sum + 4 * far_sum, bias, slope, residual ? residual + 2 * apart : NULL, to + 2 * apart);
    put(difference + 8 * far_difference + m[5], bias, slope, residual ? residual + 3 * apart : NULL, to + 3 * apart);
}

/* Transforms 36 points to 4x4 pixels. Strides: `step` between points, `row` and `pixel` for the output. */
INLINE void from_tile(const float *from, size_t step, lanes bias, float slope, const float *residual, float *to,
                      size_t row, size_t pixel)
{
#define AT(y) LOAD(lanes, m + (y) * PATCH * step)
    lanes a[PATCH], b[PATCH];
    const float *m = from;
    for (int x = 0; x < PATCH; x++, m += step) {
        const lanes sum = AT(1) + AT(2), far_sum = AT(3) + AT(4);
        a[x] = AT(0) + sum + far_sum;
        b[x] = sum + 4 * far_sum;
    }
    put_row(a, bias, slope, residual, to, pixel);
    put_row(b, bias, slope, residual ? residual + 2 * row : NULL, to + 2 * row, pixel);
    FORGET();
    m = from;
    for (int x = 0; x < PATCH; x++, m += step) {
        const lanes difference = AT(1) - AT(2), far_difference = AT(3) - AT(4);
        a[x] = difference + 2 * far_difference;
        b[x] = difference + 8 * far_difference + AT(5);
    }
    put_row(a, bias, slope, residual ? residual + row : NULL, to + row, pixel);
    put_row(b, bias, slope, residual ? residual + 3 * row : NULL, to + 3 * row, pixel);
    FORGET();
#undef AT
}

/* Transforms 3x3 weights to 36 points. */
static void pack3x3(const float *w, double points[POINTS])
{
    static const double factors[PATCH][3] = {{1. / 4, 0, 0},
                                                  {-1. / 6, -1. / 6, -1. / 6},
                                                  {-1. / 6, 1. / 6, -1. / 6},
                                                  {1. / 24, 1. / 12, 1. / 6},
                                                  {1. / 24, -1. / 12, 1. / 6},
                                                  {0, 0, 1}};
    for (int y = 0; y < PATCH; y++) {
        for (int x = 0; x < PATCH; x++) {
            double sum = 0;
            for (int i = 0; i < 9; i++)
                sum += factors[y][i / 3] * factors[x][i % 3] * (double)w[i];
            points[y * PATCH + x] = sum;
        }
    }
}

#endif
