/* Bilinear sampling along motion: the warp of features, and the flow head's input.
 *
 * Positions are those of torch's grid_sample with align_corners and a border that goes on for ever. Whatever a flow holds,
 * nothing outside a picture is read. */
#ifndef CVSR_NET_SAMPLE_H
#define CVSR_NET_SAMPLE_H

#include "lanes.h"

enum { CELL = 4 };

#define FLOW_SCALE 0.1f /* of the flow among the head's inputs */

/* The nearest value within bounds; the lower one for NaN. */
INLINE float within(float value, float low, float high)
{
    return value > low ? (value < high ? value : high) : low;
}

INLINE int32_t at_most(int32_t value, int32_t high)
{
    return value < high ? value : high;
}

/* A bilinear sample: offsets of its four pixels and their weights. */
typedef struct {
    size_t a, b, c, d;
    float wa, wb, wc, wd;
} corners;

INLINE corners corners_at(float x, float y, int32_t height, int32_t width)
{
    x = within(x, 0, (float)(width - 1));
    y = within(y, 0, (float)(height - 1));
    const int32_t x0 = (int32_t)x, y0 = (int32_t)y;
    const size_t line = (size_t)y0 * width, next = (size_t)at_most(y0 + 1, height - 1) * width;
    const int32_t x1 = at_most(x0 + 1, width - 1);
    const float fx = x - (float)x0, fy = y - (float)y0;
    return (corners){line + x0,           line + x1,     next + x0,     next + x1,
                     (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx};
}

static void warp(const cvsr_warp *told, int32_t first, int32_t last)
{
    const float *features = told->features, *flow = told->flow, *plus = told->plus;
    const size_t depth = (size_t)told->channels;
    const int32_t height = told->height, width = told->width;
    float *output = told->output;
    for (int32_t y = first; y < last; y++) {
        for (int32_t x = 0; x < width; x++) {
            const size_t pixel = (size_t)y * width + x;
            const corners at = corners_at((float)x + flow[2 * pixel], (float)y + flow[2 * pixel + 1], height, width);
            const float *a = features + at.a * depth, *b = features + at.b * depth;
            const float *c = features + at.c * depth, *d = features + at.d * depth;
            const float *base = plus ? plus + pixel * depth : NULL;
            float *to = output + pixel * depth;
            size_t k = 0;
            for (; k + LANES <= depth; k += LANES) {
                lanes sum = at.wa * LOAD(lanes, a + k) + at.wb * LOAD(lanes, b + k) + at.wc * LOAD(lanes, c + k) +
                            at.wd * LOAD(lanes, d + k);
                STORE(lanes, to + k, base ? sum + LOAD(lanes, base + k) : sum);
            }
            for (; k < depth; k++) {
                const float sum = at.wa * a[k] + at.wb * b[k] + at.wc * c[k] + at.wd * d[k];
                to[k] = base ? sum + base[k] : sum;
            }
        }
    }
}

/* Where pixel `i` lies among the cells: the cell before, and how far on it is towards the next. */
INLINE int32_t cell_of(int32_t i, float *share)
{
    const float position = ((float)i + 0.5f) / CELL - 0.5f;
    const int32_t cell = position > 0 ? (int32_t)position : 0;
    *share = position > 0 ? position - (float)cell : 0;
    return cell;
}

static void flow_input(const cvsr_flow_input *told, int32_t first, int32_t last)
{
    const cvsr_picture *here = &told->here, *there = &told->there;
    const float *field = told->field;
    const int32_t height = told->height, width = told->width;
    float *flow = told->flow, *output = told->output;
    const int32_t rows = (height + CELL - 1) / CELL, columns = (width + CELL - 1) / CELL;
    for (int32_t y = first; y < last; y++) {
        float down, right;
        const int32_t r0 = cell_of(y, &down), r1 = at_most(r0 + 1, rows - 1);
        for (int32_t x = 0; x < width; x++) {
            const int32_t c0 = cell_of(x, &right), c1 = at_most(c0 + 1, columns - 1);
            const size_t pixel = (size_t)y * width + x;
            float motion[2];
            for (int k = 0; k < 2; k++) {
                const float *plane = field + (size_t)k * rows * columns;
                const float *upper = plane + (size_t)r0 * columns, *lower = plane + (size_t)r1 * columns;
                motion[k] = (1 - down) * ((1 - right) * upper[c0] + right * upper[c1]) +
                            down * ((1 - right) * lower[c0] + right * lower[c1]);
                flow[2 * pixel + k] = motion[k];
            }
            if (!output)
                continue;
            const corners at = corners_at((float)x + motion[0], (float)y + motion[1], height, width);
            const four seen =
                at.wa * LOAD(four, there->colours + 4 * at.a) + at.wb * LOAD(four, there->colours + 4 * at.b) +
                at.wc * LOAD(four, there->colours + 4 * at.c) + at.wd * LOAD(four, there->colours + 4 * at.d);
            float *to = output + pixel * CVSR_GROUP;
            STORE(four, to, LOAD(four, here->colours + 4 * pixel));
            STORE(four, to + 3, seen); /* three of each; what is too much is overwritten */
            const four moved = {motion[0] * FLOW_SCALE, motion[1] * FLOW_SCALE, 0, 0};
            STORE(four, to + 6, moved);
            STORE(four, to + 10, (four){0});
            STORE(four, to + 12, (four){0});
        }
    }
}

static void flow_output(const cvsr_flow_output *told, int32_t first, int32_t last)
{
    for (size_t i = (size_t)first * told->width; i < (size_t)last * told->width; i++) {
        told->flow[2 * i] += told->head[CVSR_GROUP * i];
        told->flow[2 * i + 1] += told->head[CVSR_GROUP * i + 1];
    }
}

#endif
