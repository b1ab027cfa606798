/* Sampling along motion: the warp of features, the flow head's input, and what a frame's neighbours add to it.
 *
 * Positions are those of torch's grid_sample with align_corners and a border that goes on for ever; its bicubic kernel has
 * a = -0.75. Whatever a flow holds, nothing outside a picture is read. */
#ifndef CVSR_NET_SAMPLE_H
#define CVSR_NET_SAMPLE_H

#include <math.h>
#include <string.h>

#include "cvsr_net_lanes.h"

enum { FINE = 4, POINTS_OF_GRID = FINE * FINE, NEIGHBOURS = 4 };

#define TRUST (10.0f / 255)  /* of shift_add.py: samples that differ much more are taken for something else */
#define PRIOR_WEIGHT 0.3f    /* of shift_add.py: of "no difference" */
#define FLOW_SCALE 0.1f      /* of the flow among the head's inputs */

/* The nearest value within bounds; the lower one for NaN. */
INLINE float within(float value, float low, float high) { return value > low ? (value < high ? value : high) : low; }

INLINE int32_t at_most(int32_t value, int32_t high) { return value < high ? value : high; }

INLINE int32_t inside(int32_t value, int32_t size) { return value < 0 ? 0 : at_most(value, size - 1); }

/* A bilinear sample: offsets of its four pixels and their weights. */
typedef struct {
  size_t a, b, c, d;
  float wa, wb, wc, wd;
} corners;

