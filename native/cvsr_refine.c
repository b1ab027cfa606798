/* Sub-pixel steps: a field moved to where the pictures match best. */
#include "cvsr_motion_internal.h"

enum {
    RING = 8,  /* lines of the warped picture kept at a time */
    KINDS = 5, /* sums of products that make up a system */
    SYSTEMS = 2 * CVSR_MOST_RADIUS + 1, /* lines of systems kept at a time */
    TILE = 16 * CELL, /* pixels warped at once */
};

/* ------------------------------------------------------------------------------------------------------------- blur */

/* One line: down the picture into `line`, which has CVSR_MOST_RADIUS samples of border, then along it. above and below:
 * the lines around it, nearest first. */
CVSR_INLINE void blur_line(const float *here, const float *const *above, const float *const *below, int32_t width,
                           const float *taps, int radius, float *restrict line, float *restrict blurred)
{
    for (int32_t x = 0; x < width; x++) {
        float sum = taps[0] * here[x];
        for (int i = 0; i < radius; i++)
            sum += taps[i + 1] * (above[i][x] + below[i][x]);
        line[x] = sum;
    }
    for (int i = 1; i <= radius; i++) {
        line[-i] = line[0];
        line[width - 1 + i] = line[width - 1];
    }
    for (int32_t x = 0; x < width; x++) {
        float sum = taps[0] * line[x];
        for (int i = 1; i <= radius; i++)
            sum += taps[i] * (line[x - i] + line[x + i]);
        blurred[x] = sum;
    }
}

/* Line y of a picture of which the last `kept` lines are there, line i at i % kept. The radius is a constant in each
 * branch, so that the loops unroll. */
