/* The pictures of the neighbours, gathered along the motion: bicubic samples, and shift-and-add (models/layers/shift_add.py).
 *
 * Works on 16 pixels of a row at a time. Positions are those of torch's grid_sample with align_corners=True and
 * padding_mode="border"; the bicubic kernel has a = -0.75. No flow, NaN and infinity included, causes a read outside a
 * picture. */
#ifndef CVSR_NET_GATHER_H
#define CVSR_NET_GATHER_H

#include "lanes.h"

enum { FINE = 4, GRID = FINE * FINE, NEIGHBOURS = 4, AT_A_TIME = 16, RADIUS = 2, WINDOW = 2 * RADIUS + 1 };

#define TRUST        (10.0f / 255) /* a sample that differs by much more shows another object */
#define PRIOR_WEIGHT 0.3f          /* weight of a difference of 0 */

/* Pixels x to x + 15 of row y, of which the first `count` are inside the picture, and their flow to one neighbour. */
typedef struct {
    const cvsr_gather *params;
    size_t luma_step; /* floats from row to row */
    int32_t x, y, count;
    sixteen columns, flow_x, flow_y;
} segment;

/* The cubic kernel at distances 1 + t, t, 1 - t and 2 - t. */
INLINE void cubic(sixteen t, sixteen weights[4])
{
    const float a = -0.75f;
    const sixteen u = 1 - t;
    weights[0] = a * t * u * u;
    weights[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
    weights[2] = ((a + 2) * u - (a + 3)) * u * u + 1;
    weights[3] = a * u * t * t;
}

/* ------------------------------------------------------------------------------------------------------------ colours */

/* The first of the four taps of each position, and their weights. Positions are clamped where every tap is the border's. */
INLINE void taps_at(sixteen position, int32_t size, int32_t before[AT_A_TIME], float weights[4][AT_A_TIME])
{
    sixteen kernel[4];
    position = clamp_sixteen(position, -4, (float)size + 4);
    sixteen whole = round_sixteen(position);
    whole = select_sixteen(whole > position, whole - 1, whole);
    cubic(position - whole, kernel);
    for (int k = 0; k < 4; k++)
        STORE(sixteen, weights[k], kernel[k]);
    const sixteen_bits first = __builtin_convertvector(whole, sixteen_bits) - 1;
    for (int p = 0; p < AT_A_TIME; p++)
        before[p] = first[p];
}

/* Writes a neighbour's colours minus the frame's, times `gain`. */
INLINE void compare_colours(const segment *at, int which, float *to)
{
    const int32_t height = at->params->height, width = at->params->width;
    const float *colours = at->params->others[which].colours;
    const float *here = at->params->here.colours + 4 * ((size_t)at->y * width + at->x);
    int32_t columns[AT_A_TIME], rows[AT_A_TIME];
    float across[4][AT_A_TIME], down[4][AT_A_TIME];
    taps_at(at->columns + at->flow_x, width, columns, across);
    taps_at((float)at->y + at->flow_y, height, rows, down);
    for (int p = 0; p < at->count; p++, to += CVSR_GATHER_CHANNELS, here += 4) {
        const int32_t x = columns[p], y = rows[p];
        four sum = {0};
        if (x >= 0 && y >= 0 && x + 4 <= width && y + 4 <= height) {
            const float *from = colours + 4 * ((size_t)y * width + x);
            for (int i = 0; i < 4; i++, from += 4 * (size_t)width) {
                sum += down[i][p] * (across[0][p] * LOAD(four, from) + across[1][p] * LOAD(four, from + 4) +
                                     across[2][p] * LOAD(four, from + 8) + across[3][p] * LOAD(four, from + 12));
            }
        } else {
            for (int i = 0; i < 4; i++) {
                const float *line = colours + 4 * (size_t)clamp_int(y + i, 0, height - 1) * width;
                for (int k = 0; k < 4; k++)
                    sum += down[i][p] * across[k][p] * LOAD(four, line + 4 * clamp_int(x + k, 0, width - 1));
            }
        }
        STORE(four, to, (sum - LOAD(four, here)) * at->params->gain); /* a later store overwrites the fourth value */
    }
}

/* ------------------------------------------------------------------------------------------------------ shift and add */

/* exp(-z) for z >= 0, relative error 1e-7: a power of two times a polynomial. */
INLINE sixteen exp_minus(sixteen z)
{
    const sixteen power = -clamp_sixteen(z, 0, 80), whole = round_sixteen(power * 1.44269504f);
    const sixteen part = power - whole * 0.693359375f + whole * 2.12194440e-4f;
    sixteen value = 1.0f / 5040 * part + 1.0f / 720;
    value = value * part + 1.0f / 120;
    value = value * part + 1.0f / 24;
    value = value * part + 1.0f / 6;
    value = value * part + 0.5f;
    value = value * part + 1;
    value = value * part + 1;
    return value * (sixteen)((__builtin_convertvector(whole, sixteen_bits) + 127) << 23);
}

/* The cubic kernel for offsets of -0.5 .. 0.5 from a pixel, on the five pixels around it. */
INLINE void taps_around(sixteen offset, sixteen weights[WINDOW])
{
    const sixteen_bits is_before = offset < 0;
    const sixteen none = {0};
    sixteen kernel[4];
    cubic(select_sixteen(is_before, 1 + offset, offset), kernel);
    weights[0] = select_sixteen(is_before, kernel[0], none);
    for (int k = 1; k < 4; k++)
        weights[k] = select_sixteen(is_before, kernel[k], kernel[k - 1]);
    weights[4] = select_sixteen(is_before, none, kernel[3]);
}

/* Linear weights of the four grid points along an axis for a sample `offset` pixels from the pixel's centre. */
INLINE void near_points(sixteen offset, sixteen weights[FINE])
{
    for (int k = 0; k < FINE; k++) {
        const sixteen distance = offset * FINE - ((float)k - 1.5f);
        const sixteen near = 1 - select_sixteen(distance < 0, -distance, distance);
        weights[k] = select_sixteen(near > 0, near, (sixteen){0});
    }
}

/* Adds the sample of a neighbour's luma nearest to each pixel to the differences and weights of the pixel's grid. */
INLINE void add_samples(const segment *at, int which, sixteen differences[GRID], sixteen weights[GRID])
{
    const int32_t height = at->params->height, width = at->params->width;
    const float limit = 1 << 20;
    const sixteen by_x = round_sixteen(clamp_sixteen(at->flow_x, -limit, limit));
    const sixteen by_y = round_sixteen(clamp_sixteen(at->flow_y, -limit, limit));
    const sixteen x = at->columns + by_x, y = (float)at->y + by_y;
    const sixteen_bits is_there = (x >= 0) & (x < (float)width) & (y >= 0) & (y < (float)height);
    const sixteen offset_x = (sixteen)((sixteen_bits)(by_x - at->flow_x) & is_there);
    const sixteen offset_y = (sixteen)((sixteen_bits)(by_y - at->flow_y) & is_there);
    const sixteen_bits column = __builtin_convertvector(x, sixteen_bits) & is_there;
    const sixteen_bits row = __builtin_convertvector(y, sixteen_bits) & is_there;
    sixteen across[WINDOW], down[WINDOW], there, here = {0};
    taps_around(offset_x, across);
    taps_around(offset_y, down);
    for (int i = 0; i < WINDOW; i++) {
        const float *line = at->params->here.luma + (size_t)(at->y + i) * at->luma_step + at->x;
        sixteen sum = across[0] * LOAD(sixteen, line);
        for (int k = 1; k < WINDOW; k++)
            sum += across[k] * LOAD(sixteen, line + k);
        here += down[i] * sum;
    }
    for (int p = 0; p < AT_A_TIME; p++)
        there[p] = at->params->others[which].luma[(size_t)(row[p] + RADIUS) * at->luma_step + (size_t)(column[p] + RADIUS)];
    const sixteen difference = there - here, relative = difference * (1 / TRUST);
    const sixteen trust = (sixteen)((sixteen_bits)exp_minus(relative * relative) & is_there);
    sixteen near_x[FINE], near_y[FINE];
    near_points(offset_x, near_x);
    near_points(offset_y, near_y);
    for (int i = 0; i < FINE; i++) {
        const sixteen line = near_y[i] * trust;
        for (int k = 0; k < FINE; k++) {
            const sixteen near = line * near_x[k];
            differences[i * FINE + k] += near * difference;
            weights[i * FINE + k] += near;
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------------- rows */

INLINE void gather_segment(segment *at, float *to)
{
    const cvsr_gather *params = at->params;
    const size_t first = (size_t)at->y * params->width + at->x;
    const float *colours = params->here.colours + 4 * first;
    sixteen differences[GRID] = {{0}}, weights[GRID] = {{0}};
    for (int n = 0; n < NEIGHBOURS; n++) {
        float *sampled = to + 2 * GRID + 3 * n;
        if (params->flows[n]) {
            for (int p = 0; p < AT_A_TIME; p++) {
                const float *flow = params->flows[n] + 2 * (first + (size_t)(p < at->count ? p : 0));
                at->flow_x[p] = flow[0];
                at->flow_y[p] = flow[1];
            }
            compare_colours(at, n, sampled);
            add_samples(at, n, differences, weights);
        } else {
            for (int p = 0; p < at->count; p++)
                STORE(four, sampled + p * CVSR_GATHER_CHANNELS, (four){0});
        }
    }
    float planes[2 * GRID][AT_A_TIME];
    for (int g = 0; g < GRID; g++) {
        const sixteen share = 1 / (weights[g] + PRIOR_WEIGHT);
        STORE(sixteen, planes[g], differences[g] * share * params->gain);
        STORE(sixteen, planes[GRID + g], weights[g] * share);
    }
    for (int p = 0; p < at->count; p++, to += CVSR_GATHER_CHANNELS, colours += 4) {
        for (int g = 0; g < 2 * GRID; g++)
            to[g] = planes[g][p];
        for (int c = 0; c < 3; c++)
            to[2 * GRID + 3 * NEIGHBOURS + c] = (colours[c] - 0.5f) * 2;
        to[CVSR_GATHER_CHANNELS - 1] = 0;
    }
}

/* Luma is padded for groups of 16 pixels that begin at a multiple of 16. */
static void gather(const cvsr_gather *params, int32_t first, int32_t last, int32_t left, int32_t right)
{
    segment at = {.params = params, .luma_step = (size_t)CVSR_LUMA_STEP(params->width)};
    for (at.y = first; at.y < last; at.y++) {
        for (at.x = left / AT_A_TIME * AT_A_TIME; at.x < right; at.x += AT_A_TIME) {
            at.count = min_int(params->width - at.x, AT_A_TIME);
            for (int p = 0; p < AT_A_TIME; p++)
                at.columns[p] = (float)(at.x + p);
            gather_segment(&at, params->output + ((size_t)at.y * params->width + at.x) * CVSR_GATHER_CHANNELS);
        }
    }
}

#endif
