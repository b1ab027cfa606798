/* Sub-pixel steps: a field moved to where the pictures match best, see cvsr_motion.h. */
#include "internal.h"

enum {
    KINDS = 5,                          /* sums of products in a 2x2 system */
    SYSTEMS = 2 * CVSR_MAX_RADIUS + 1, /* lines of systems in memory */
    TILE = 128,                         /* cells at a time */
    GROUP = CELL,                       /* samples of a cell at a time: one in each line */
    SAMPLES = 2 * GROUP,
    UNITS = 128, /* of a prepared picture, in one luma step */
};

struct workspace {
    float *vectors[3][2];  /* x and y of three rows of cells, finite, columns + 2 */
    float *lines[CELL][2]; /* x and y of the lines of pixels of a row of cells, columns + 2 */
    float *systems;        /* SYSTEMS lines of KINDS * stride */
    float *line, *blurred; /* lines of that size */
    size_t stride;         /* columns and a border of CVSR_MAX_RADIUS to each side */
};

/* One group of samples of up to TILE cells: the pixels that each is mixed from, as they lie in a prepared picture, left and
 * right alternating, and the shares of the lower and right ones. */
struct tile {
    uint32_t pairs[GROUP][2 * TILE];
    float part_x[GROUP][TILE], part_y[GROUP][TILE];
};

/* A pixel and the one below, of two that lie side by side. */
#if CVSR_BIG_ENDIAN
#define CVSR_UPPER(PAIR) ((float)((int32_t)(PAIR) >> 16))
#define CVSR_LOWER(PAIR) ((float)((int32_t)((PAIR) << 16) >> 16))
#else
#define CVSR_UPPER(PAIR) ((float)((int32_t)((PAIR) << 16) >> 16))
#define CVSR_LOWER(PAIR) ((float)((int32_t)(PAIR) >> 16))
#endif

CVSR_INLINE void load_row(const float *restrict row, int32_t columns, float *restrict line)
{
    for (int32_t i = 0; i < columns; i++)
        line[i + 1] = bounded(row[i]);
    line[0] = line[1];
    line[columns + 1] = line[columns];
}

/* Finds where sample `pixel` of the cells of a row comes from, in line y: the field is bilinear between the centres of cells.
 * Beyond the border the two outermost pixels are repeated. */
CVSR_INLINE void find_samples(const int16_t *other, float *const *flow, int32_t pixel, int32_t y, int32_t height,
                              int32_t width, int32_t begin, int32_t count, float *restrict part_x,
                              float *restrict part_y, uint32_t *restrict pairs)
{
    const int32_t from = pixel < CELL / 2 ? begin : begin + 1;
    const float share = (float)((2 * pixel + 1 + CELL) % (2 * CELL)) / (2 * CELL);
    const float *restrict flow_x = flow[0] + from, *restrict flow_y = flow[1] + from;
    int32_t at[TILE];
    for (int32_t i = 0; i < count; i++) {
        const int32_t x = CELL * (begin + i) + pixel;
        const float vx = mix(flow_x[i], flow_x[i + 1], share), vy = mix(flow_y[i], flow_y[i + 1], share);
        const float dx = min_of(max_of(vx, (float)-x), (float)(width - 1 - x));
        const float dy = min_of(max_of(vy, (float)-y), (float)(height - 1 - y));
        const int32_t to_x = (int32_t)((float)x + dx), to_y = (int32_t)((float)y + dy);
        const int32_t left = to_x < width - 2 ? to_x : width - 2, top = to_y < height - 2 ? to_y : height - 2;
        part_x[i] = dx - (float)(left - x);
        part_y[i] = dy - (float)(top - y);
        at[i] = top * width + left;
    }
    for (int32_t i = 0; i < count; i++) {
        double both; /* 64 bits: two pairs */
        memcpy(&both, other + 2 * (size_t)at[i], sizeof both);
        memcpy(pairs + 2 * i, &both, sizeof both);
    }
}