CVSR_CLONES
static void blur_at(const float *lines, int32_t kept, int32_t height, int32_t width, const float *taps, int32_t radius,
                    int32_t y, float *line, float *blurred)
{
    const float *above[CVSR_MOST_RADIUS], *below[CVSR_MOST_RADIUS];
    const float *here = lines + (size_t)(y % kept) * (size_t)width;
    for (int32_t i = 0; i < radius; i++) {
        above[i] = lines + (size_t)(within(y - 1 - i, height) % kept) * (size_t)width;
        below[i] = lines + (size_t)(within(y + 1 + i, height) % kept) * (size_t)width;
    }
#define CVSR_BLUR_CASE(R) \
    case R: \
        blur_line(here, above, below, width, taps, R, line, blurred); \
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

/* scratch: width + 2 * CVSR_MOST_RADIUS. */
static void blur_plane(const float *picture, int32_t height, int32_t width, const float *taps, int32_t radius,
                       float *scratch, float *blurred)
{
    float own_taps[CVSR_MOST_RADIUS + 1];
    memcpy(own_taps, taps, ((size_t)radius + 1) * sizeof *taps);
    if (!width)
        return;
    for (int32_t y = 0; y < height; y++)
        blur_at(picture, height, height, width, own_taps, radius, y, scratch + CVSR_MOST_RADIUS,
                blurred + (size_t)y * (size_t)width);
}

int32_t cvsr_blur(const float *picture, int32_t height, int32_t width, const float *taps, int32_t radius,
                  float *blurred)
{
    if (height < 0 || width < 0 || height > CELL * CVSR_MOST_CELLS || width > CELL * CVSR_MOST_CELLS || radius < 0 ||
        radius > CVSR_MOST_RADIUS || !picture || !taps || !blurred)
        return -1;
    float *scratch = floats((size_t)width + 2 * CVSR_MOST_RADIUS);
    if (!scratch)
        return -2;
    blur_plane(picture, height, width, taps, radius, scratch, blurred);
    free(scratch);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------ steps */

struct workspace {
    float *cells;          /* a line of columns + 2 */
    float *flow[2][2];     /* x and y of an even and an odd row of cells, a line of width + CELL each */
    float *mean;           /* RING lines of width + 2 */
    float *difference;     /* RING lines of width */
    float *sums;           /* KINDS lines */
    float *line;           /* for blurs */
    float *systems[KINDS]; /* SYSTEMS lines of cells */
    float *blurred[KINDS]; /* lines of cells */
};

/* One row of cells to pixels along x: flow[2 + x] for the pixels x = -2 .. 4 * columns + 1. */
CVSR_INLINE void widen(const float *restrict row, int32_t columns, float *restrict line, float *restrict flow)
{
    for (int32_t i = 0; i < columns; i++)
        line[i + 1] = bounded(row[i]);
    line[0] = line[1];
    line[columns + 1] = line[columns];
    for (int32_t i = 0; i <= columns; i++) {
        const float from = line[i], by = line[i + 1] - line[i];
        for (int k = 0; k < CELL; k++)
            flow[CELL * i + k] = from + by * ((float)(2 * k + 1) / (2 * CELL));
    }
}

/* What up to TILE pixels of a line are mixed from: the upper left one of four pixels, the pairs above and below, and the
 * shares of the right and lower ones. */
struct tile {
    int32_t at[TILE];
    float above[2 * TILE], below[2 * TILE];
    float part_x[TILE], part_y[TILE];
};

/* Where the pixels of line y come from; `share` of the flow is that of the lower row of cells. Beyond the border the two
 * outermost pixels stand for all. */
CVSR_INLINE void find_positions(float *const *upper, float *const *lower, float share, int32_t y, int32_t height,
                                int32_t width, int32_t begin, int32_t count, struct tile *restrict tile)
{
    const float *restrict ax = upper[0] + 2 + begin, *restrict ay = upper[1] + 2 + begin;
    const float *restrict bx = lower[0] + 2 + begin, *restrict by = lower[1] + 2 + begin;
    for (int32_t i = 0; i < count; i++) {
        const int32_t x = begin + i;
        const float vx = mix(ax[i], bx[i], share), vy = mix(ay[i], by[i], share);
        const float dx = least(most(vx, (float)-x), (float)(width - 1 - x));
        const float dy = least(most(vy, (float)-y), (float)(height - 1 - y));
        const int32_t to_x = (int32_t)((float)x + dx), to_y = (int32_t)((float)y + dy);
        const int32_t left = to_x < width - 2 ? to_x : width - 2, top = to_y < height - 2 ? to_y : height - 2;
        tile->part_x[i] = dx - (float)(left - x);
        tile->part_y[i] = dy - (float)(top - y);
        tile->at[i] = top * width + left;
    }
}

/* Some pixels of line `here` of the current picture against the warped one: `difference`, and `mean`, which is twice that.
 * Pixels are put together in pairs first; what follows is the same few operations on many at once, however the flow
 * runs. */
CVSR_INLINE void pull(const float *picture, int32_t width, const float *restrict here, int32_t count,
                      struct tile *restrict tile, float *restrict mean, float *restrict difference)
{
    for (int32_t i = 0; i < count; i += CELL) {
        double upper[CELL], lower[CELL]; /* of which each holds two pixels */
        for (int k = 0; k < CELL; k++) {
            const float *from = picture + tile->at[i + k];
            memcpy(upper + k, from, sizeof *upper);
            memcpy(lower + k, from + width, sizeof *lower);
        }
        memcpy(tile->above + 2 * i, upper, sizeof upper);
        memcpy(tile->below + 2 * i, lower, sizeof lower);
    }
    const float *restrict above = tile->above, *restrict below = tile->below;
    for (int32_t i = 0; i < count; i++) {
        const float moved = mix(mix(above[2 * i], above[2 * i + 1], tile->part_x[i]),
                                mix(below[2 * i], below[2 * i + 1], tile->part_x[i]), tile->part_y[i]);
        difference[i] = moved - here[i];
        mean[i] = moved + here[i];
    }
}

/* The systems of a row of cells. The gradient is that of `mean`, twice the mean of both pictures: the lines of the cells
 * and one to each side, with a pixel of border left and right. */
CVSR_INLINE void line_of_systems(const float *const *mean, const float *const *difference, int32_t width, float falloff,
                                 float *restrict sums, float *const *systems, size_t to)
{
    float *restrict s11 = sums, *restrict s12 = s11 + width, *restrict s22 = s12 + width;
    float *restrict s1 = s22 + width, *restrict s2 = s1 + width;
    for (int32_t x = 0; x < width; x++) {
        float a11 = 0.0f, a12 = 0.0f, a22 = 0.0f, b1 = 0.0f, b2 = 0.0f;
        for (int k = 0; k < CELL; k++) {
            const float gx = mean[k + 1][x + 1] - mean[k + 1][x - 1], gy = mean[k + 2][x] - mean[k][x];
            const float apart = difference[k][x], weight = 1.0f / (1.0f + apart * apart * falloff);
            const float wx = weight * gx, wy = weight * gy;
            a11 += wx * gx;
            a12 += wx * gy;
            a22 += wy * gy;
            b1 += wx * apart;
            b2 += wy * apart;
        }
        s11[x] = a11;
        s12[x] = a12;
        s22[x] = a22;
        s1[x] = b1;
        s2[x] = b2;
    }
    for (int kind = 0; kind < KINDS; kind++) { /* means over cells; the gradients above are four times too large */
        const float *restrict from = sums + (size_t)kind * (size_t)width;
        const float scale = 1.0f / (CELL * CELL) / (kind < 3 ? 16.0f : 4.0f);
        float *restrict system = systems[kind] + to;
        for (int32_t i = 0; i < width / CELL; i++)
            system[i] = ((from[CELL * i] + from[CELL * i + 1]) + (from[CELL * i + 2] + from[CELL * i + 3])) * scale;
    }
}

/* Solve a line of systems and move the field, each vector by at most `longest` pixels. */
CVSR_INLINE void move_cells(float *const *systems, int32_t columns, float damping, float longest,
                            float *restrict field_x, float *restrict field_y)
{
    const float *restrict a11 = systems[0], *restrict a12 = systems[1], *restrict a22 = systems[2];
    const float *restrict b1 = systems[3], *restrict b2 = systems[4];
    for (int32_t i = 0; i < columns; i++) {
        const float p = a11[i] + damping, q = a12[i], r = a22[i] + damping;
        const float one = 1.0f / (p * r - q * q);
        const float x = (q * b2[i] - r * b1[i]) * one, y = (q * b1[i] - p * b2[i]) * one;
        const float length = sqrtf(x * x + y * y);
        const float share = least(1.0f, longest / most(length, 1e-6f));
        field_x[i] += x * share;
        field_y[i] += y * share;
    }
}

/* Line by line: warp, add up systems as soon as the line below a row of cells is there, and solve those as soon as all that
 * the window covers is. Vectors are not moved before they were read. */
CVSR_CLONES
static void one_step(const float *current, const float *other, float *field, int32_t rows, int32_t columns,
                     const struct cvsr_refinement *how, const struct workspace *work)
{
    const int32_t height = rows * CELL, width = columns * CELL, radius = how->window_radius;
    const size_t plane = (size_t)rows * (size_t)columns, mean_stride = (size_t)width + 2;
    const float falloff = 1.0f / (how->robust * how->robust);
    float window[CVSR_MOST_RADIUS + 1];
    struct tile tile;
    int32_t solved = 0, widened = 0; /* rows of cells */
    memcpy(window, how->window, ((size_t)radius + 1) * sizeof *window);
    for (int32_t y = 0; y <= height; y++) {
        if (y < height) {
            const int32_t lower = (y + CELL / 2) / CELL, a = lower ? lower - 1 : 0, b = lower < rows ? lower : rows - 1;
            const float share = (float)(2 * ((y + CELL / 2) % CELL) + 1) / (2 * CELL);
            float *restrict mean = work->mean + (size_t)(y % RING) * mean_stride + 1;
            float *restrict difference = work->difference + (size_t)(y % RING) * (size_t)width;
            for (; widened <= b; widened++) {
                const float *row = field + (size_t)widened * (size_t)columns;
                widen(row, columns, work->cells, work->flow[widened % 2][0]);
                widen(row + plane, columns, work->cells, work->flow[widened % 2][1]);
            }
            for (int32_t x = 0; x < width; x += TILE) {
                const int32_t count = width - x < TILE ? width - x : TILE;
                find_positions(work->flow[a % 2], work->flow[b % 2], share, y, height, width, x, count, &tile);
                pull(other, width, current + (size_t)y * (size_t)width + x, count, &tile, mean + x, difference + x);
            }
            mean[-1] = mean[0];
            mean[width] = mean[width - 1];
        }
        if (!y || y % CELL)
            continue;
        const int32_t newest = y / CELL - 1;
        const float *mean[CELL + 2], *difference[CELL];
        for (int32_t k = 0; k < CELL + 2; k++)
            mean[k] = work->mean + (size_t)(within(newest * CELL - 1 + k, height) % RING) * mean_stride + 1;
        for (int32_t k = 0; k < CELL; k++)
            difference[k] = work->difference + (size_t)((newest * CELL + k) % RING) * (size_t)width;
        line_of_systems(mean, difference, width, falloff, work->sums, work->systems,
                        (size_t)(newest % SYSTEMS) * (size_t)columns);
        for (; solved < rows && (solved + radius <= newest || newest == rows - 1); solved++) {
            float *row = field + (size_t)solved * (size_t)columns;
            for (int kind = 0; kind < KINDS; kind++)
                blur_at(work->systems[kind], SYSTEMS, rows, columns, window, radius, solved,
                        work->line + CVSR_MOST_RADIUS, work->blurred[kind]);
            move_cells(work->blurred, columns, how->damping, how->longest_step, row, row + plane);
        }
    }
}

static int is_usable(const struct cvsr_refinement *how)
{
    return how && how->window && how->window_radius >= 0 && how->window_radius <= CVSR_MOST_RADIUS &&
           (!how->smooth || (how->smooth_radius >= 0 && how->smooth_radius <= CVSR_MOST_RADIUS));
}

/* cvsr_refine in place, without its checks. */
static int32_t refine(const float *current, const float *other, float *field, int32_t rows, int32_t columns,
                      const struct cvsr_refinement *how)
{
    const size_t plane = (size_t)rows * (size_t)columns, cells = (size_t)columns, width = cells * CELL;
    if (!plane)
        return 0;
    const size_t lines = (cells + 2) + 4 * (width + CELL) + RING * (2 * width + 2) +
                         KINDS * width + (width + 2 * CVSR_MOST_RADIUS);
    float *memory = floats(lines + KINDS * (SYSTEMS + 1) * cells + (how->smooth ? 2 * plane : 0));
    if (!memory)
        return -2;
    struct workspace work;
    float *free_part = memory;
#define CVSR_TAKE(COUNT) ((free_part += (COUNT)) - (COUNT))
    work.cells = CVSR_TAKE(cells + 2);
    for (int k = 0; k < 4; k++)
        work.flow[k / 2][k % 2] = CVSR_TAKE(width + CELL);
    work.mean = CVSR_TAKE(RING * (width + 2));
    work.difference = CVSR_TAKE(RING * width);
    work.sums = CVSR_TAKE(KINDS * width);
    work.line = CVSR_TAKE(width + 2 * CVSR_MOST_RADIUS);
    for (int k = 0; k < KINDS; k++) {
        work.systems[k] = CVSR_TAKE(SYSTEMS * cells);
        work.blurred[k] = CVSR_TAKE(cells);
    }
    float *smoothed = CVSR_TAKE(how->smooth ? 2 * plane : 0);
#undef CVSR_TAKE

    for (int32_t step = 0; step < how->steps; step++)
        one_step(current, other, field, rows, columns, how, &work);
    if (how->smooth) {
        for (size_t part = 0; part < 2; part++)
            blur_plane(field + part * plane, rows, columns, how->smooth, how->smooth_radius, work.line,
                       smoothed + part * plane);
        memcpy(field, smoothed, 2 * plane * sizeof *field);
    }
    free(memory);
    return 0;
}

int32_t cvsr_refine(const float *current, const float *other, const float *field, int32_t rows, int32_t columns,
                    const struct cvsr_refinement *how, float *refined)
{
    if (sizes_are_wrong(rows, columns) || !current || !other || !field || !refined || !is_usable(how))
        return -1;
    memcpy(refined, field, 2 * (size_t)rows * (size_t)columns * sizeof *field);
    return refine(current, other, refined, rows, columns, how);
}

int32_t cvsr_correct(const float *current, const float *other, const float *first, const float *second, int32_t rows,
                     int32_t columns, const struct cvsr_refinement *how, float *correction)
{
    if (sizes_are_wrong(rows, columns) || !current || !other || !first || !second || !correction || !is_usable(how))
        return -1;
    const size_t size = 2 * (size_t)rows * (size_t)columns;
    float *composed = floats(size);
    if (!composed)
        return -2;
    cvsr_compose_fields(first, second, rows, columns, composed);
    memcpy(correction, composed, size * sizeof *composed);
    const int32_t status = refine(current, other, correction, rows, columns, how);
    for (size_t i = 0; i < size; i++)
        correction[i] -= composed[i];
    free(composed);
    return status;
}
