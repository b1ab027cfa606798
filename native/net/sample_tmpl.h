/* Bilinear sampling along motion: the warp of features, and the flow head's input.
 *
 * Positions are those of torch's grid_sample with align_corners=True and padding_mode="border". No flow, NaN and infinity
 * included, causes a read outside a picture. */
#ifndef CVSR_NET_SAMPLE_H
#define CVSR_NET_SAMPLE_H

#include "lanes.h"

enum { CELL = 4 };

#define FLOW_SCALE 0.1f /* factor of the flow in the head's input */

/* The four pixels of a bilinear sample, as offsets, and their weights. */
typedef struct {
    size_t a, b, c, d;
    float wa, wb, wc, wd;
} corners;

INLINE corners corners_at(float x, float y, int32_t height, int32_t width)
{
    x = clamp_float(x, 0, (float)(width - 1));
    y = clamp_float(y, 0, (float)(height - 1));
    const int32_t x0 = (int32_t)x, y0 = (int32_t)y;
    const size_t line = (size_t)y0 * width, next = (size_t)min_int(y0 + 1, height - 1) * width;
    const int32_t x1 = min_int(x0 + 1, width - 1);
    const float fx = x - (float)x0, fy = y - (float)y0;
    return (corners){line + x0,           line + x1,     next + x0,     next + x1,
                     (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx};
}

static void warp(const cvsr_warp *params, int32_t first, int32_t last, int32_t left, int32_t right)
{
    const float *features = params->features, *flow = params->flow, *plus = params->plus;
    const size_t depth = (size_t)params->channels;
    const int32_t height = params->height, width = params->width;
    float *output = params->output;
    for (int32_t y = first; y < last; y++) {
        for (int32_t x = left; x < right; x++) {
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

/* The cell whose centre lies at or before pixel `i`, and the pixel's share of the distance to the next centre, 0..1. */
INLINE int32_t cell_of(int32_t i, float *share)
{
    const float position = ((float)i + 0.5f) / CELL - 0.5f;
    const int32_t cell = position > 0 ? (int32_t)position : 0;
    *share = position > 0 ? position - (float)cell : 0;
    return cell;
}

static void flow_input(const cvsr_flow_input *params, int32_t first, int32_t last, int32_t left, int32_t right)
{
    const cvsr_picture *here = &params->here, *there = &params->there;
    const float *field = params->field;
    const int32_t height = params->height, width = params->width;
    float *flow = params->flow, *output = params->output;
    const int32_t rows = (height + CELL - 1) / CELL, columns = (width + CELL - 1) / CELL;
    for (int32_t y = first; y < last; y++) {
        float down, across;
        const int32_t r0 = cell_of(y, &down), r1 = min_int(r0 + 1, rows - 1);
        for (int32_t x = left; x < right; x++) {
            const int32_t c0 = cell_of(x, &across), c1 = min_int(c0 + 1, columns - 1);
            const size_t pixel = (size_t)y * width + x;
            float motion[2];
            for (int k = 0; k < 2; k++) {
                const float *plane = field + (size_t)k * rows * columns;
                const float *upper = plane + (size_t)r0 * columns, *lower = plane + (size_t)r1 * columns;
                motion[k] = (1 - down) * ((1 - across) * upper[c0] + across * upper[c1]) +
                            down * ((1 - across) * lower[c0] + across * lower[c1]);
                flow[2 * pixel + k] = motion[k];
            }
            if (!output)
                continue;
            const corners at = corners_at((float)x + motion[0], (float)y + motion[1], height, width);
            const four sampled =
                at.wa * LOAD(four, there->colours + 4 * at.a) + at.wb * LOAD(four, there->colours + 4 * at.b) +
                at.wc * LOAD(four, there->colours + 4 * at.c) + at.wd * LOAD(four, there->colours + 4 * at.d);
            float *to = output + pixel * CVSR_GROUP;
            STORE(four, to, LOAD(four, here->colours + 4 * pixel));
            STORE(four, to + 3, sampled); /* three values each; the next store overwrites the fourth */
            const four scaled = {motion[0] * FLOW_SCALE, motion[1] * FLOW_SCALE, 0, 0};
            STORE(four, to + 6, scaled);
            STORE(four, to + 10, (four){0});
            STORE(four, to + 12, (four){0});
        }
    }
}

static void flow_output(const cvsr_flow_output *params, int32_t first, int32_t last, int32_t left, int32_t right)
{
    for (int32_t y = first; y < last; y++) {
        for (int32_t x = left; x < right; x++) {
            const size_t i = (size_t)y * params->width + x;
            params->flow[2 * i] += params->head[CVSR_GROUP * i];
            params->flow[2 * i + 1] += params->head[CVSR_GROUP * i + 1];
        }
    }
}

#endif
