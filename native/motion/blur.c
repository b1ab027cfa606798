/* A symmetric separable filter, the border repeated. */
#include "internal.h"

/* Filters down: lines above and below, nearest first. */
CVSR_INLINE void blur_down(const float *here, const float *const *above, const float *const *below, size_t width,
                           const float *taps, int radius, float *restrict line)
{
    for (size_t x = 0; x < width; x++) {
        float sum = taps[0] * here[x];
        for (int i = 0; i < radius; i++)
            sum += taps[i + 1] * (above[i][x] + below[i][x]);
        line[x] = sum;
    }
}

/* Repeats the border of a line. */
CVSR_INLINE void extend(float *line, int32_t width, int radius)
{
    for (int i = 1; i <= radius; i++) {
        line[-i] = line[0];
        line[width - 1 + i] = line[width - 1];
    }
}

CVSR_INLINE void blur_along(const float *restrict line, size_t width, const float *taps, int radius,
                            float *restrict blurred)
{
    for (size_t x = 0; x < width; x++) {
        float sum = taps[0] * line[x];
        for (int i = 1; i <= radius; i++)
            sum += taps[i] * (*(line + x - i) + line[x + (size_t)i]);
        blurred[x] = sum;
    }
}

/* Filters line y of `parts` pictures side by side, `stride` samples apart, of which the last `stored` lines are in memory,
 * line i at i % stored. Each has CVSR_MAX_RADIUS samples of border in `line` and `blurred`; in `lines` only where there are several. */
CVSR_INLINE void blur_line(const float *lines, int32_t stored, int32_t height, int32_t width, int parts, size_t stride,
                           const float *taps, int radius, int32_t y, float *line, float *blurred)
{
    const float *above[CVSR_MAX_RADIUS], *below[CVSR_MAX_RADIUS];
    const size_t all = (size_t)parts * stride;
    const float *here = lines + (size_t)(y % stored) * all;
    for (int32_t i = 0; i < radius; i++) {
        above[i] = lines + (size_t)(within(y - 1 - i, height) % stored) * all;
        below[i] = lines + (size_t)(within(y + 1 + i, height) % stored) * all;
    }
    blur_down(here, above, below, all, taps, radius, line);
    for (int part = 0; part < parts; part++)
        extend(line + (size_t)part * stride + (parts > 1 ? CVSR_MAX_RADIUS : 0), width, radius);
    if (parts > 1)
        blur_along(line + CVSR_MAX_RADIUS, all - 2 * CVSR_MAX_RADIUS, taps, radius, blurred + CVSR_MAX_RADIUS);
    else
        blur_along(line, all, taps, radius, blurred);
}

/* The radius is a constant in each branch, so that the loops unroll. */
CVSR_CLONES
static void blur_with_radius(const float *lines, int32_t stored, int32_t height, int32_t width, int parts, size_t stride,
                    const float *taps, int32_t radius, int32_t y, float *line, float *blurred)
{
#define CVSR_BLUR_CASE(R) \
    case R: \
        blur_line(lines, stored, height, width, parts, stride, taps, R, y, line, blurred); \
        break
    switch (radius) {
        CVSR_BLUR_CASE(0);
        CVSR_BLUR_CASE(1);
        CVSR_BLUR_CASE(2);
        CVSR_BLUR_CASE(3);
        CVSR_BLUR_CASE(4);
        CVSR_BLUR_CASE(5);
        CVSR_BLUR_CASE(6);
        CVSR_BLUR_CASE(7);
        CVSR_BLUR_CASE(8);
    }
#undef CVSR_BLUR_CASE
}

void cvsr_blur_line(const struct cvsr_lines *lines, const float *taps, int32_t radius, int32_t y, float *line,
                    float *blurred)
{
    blur_with_radius(lines->values, lines->stored, lines->height, lines->width, lines->parts, lines->stride, taps, radius,
                     y, line, blurred);
}

/* scratch: width + 2 * CVSR_MAX_RADIUS. */
void cvsr_blur_with_scratch(const float *picture, int32_t height, int32_t width, const float *taps, int32_t radius,
                       float *scratch, float *blurred)
{
    float own_taps[CVSR_MAX_RADIUS + 1];
    memcpy(own_taps, taps, ((size_t)radius + 1) * sizeof *taps);
    for (int32_t y = 0; y < height; y++)
        blur_with_radius(picture, height, height, width, 1, (size_t)width, own_taps, radius, y, scratch + CVSR_MAX_RADIUS,
                blurred + (size_t)y * (size_t)width);
}

int32_t cvsr_blur_plane(const float *plane, int32_t rows, int32_t columns, const float *taps, int32_t radius,
                        float *blurred)
{
    float *scratch = floats((size_t)columns + 2 * CVSR_MAX_RADIUS);
    if (!scratch)
        return -2;
    if (columns)
        cvsr_blur_with_scratch(plane, rows, columns, taps, radius, scratch, blurred);
    free(scratch);
    return 0;
}