/* Returns the difference of one sample of a cell to the current picture. */
CVSR_INLINE float difference(const struct tile *tile, int k, int32_t i, int16_t here)
{
    const uint32_t left = tile->pairs[k][2 * i], right = tile->pairs[k][2 * i + 1];
    const float part_y = tile->part_y[k][i];
    const float from = mix(CVSR_UPPER(left), CVSR_LOWER(left), part_y);
    const float to = mix(CVSR_UPPER(right), CVSR_LOWER(right), part_y);
    return mix(from, to, tile->part_x[k][i]) - (float)here;
}

/* Adds one group of samples of each cell to the systems. A sample at the robust limit gets the weight 0.5; one division
 * serves four quotients. here: the values of the first sample; those of the others, and differences along and down, lie whole
 * planes behind. */
CVSR_INLINE void add_group(const struct tile *restrict tile, const int16_t *restrict here, size_t plane, int32_t count,
                           float falloff, int is_first, float *restrict sums, size_t stride)
{
    const int16_t *restrict along = here + SAMPLES * plane, *restrict down = along + SAMPLES * plane;
    float *restrict a11 = sums, *restrict a12 = a11 + stride, *restrict a22 = a12 + stride;
    float *restrict b1 = a22 + stride, *restrict b2 = b1 + stride;
    for (int32_t i = 0; i < count; i++) {
        const size_t at = (size_t)i;
        const float apart_a = difference(tile, 0, i, here[at]), apart_b = difference(tile, 1, i, here[plane + at]);
        const float apart_c = difference(tile, 2, i, here[2 * plane + at]);
        const float apart_d = difference(tile, 3, i, here[3 * plane + at]);
        const float far_a = 1.0f + apart_a * apart_a * falloff, far_b = 1.0f + apart_b * apart_b * falloff;
        const float far_c = 1.0f + apart_c * apart_c * falloff, far_d = 1.0f + apart_d * apart_d * falloff;
        const float first = far_a * far_b, second = far_c * far_d, one = 1.0f / (first * second);
        float sum11 = is_first ? 0.0f : a11[i], sum12 = is_first ? 0.0f : a12[i], sum22 = is_first ? 0.0f : a22[i];
        float sum1 = is_first ? 0.0f : b1[i], sum2 = is_first ? 0.0f : b2[i];
#define CVSR_ADD(K, WEIGHT, APART) \
    do { \
        const float gx = (float)along[(K) * plane + at], gy = (float)down[(K) * plane + at]; \
        const float wx = (WEIGHT) * gx, wy = (WEIGHT) * gy; \
        sum11 += wx * gx; \
        sum12 += wx * gy; \
        sum22 += wy * gy; \
        sum1 += wx * (APART); \
        sum2 += wy * (APART); \
    } while (0)
        CVSR_ADD(0, one * second * far_b, apart_a);
        CVSR_ADD(1, one * second * far_a, apart_b);
        CVSR_ADD(2, one * first * far_d, apart_c);
        CVSR_ADD(3, one * first * far_c, apart_d);
#undef CVSR_ADD
        a11[i] = sum11;
        a12[i] = sum12;
        a22[i] = sum22;
        b1[i] = sum1;
        b2[i] = sum2;
    }
}

