/* Sub-pixel steps: a field moved to where the pictures match best. */
#include "cvsr_motion_internal.h"

enum {
    BLOCK = 2,     /* side in pixels of the blocks on which systems are solved */
    RING = 8,      /* lines of the warped picture kept at a time */
    SYSTEMS = 2 * CVSR_MOST_RADIUS + 1, /* lines of systems kept at a time */
    LONG_RUN = 32, /* pixels */
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

/* Pixels between four cell centres: `begin` to `end` in x, all with the same whole part (x, y) of their vectors, which
 * the fraction exceeds by less than `taps` - 1 pixels; taps is 2 or 3, or 0 where vectors differ by more. */
struct run {
    int32_t begin, end, x, y, taps;
};

/* The field's vectors at the height of one line of pixels, with one cell of border: `share` from row a to row b. */
CVSR_INLINE void mix_rows(const float *restrict a, const float *restrict b, float share, int32_t columns,
                          float *restrict line)
{
    for (int32_t i = 0; i < columns; i++)
        line[i + 1] = mix(a[i], b[i], share);
    line[0] = line[1];
    line[columns + 1] = line[columns];
}

/* Cells to pixels along x: flow[2 + x] for the pixels x = -2 .. 4 * columns + 1. */
CVSR_INLINE void mix_columns(const float *restrict line, int32_t columns, float *restrict flow)
{
    for (int32_t i = 0; i <= columns; i++) {
        const float from = line[i], by = line[i + 1] - line[i];
        for (int k = 0; k < CELL; k++)
            flow[CELL * i + k] = from + by * ((float)(2 * k + 1) / (2 * CELL));
    }
}

/* The range of whole parts of the vectors around each of columns + 1 groups of pixels between rows a and b; `edge` is
 * scratch of 2 * (columns + 2). */
CVSR_INLINE void find_range(const float *restrict a, const float *restrict b, int32_t columns, float *restrict edge,
                            int32_t *restrict low, int32_t *restrict high)
{
    float *restrict lesser = edge, *restrict greater = edge + columns + 2;
    for (int32_t i = 0; i < columns; i++) {
        lesser[i + 1] = least(a[i], b[i]);
        greater[i + 1] = most(a[i], b[i]);
    }
    lesser[0] = lesser[1];
    greater[0] = greater[1];
    lesser[columns + 1] = lesser[columns];
    greater[columns + 1] = greater[columns];
    for (int32_t i = 0; i <= columns; i++) {
        low[i] = whole(least(lesser[i], lesser[i + 1]));
        high[i] = whole(most(greater[i], greater[i + 1]));
    }
}

/* Cut the pixels of a line into runs; returns their number, up to columns + 1. A long run of two taps is not spoilt by
 * what comes after it. */
static int32_t find_runs(const int32_t *low_x, const int32_t *high_x, const int32_t *low_y, const int32_t *high_y,
                         int32_t columns, struct run *runs)
{
    int32_t count = 0, first_x = 0, last_x = 0, first_y = 0, last_y = 0;
    for (int32_t i = 0; i <= columns; i++) {
        const int32_t end = i < columns ? i * CELL + 2 : columns * CELL;
        struct run *run = runs + count - 1;
        if (count) {
            const int32_t x0 = first_x < low_x[i] ? first_x : low_x[i], x1 = last_x > high_x[i] ? last_x : high_x[i];
            const int32_t y0 = first_y < low_y[i] ? first_y : low_y[i], y1 = last_y > high_y[i] ? last_y : high_y[i];
            const int grows = (x1 - x0) | (y1 - y0);
            if (grows == 0 || (grows == 1 && (run->taps == 3 || run->end - run->begin < LONG_RUN))) {
                first_x = run->x = x0;
                first_y = run->y = y0;
                last_x = x1;
                last_y = y1;
                run->end = end;
                run->taps = 2 + grows;
                continue;
            }
        }
        first_x = low_x[i];
        last_x = high_x[i];
        first_y = low_y[i];
        last_y = high_y[i];
        const int spread = (last_x - first_x) | (last_y - first_y);
        run = runs + count++;
        run->begin = i ? i * CELL - 2 : 0;
        run->end = end;
        run->x = first_x;
        run->y = first_y;
        run->taps = spread > 1 ? 0 : 2 + spread;
    }
    return count;
}

/* One pixel, at any position. */
static float sample(const float *picture, int32_t height, int32_t width, int32_t x, int32_t y, float vx, float vy)
{
    const int32_t ix = whole(vx), iy = whole(vy);
    const float *above = picture + (size_t)within(y + iy, height) * (size_t)width;
    const float *below = picture + (size_t)within(y + iy + 1, height) * (size_t)width;
    const int32_t left = within(x + ix, width), right = within(x + ix + 1, width);
    const float part_x = vx - (float)ix, part_y = vy - (float)iy;
    return mix(mix(above[left], above[right], part_x), mix(below[left], below[right], part_x), part_y);
}

CVSR_INLINE void sample_run(const float *picture, int32_t height, int32_t width, int32_t y, const struct run *run,
                            const float *restrict flow_x, const float *restrict flow_y, float *restrict moved)
{
    int32_t begin = run->begin, end = run->end; /* where every tap is inside */
    if (begin < -run->x)
        begin = -run->x;
    if (end > width - (run->taps - 1) - run->x)
        end = width - (run->taps - 1) - run->x;
    if (!run->taps || begin >= end)
        begin = end = run->end;
    for (int32_t x = run->begin; x < begin; x++)
        moved[x] = sample(picture, height, width, x, y, flow_x[x], flow_y[x]);
    for (int32_t x = end; x < run->end; x++)
        moved[x] = sample(picture, height, width, x, y, flow_x[x], flow_y[x]);
    if (begin >= end)
        return;
    const float whole_x = (float)run->x, whole_y = (float)run->y;
    const float *first = picture + (size_t)within(y + run->y, height) * (size_t)width + (begin + run->x);
    const float *second = picture + (size_t)within(y + run->y + 1, height) * (size_t)width + (begin + run->x);
    const float *third = picture + (size_t)within(y + run->y + 2, height) * (size_t)width + (begin + run->x);
    const int32_t count = end - begin;
    flow_x += begin;
    flow_y += begin;
    moved += begin;
    if (run->taps == 2) {
        for (int32_t i = 0; i < count; i++) {
            const float part_x = flow_x[i] - whole_x, part_y = flow_y[i] - whole_y;
            moved[i] = mix(mix(first[i], first[i + 1], part_x), mix(second[i], second[i + 1], part_x), part_y);
        }
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        const float over_x = flow_x[i] - whole_x, over_y = flow_y[i] - whole_y;
        const float x1 = least(over_x, 1.0f), x2 = most(over_x - 1.0f, 0.0f);
        const float y1 = least(over_y, 1.0f), y2 = most(over_y - 1.0f, 0.0f);
        const float a = first[i] + (first[i + 1] - first[i]) * x1 + (first[i + 2] - first[i + 1]) * x2;
        const float b = second[i] + (second[i + 1] - second[i]) * x1 + (second[i + 2] - second[i + 1]) * x2;
        const float c = third[i] + (third[i + 1] - third[i]) * x1 + (third[i + 2] - third[i + 1]) * x2;
        moved[i] = a + (b - a) * y1 + (c - b) * y2;
    }
}

/* What two lines of pixels add to the systems of their blocks. The gradient is that of `mean`, twice the mean of both
 * pictures; lines of `mean` have a pixel of border on each side. */
CVSR_INLINE void line_of_systems(const float *const *mean, const float *const *difference, int32_t width, float falloff,
                                 float *restrict sums, float *restrict const *systems)
{
    float *restrict s11 = sums, *restrict s12 = s11 + width, *restrict s22 = s12 + width;
    float *restrict s1 = s22 + width, *restrict s2 = s1 + width;
    const float *m0 = mean[0], *m1 = mean[1], *m2 = mean[2], *m3 = mean[3];
    const float *d1 = difference[0], *d2 = difference[1];
    for (int32_t x = 0; x < width; x++) {
        const float gx = (m1[x + 1] - m1[x - 1]) * 0.25f, gy = (m2[x] - m0[x]) * 0.25f;
        const float hx = (m2[x + 1] - m2[x - 1]) * 0.25f, hy = (m3[x] - m1[x]) * 0.25f;
        const float v = 1.0f / (1.0f + d1[x] * d1[x] * falloff), w = 1.0f / (1.0f + d2[x] * d2[x] * falloff);
        const float vx = v * gx, vy = v * gy, wx = w * hx, wy = w * hy;
        s11[x] = vx * gx + wx * hx;
        s12[x] = vx * gy + wx * hy;
        s22[x] = vy * gy + wy * hy;
        s1[x] = vx * d1[x] + wx * d2[x];
        s2[x] = vy * d1[x] + wy * d2[x];
    }
    for (int k = 0; k < 5; k++) {
        const float *restrict from = sums + (size_t)k * (size_t)width;
        float *restrict to = systems[k];
        for (int32_t i = 0; i < width / BLOCK; i++)
            to[i] = (from[2 * i] + from[2 * i + 1]) * 0.25f;
    }
}

/* Solve a line of systems: the step of each block, at most `longest` pixels. */
CVSR_INLINE void line_of_steps(float *const *systems, size_t at, int32_t count, float damping, float longest,
                               float *restrict step_x, float *restrict step_y)
{
    const float *a11 = systems[0] + at, *a12 = systems[1] + at, *a22 = systems[2] + at;
    const float *b1 = systems[3] + at, *b2 = systems[4] + at;
    for (int32_t i = 0; i < count; i++) {
        const float p = a11[i] + damping, q = a12[i], r = a22[i] + damping;
        const float one = 1.0f / (p * r - q * q);
        const float x = (q * b2[i] - r * b1[i]) * one, y = (q * b1[i] - p * b2[i]) * one;
        const float length = sqrtf(x * x + y * y);
        const float share = least(1.0f, longest / most(length, 1e-6f));
        step_x[i] = x * share;
        step_y[i] = y * share;
    }
}

/* Move a line of cells by the mean step of their blocks, two lines of which are in `systems`. steps: 4 lines of blocks. */
CVSR_INLINE void move_cells(float *const *systems, int32_t columns, const struct cvsr_refinement *how, float *steps,
                            float *restrict to_x, float *restrict to_y)
{
    const int32_t wide = columns * CELL / BLOCK;
    float *step_x = steps, *step_y = steps + 2 * wide;
    for (int32_t half = 0; half < BLOCK; half++)
        line_of_steps(systems, (size_t)(half * wide), wide, how->damping, how->longest_step, step_x + half * wide,
                      step_y + half * wide);
    for (int32_t i = 0; i < columns; i++) {
        to_x[i] += (step_x[2 * i] + step_x[2 * i + 1] + (step_x[wide + 2 * i] + step_x[wide + 2 * i + 1])) * 0.25f;
        to_y[i] += (step_y[2 * i] + step_y[2 * i + 1] + (step_y[wide + 2 * i] + step_y[wide + 2 * i + 1])) * 0.25f;
    }
}

struct workspace {
    float *bounded; /* 2 planes of cells: the field cut to where pictures are */
    float *cells;   /* 2 lines of columns + 2 */
    float *flow;    /* 2 lines of width + 4 */
    float *mean;    /* RING lines of width + 2 */
    float *difference; /* RING lines of width */
    float *sums;       /* 5 lines */
    float *line;       /* for blurs */
    float *systems[5]; /* SYSTEMS lines of blocks */
    float *blurred[5]; /* 2 lines of blocks: those of a line of cells */
    struct run *runs;
    int32_t *whole; /* 4 lines of columns + 1 */
};

CVSR_CLONES
static void one_step(const float *current, const float *other, float *field, int32_t rows, int32_t columns,
                        const struct cvsr_refinement *how, const struct workspace *work)
{
    const int32_t height = rows * CELL, width = columns * CELL, wide = width / BLOCK;
    const size_t plane = (size_t)rows * (size_t)columns, mean_stride = (size_t)width + 2;
    const float falloff = 1.0f / (how->robust * how->robust);
    const int32_t block_rows = height / BLOCK, radius = how->window_radius;
    float window[CVSR_MOST_RADIUS + 1];
    int32_t solved = 0; /* lines of blocks */
    memcpy(window, how->window, ((size_t)radius + 1) * sizeof *window);
    float *flow_x = work->flow, *flow_y = work->flow + width + CELL;
    int32_t run_count = 0;
    for (size_t i = 0; i < 2 * plane; i++)
        work->bounded[i] = bounded(field[i]);
    for (int32_t y = 0; y <= height; y++) {
        if (y < height) { /* warp line y */
            const int32_t lower = (y + CELL / 2) / CELL, a = lower ? lower - 1 : 0, b = lower < rows ? lower : rows - 1;
            const float *ax = work->bounded + (size_t)a * (size_t)columns;
            const float *bx = work->bounded + (size_t)b * (size_t)columns;
            const float *ay = ax + plane, *by = bx + plane;
            const float share = (float)(2 * ((y + CELL / 2) % CELL) + 1) / (2 * CELL);
            float *mean = work->mean + (size_t)(y % RING) * mean_stride + 1;
            float *difference = work->difference + (size_t)(y % RING) * (size_t)width;
            const float *here = current + (size_t)y * (size_t)width;
            if (!y || (y + CELL / 2) % CELL == 0) {
                int32_t *low_x = work->whole, *high_x = low_x + columns + 1, *low_y = high_x + columns + 1;
                int32_t *high_y = low_y + columns + 1;
                find_range(ax, bx, columns, work->cells, low_x, high_x);
                find_range(ay, by, columns, work->cells, low_y, high_y);
                run_count = find_runs(low_x, high_x, low_y, high_y, columns, work->runs);
            }
            mix_rows(ax, bx, share, columns, work->cells);
            mix_columns(work->cells, columns, flow_x);
            mix_rows(ay, by, share, columns, work->cells);
            mix_columns(work->cells, columns, flow_y);
            for (int32_t i = 0; i < run_count; i++)
                sample_run(other, height, width, y, work->runs + i, flow_x + 2, flow_y + 2, mean);
            for (int32_t x = 0; x < width; x++) {
                difference[x] = mean[x] - here[x];
                mean[x] += here[x];
            }
            mean[-1] = mean[0];
            mean[width] = mean[width - 1];
        }
        if (y && y % BLOCK == 0) { /* lines y - 2 and y - 1 have all their neighbours now */
            const float *mean[4], *difference[2];
            float *systems[5];
            for (int k = 0; k < 4; k++)
                mean[k] = work->mean + (size_t)(within(y - 3 + k, height) % RING) * mean_stride + 1;
            for (int k = 0; k < 2; k++)
                difference[k] = work->difference + (size_t)((y - 2 + k) % RING) * (size_t)width;
            const int32_t newest = y / BLOCK - 1;
            for (int k = 0; k < 5; k++)
                systems[k] = work->systems[k] + (size_t)(newest % SYSTEMS) * (size_t)wide;
            line_of_systems(mean, difference, width, falloff, work->sums, systems);
            for (; solved < block_rows && (solved + radius <= newest || newest == block_rows - 1); solved++) {
                for (int k = 0; k < 5; k++)
                    blur_at(work->systems[k], SYSTEMS, block_rows, wide, window, radius, solved,
                            work->line + CVSR_MOST_RADIUS, work->blurred[k] + solved % BLOCK * wide);
                if (solved % BLOCK) {
                    float *restrict to_x = field + (size_t)(solved / BLOCK) * (size_t)columns;
                    move_cells(work->blurred, columns, how, work->sums, to_x, to_x + plane);
                }
            }
        }
    }
}

int32_t cvsr_refine(const float *current, const float *other, const float *field, int32_t rows, int32_t columns,
                    const struct cvsr_refinement *how, float *refined)
{
    if (sizes_are_wrong(rows, columns) || !current || !other || !field || !refined || !how || !how->window ||
        how->window_radius < 0 || how->window_radius > CVSR_MOST_RADIUS ||
        (how->smooth && (how->smooth_radius < 0 || how->smooth_radius > CVSR_MOST_RADIUS)))
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns, width = (size_t)columns * CELL, wide = width / BLOCK;
    if (!plane)
        return 0;
    const size_t line_count = 6 * (columns + (size_t)2) + 2 * (width + CELL) + RING * (2 * width + 2) + 5 * width +
                              (width + 2 * CVSR_MOST_RADIUS);
    float *memory = floats(2 * plane + 5 * (SYSTEMS + BLOCK) * wide + line_count);
    struct run *runs = malloc(((size_t)columns + 1) * sizeof *runs);
    if (!memory || !runs) {
        free(memory);
        free(runs);
        return -2;
    }
    struct workspace work;
    float *free_part = memory;
#define CVSR_TAKE(COUNT) ((free_part += (COUNT)) - (COUNT))
    work.bounded = CVSR_TAKE(2 * plane);
    work.cells = CVSR_TAKE(2 * ((size_t)columns + 2));
    work.whole = (int32_t *)(void *)CVSR_TAKE(4 * ((size_t)columns + 1));
    work.flow = CVSR_TAKE(2 * (width + CELL));
    work.mean = CVSR_TAKE(RING * (width + 2));
    work.difference = CVSR_TAKE(RING * width);
    work.sums = CVSR_TAKE(5 * width);
    work.line = CVSR_TAKE(width + 2 * CVSR_MOST_RADIUS);
    for (int k = 0; k < 5; k++) {
        work.systems[k] = CVSR_TAKE(SYSTEMS * wide);
        work.blurred[k] = CVSR_TAKE(BLOCK * wide);
    }
#undef CVSR_TAKE
    work.runs = runs;

    memcpy(refined, field, 2 * plane * sizeof *field);
    for (int32_t step = 0; step < how->steps; step++)
        one_step(current, other, refined, rows, columns, how, &work);
    if (how->smooth) {
        for (size_t part = 0; part < 2; part++)
            blur_plane(refined + part * plane, rows, columns, how->smooth, how->smooth_radius, work.line,
                       work.bounded + part * plane);
        memcpy(refined, work.bounded, 2 * plane * sizeof *refined);
    }
    free(memory);
    free(runs);
    return 0;
}
