/* The finished picture: MATLAB's bicubic enlargement by 4, what the network adds, clamped, rounded and interleaved. */
#ifndef CVSR_NET_FINISH_H
#define CVSR_NET_FINISH_H

#include <math.h>
#include <string.h>

#include "cvsr_net_lanes.h"

enum { SCALE = 4, TAPS = 5, ACROSS = 3 * SCALE };

/* Of pixels -2 .. 2 around one, by which of the 4 pixels it becomes: the kernel a = -0.5 at distances of 1/8, 3/8, ... */
static const float bicubic[SCALE][TAPS] = {
    {-0.0439453125f, 0.3896484375f, 0.7275390625f, -0.0732421875f, 0},
    {-0.0068359375f, 0.0908203125f, 0.9638671875f, -0.0478515625f, 0},
    {0, -0.0478515625f, 0.9638671875f, 0.0908203125f, -0.0068359375f},
    {0, -0.0732421875f, 0.7275390625f, 0.3896484375f, -0.0439453125f},
};

/* A row or column beyond the border is the mirror image, the edge itself included. */
INLINE int32_t mirrored(int32_t i, int32_t size) {
  i = ((i % (2 * size)) + 2 * size) % (2 * size);
  return i < size ? i : 2 * size - 1 - i;
}

/* The colours of column x of the row that lies `taps` below and above row y. */
INLINE four column_at(const float *colours, const float *taps, int32_t x, int32_t y, int32_t height, int32_t width) {
  four sum = {0};
  for (int i = 0; i < TAPS; i++) {
    sum += taps[i] * LOAD(four, colours + 4 * ((size_t)mirrored(y + i - 2, height) * width + mirrored(x, width)));
  }
  return sum;
}

INLINE void put_pixels(sixteen values, uint8_t *bytes, float *floats) {
  if (bytes) {
    uint8_t rounded[ACROSS];
    for (int k = 0; k < ACROSS; k++) {
      const float value = values[k] * 255;
      rounded[k] = (uint8_t)(int32_t)rintf(value > 0 ? (value < 255 ? value : 255) : 0);
    }
    memcpy(bytes, rounded, ACROSS);
  } else {
    memcpy(floats, &values, ACROSS * sizeof(float));
  }
}

static void finish(const cvsr_picture *frame, const float *residual, uint8_t *bytes, float *values, int32_t height,
                   int32_t width, int32_t first, int32_t last) {
  sixteen kernel[TAPS]; /* by pixel of the four and colour */
  for (int k = 0; k < TAPS; k++) {
    for (int j = 0; j < 16; j++) {
      kernel[k][j] = j < ACROSS ? bicubic[j / 3][k] : 0;
    }
  }
  for (int32_t y = first; y < last; y++) {
    for (int32_t j = 0; j < SCALE; j++) {
      const size_t line = ((size_t)y * SCALE + j) * width * ACROSS;
      four window[TAPS];
      for (int k = 1; k < TAPS; k++) {
        window[k] = column_at(frame->colours, bicubic[j], k - 3, y, height, width);
      }
      for (int32_t x = 0; x < width; x++) {
        sixteen sum = {0};
        for (int k = 0; k + 1 < TAPS; k++) {
          window[k] = window[k + 1];
        }
        window[TAPS - 1] = column_at(frame->colours, bicubic[j], x + 2, y, height, width);
        for (int k = 0; k < TAPS; k++) {
          const four c = window[k];
          sum += kernel[k] * (sixteen){c[0], c[1], c[2], c[0], c[1], c[2], c[0], c[1],
                                       c[2], c[0], c[1], c[2], 0,    0,    0,    0};
        }
        const float *added = residual + ((size_t)y * width + x) * SCALE * ACROSS + j * ACROSS;
        sixteen more = {0};
        memcpy(&more, added, ACROSS * sizeof(float));
        const size_t at = line + (size_t)x * ACROSS;
        put_pixels(sum + more, bytes ? bytes + at : NULL, values ? values + at : NULL);
      }
    }
  }
}

#endif