/* Computes the systems of a row of cells. */
CVSR_INLINE void row_of_systems(const int16_t *current, const int16_t *other, const struct workspace *work, int32_t row,
                                int32_t rows, int32_t columns, int groups, float falloff, float *systems)
{
    const size_t plane = (size_t)rows * (size_t)columns, line = (size_t)columns + 2;
    const int16_t *samples = current + 2 * CELL * CELL * plane + (size_t)row * (size_t)columns;
    for (int k = 0; k < CELL; k++) {
        const int lower = k < CELL / 2 ? row : row + 1;
        const float share = (float)((2 * k + 1 + CELL) % (2 * CELL)) / (2 * CELL);
        for (int part = 0; part < 2; part++) {
            const float *restrict a = work->vectors[within(lower - 1, rows) % 3][part];
            const float *restrict b = work->vectors[within(lower, rows) % 3][part];
            float *restrict to = work->lines[k][part];
            for (size_t i = 0; i < line; i++)
                to[i] = mix(a[i], b[i], share);
        }
    }
    struct tile tile;
    for (int32_t begin = 0; begin < columns; begin += TILE) {
        const int32_t count = columns - begin < TILE ? columns - begin : TILE;
        for (int group = 0; group < groups; group++) {
            const int16_t *here = samples + (size_t)(group * GROUP) * plane + begin;
            for (int k = 0; k < GROUP; k++)
                find_samples(other, work->lines[k], (2 * CELL - k + 2 * group) % CELL, row * CELL + k, rows * CELL,
                             columns * CELL, begin, count, tile.part_x[k], tile.part_y[k], tile.pairs[k]);
            float *sums = systems + CVSR_MAX_RADIUS + begin;
            if (group)
                add_group(&tile, here, plane, count, falloff, 0, sums, work->stride);
            else
                add_group(&tile, here, plane, count, falloff, 1, sums, work->stride);
        }
    }
}

/* Solves a line of systems and moves the field, each vector by at most `longest` pixels. A difference in x or y spans two
 * pixels. */
CVSR_INLINE void move_cells(const float *restrict systems, size_t stride, int32_t columns, float scale, float damping,
                            float longest, float *restrict field_x, float *restrict field_y)
{
    const float *restrict a11 = systems, *restrict a12 = a11 + stride, *restrict a22 = a12 + stride;
    const float *restrict b1 = a22 + stride, *restrict b2 = b1 + stride;
    const float scale_2 = 0.5f * scale, scale_4 = 0.25f * scale;
    for (int32_t i = 0; i < columns; i++) {
        const float p = a11[i] * scale_4 + damping, q = a12[i] * scale_4, r = a22[i] * scale_4 + damping;
        const float c1 = b1[i] * scale_2, c2 = b2[i] * scale_2;
        const float one = 1.0f / (p * r - q * q);
        const float x = (q * c2 - r * c1) * one, y = (q * c1 - p * c2) * one;
        const float length = sqrtf(x * x + y * y);
        const float cut = length > longest ? longest / length : 1.0f;
        field_x[i] = field_x[i] + x * cut;
        field_y[i] = field_y[i] + y * cut;
    }
}

/* One step over the whole field, row by row: systems of as many rows as the window spans are in memory. */
CVSR_CLONES
static void one_step(const int16_t *current, const int16_t *other, float *field, int32_t rows, int32_t columns,
                     const struct cvsr_refinement *how, int groups, const struct workspace *work)
{
    const int32_t radius = how->window_radius;
    const size_t plane = (size_t)rows * (size_t)columns, all = KINDS * work->stride;
    const float falloff = 1.0f / (how->robust * how->robust * (UNITS * UNITS));
    const float scale = 1.0f / (float)(groups * GROUP * UNITS * UNITS);
    const struct cvsr_lines lines = {work->systems, SYSTEMS, rows, columns, KINDS, work->stride};
    float window[CVSR_MAX_RADIUS + 1];
    int32_t solved = 0, loaded = 0; /* rows of cells */
    memcpy(window, how->window, ((size_t)radius + 1) * sizeof *window);
    for (int32_t row = 0; row < rows; row++) {
        for (; loaded <= row + 1 && loaded < rows; loaded++)
            for (size_t part = 0; part < 2; part++)
                load_row(field + part * plane + (size_t)loaded * (size_t)columns, columns, work->vectors[loaded % 3][part]);
        float *systems = work->systems + (size_t)(row % SYSTEMS) * all;
        row_of_systems(current, other, work, row, rows, columns, groups, falloff, systems);
        for (; solved < rows && (solved + radius <= row || row == rows - 1); solved++) {
            cvsr_blur_line(&lines, window, radius, solved, work->line, work->blurred);
            move_cells(work->blurred + CVSR_MAX_RADIUS, work->stride, columns, scale, how->damping, how->max_step,
                       field + (size_t)solved * (size_t)columns, field + plane + (size_t)solved * (size_t)columns);
        }
    }
}