INLINE corners corners_at(float x, float y, int32_t height, int32_t width) {
  x = within(x, 0, (float)(width - 1));
  y = within(y, 0, (float)(height - 1));
  const int32_t x0 = (int32_t)x, y0 = (int32_t)y;
  const size_t line = (size_t)y0 * width, next = (size_t)at_most(y0 + 1, height - 1) * width;
  const int32_t x1 = at_most(x0 + 1, width - 1);
  const float fx = x - (float)x0, fy = y - (float)y0;
  return (corners){line + x0,           line + x1,     next + x0,     next + x1,
                   (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx};
}

static void warp(const float *features, const float *flow, const float *plus, float *output, int32_t channels,
                 int32_t height, int32_t width, int32_t first, int32_t last) {
  const size_t depth = (size_t)channels;
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
INLINE int32_t cell_of(int32_t i, float *share) {
  const float position = ((float)i + 0.5f) / FINE - 0.5f;
  const int32_t cell = position > 0 ? (int32_t)position : 0;
  *share = position > 0 ? position - (float)cell : 0;
  return cell;
}

static void flow_input(const cvsr_picture *here, const cvsr_picture *there, const float *field, float *flow,
                       float *output, int32_t height, int32_t width, int32_t first, int32_t last) {
  const int32_t rows = (height + FINE - 1) / FINE, columns = (width + FINE - 1) / FINE;
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
      const corners at = corners_at((float)x + motion[0], (float)y + motion[1], height, width);
      const four seen = at.wa * LOAD(four, there->colours + 4 * at.a) + at.wb * LOAD(four, there->colours + 4 * at.b) +
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

/* ------------------------------------------------------------------------------------------------- bicubic, a = -0.75 */

INLINE four cubic(float t) {
  const float a = -0.75f, u = 1 - t, v = 1 + t, w = 2 - t;
  return (four){((a * v - 5 * a) * v + 8 * a) * v - 4 * a, ((a + 2) * t - (a + 3)) * t * t + 1,
                ((a + 2) * u - (a + 3)) * u * u + 1, ((a * w - 5 * a) * w + 8 * a) * w - 4 * a};
}

/* A position's whole part and its fraction; far outside, where every tap is the border's, the position does not matter. */
INLINE int32_t split(float position, int32_t size, float *fraction) {
  position = within(position, -4, (float)size + 4);
  const float whole = floorf(position);
  *fraction = position - whole;
  return (int32_t)whole;
}

/* The colours at a position. */
INLINE four colours_at(const float *colours, float x, float y, int32_t height, int32_t width) {
  float fx, fy;
  const int32_t x0 = split(x, width, &fx) - 1, y0 = split(y, height, &fy) - 1;
  const four wx = cubic(fx), wy = cubic(fy);
  four sum = {0};
  if (x0 >= 0 && y0 >= 0 && x0 + 4 <= width && y0 + 4 <= height) {
    const float *from = colours + 4 * ((size_t)y0 * width + x0);
    for (int i = 0; i < 4; i++, from += 4 * (size_t)width) {
      sum += wy[i] * (wx[0] * LOAD(four, from) + wx[1] * LOAD(four, from + 4) + wx[2] * LOAD(four, from + 8) +
                      wx[3] * LOAD(four, from + 12));
    }
    return sum;
  }
  for (int i = 0; i < 4; i++) {
    const float *line = colours + 4 * (size_t)inside(y0 + i, height) * width;
    four across = {0};
    for (int k = 0; k < 4; k++) {
      across += wx[k] * LOAD(four, line + 4 * inside(x0 + k, width));
    }
    sum += wy[i] * across;
  }
  return sum;
}

INLINE float luma_at(const float *luma, float x, float y, int32_t height, int32_t width) {
  float fx, fy;
  const int32_t x0 = split(x, width, &fx) - 1, y0 = split(y, height, &fy) - 1;
  const four wx = cubic(fx), wy = cubic(fy);
  four sum = {0};
  if (x0 >= 0 && y0 >= 0 && x0 + 4 <= width && y0 + 4 <= height) {
    const float *from = luma + (size_t)y0 * width + x0;
    for (int i = 0; i < 4; i++, from += width) {
      sum += wy[i] * LOAD(four, from);
    }
  } else {
    for (int i = 0; i < 4; i++) {
      const float *line = luma + (size_t)inside(y0 + i, height) * width;
      sum += wy[i] * (four){line[inside(x0, width)], line[inside(x0 + 1, width)], line[inside(x0 + 2, width)],
                            line[inside(x0 + 3, width)]};
    }
  }
  sum *= wx;
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* ------------------------------------------------------------------------------------------------------ shift and add */

/* exp(-z) for z >= 0, to 1e-7 of it: a power of two and a polynomial. */
INLINE float falling(float z) {
  const float whole = rintf(within(z, 0, 80) * -1.44269504f);
  const float rest = -within(z, 0, 80) - whole * 0.693359375f + whole * 2.12194440e-4f;
  float value = 1.0f / 5040;
  value = value * rest + 1.0f / 720;
  value = value * rest + 1.0f / 120;
  value = value * rest + 1.0f / 24;
  value = value * rest + 1.0f / 6;
  value = value * rest + 0.5f;
  value = value * rest + 1;
  value = value * rest + 1;
  const int32_t bits = ((int32_t)whole + 127) * (1 << 23);
  float power;
  memcpy(&power, &bits, sizeof power);
  return value * power;
}

/* The weights of the four grid points along an axis, for a sample `offset` pixels from the pixel's centre. */
INLINE four near_points(float offset) {
  const four points = {-1.5f, -0.5f, 0.5f, 1.5f};
  four near;
  for (int k = 0; k < 4; k++) {
    near[k] = within(1 - fabsf(offset * FINE - points[k]), 0, 1);
  }
  return near;
}

/* Adds the sample of a neighbour's luma that lands nearest to pixel (x, y) to the differences and weights of its grid. */
INLINE void add_sample(const cvsr_look *look, int which, int32_t x, int32_t y, float fx, float fy, sixteen *differences,
                       sixteen *weights) {
  const int32_t height = look->height, width = look->width;
  const float nx = rintf(fx), ny = rintf(fy), px = (float)x + nx, py = (float)y + ny;
  if (!(px >= 0 && px < (float)width && py >= 0 && py < (float)height)) {
    return;
  }
  const float ox = nx - fx, oy = ny - fy;
  const float there = look->others[which].luma[(size_t)(int32_t)py * width + (int32_t)px];
  const float difference = there - luma_at(look->here.luma, (float)x + ox, (float)y + oy, height, width);
  const float relative = difference / TRUST, trust = falling(relative * relative);
  const four across = near_points(ox), down = near_points(oy) * trust;
  sixteen near;
  for (int k = 0; k < POINTS_OF_GRID; k++) {
    near[k] = down[k / FINE] * across[k % FINE];
  }
  *differences += near * difference;
  *weights += near;
}

static void look(const cvsr_look *look, int32_t first, int32_t last) {
  const int32_t height = look->height, width = look->width;
  for (int32_t y = first; y < last; y++) {
    for (int32_t x = 0; x < width; x++) {
      const size_t pixel = (size_t)y * width + x;
      const four here = LOAD(four, look->here.colours + 4 * pixel);
      float *to = look->output + pixel * CVSR_LOOK;
      float *seen = to + 2 * POINTS_OF_GRID;
      sixteen differences = {0}, weights = {0};
      for (int n = 0; n < NEIGHBOURS; n++, seen += 3) {
        if (!look->flows[n]) {
          STORE(four, seen, (four){0});
          continue;
        }
        const float fx = look->flows[n][2 * pixel], fy = look->flows[n][2 * pixel + 1];
        const four there = colours_at(look->others[n].colours, (float)x + fx, (float)y + fy, height, width);
        STORE(four, seen, (there - here) * look->gain); /* its fourth value is overwritten */
        add_sample(look, n, x, y, fx, fy, &differences, &weights);
      }
      const four itself = (here - 0.5f) * 2;
      STORE(four, seen, ((four){itself[0], itself[1], itself[2], 0}));
      const sixteen share = 1 / (weights + PRIOR_WEIGHT);
      STORE(sixteen, to, differences * share * look->gain);
      STORE(sixteen, to + POINTS_OF_GRID, weights * share);
    }
  }
}

#endif