static int is_usable(const struct cvsr_refinement *how)
{
    return how && how->window && how->robust >= 0.01f && how->window_radius >= 0 && how->window_radius <= CVSR_MAX_RADIUS &&
           (!how->smooth || (how->smooth_radius >= 0 && how->smooth_radius <= CVSR_MAX_RADIUS));
}

/* cvsr_refine in place, without its checks. */
static int32_t refine(const int16_t *current, const int16_t *other, float *field, int32_t rows, int32_t columns,
                      const struct cvsr_refinement *how)
{
    const size_t plane = (size_t)rows * (size_t)columns, line = (size_t)columns + 2;
    struct workspace work = {.stride = (size_t)columns + 2 * CVSR_MAX_RADIUS};
    const size_t all = KINDS * work.stride;
    if (!plane)
        return 0;
    float *memory = calloc((6 + 2 * CELL) * line + (SYSTEMS + 2) * all + (how->smooth ? 2 * plane : 0), sizeof *memory);
    if (!memory)
        return -2;
    float *free_part = memory;
    for (int k = 0; k < 6; k++, free_part += line)
        work.vectors[k / 2][k % 2] = free_part;
    for (int k = 0; k < 2 * CELL; k++, free_part += line)
        work.lines[k / 2][k % 2] = free_part;
    work.line = free_part;
    work.blurred = work.line + all;
    work.systems = work.blurred + all;
    float *smoothed = work.systems + SYSTEMS * all;

    for (int32_t step = 0; step < how->steps; step++)
        one_step(current, other, field, rows, columns, how, step == how->steps - 1 ? 2 : 1, &work);
    if (how->smooth) {
        for (size_t part = 0; part < 2; part++)
            cvsr_blur_with_scratch(field + part * plane, rows, columns, how->smooth, how->smooth_radius, work.line,
                                   smoothed + part * plane);
        memcpy(field, smoothed, 2 * plane * sizeof *field);
    }
    free(memory);
    return 0;
}

int32_t cvsr_refine(const int16_t *current, const int16_t *other, const float *field, int32_t rows, int32_t columns,
                    const struct cvsr_refinement *how, float *refined)
{
    if (sizes_are_wrong(rows, columns) || !current || !other || !field || !refined || !is_usable(how))
        return -1;
    memcpy(refined, field, 2 * (size_t)rows * (size_t)columns * sizeof *field);
    return refine(current, other, refined, rows, columns, how);
}

int32_t cvsr_correct_composed(const struct cvsr_composed_match *jobs, int32_t count, int32_t rows, int32_t columns)
{
    if (sizes_are_wrong(rows, columns) || count < 0 || (count && !jobs))
        return -1;
    for (int32_t i = 0; i < count; i++)
        if (!jobs[i].current || !jobs[i].other || !jobs[i].first || !jobs[i].second || !jobs[i].correction ||
            !is_usable(jobs[i].how))
            return -1;
    const size_t size = 2 * (size_t)rows * (size_t)columns;
    float *composed = floats(size + cvsr_compose_scratch(rows, columns));
    if (!composed)
        return -2;
    int32_t status = 0;
    for (int32_t i = 0; i < count && !status; i++) {
        float *correction = jobs[i].correction;
        cvsr_compose_fields(jobs[i].first, jobs[i].second, rows, columns, composed, composed + size);
        memcpy(correction, composed, size * sizeof *composed);
        status = refine(jobs[i].current, jobs[i].other, correction, rows, columns, jobs[i].how);
        for (size_t k = 0; k < size; k++)
            correction[k] -= composed[k];
    }
    free(composed);
    return status;
}
