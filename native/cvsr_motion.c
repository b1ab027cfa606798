#include "cvsr_motion.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The loops over pixels are compiled twice on x86-64 and the loader picks by processor. No operation is fused or
 * reordered (-ffp-contract=off, no -ffast-math), so both give the same bits. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(CVSR_NO_CLONES)
#define CVSR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CVSR_CLONES
#endif
#if defined(__GNUC__)
#define CVSR_INLINE static inline __attribute__((always_inline))
#else
#define CVSR_INLINE static inline
#endif

enum {
    CELL = CVSR_CELL,
    PATCH = 8, /* floats per line of a copied neighbourhood of (CELL + 1)^2 */
    BLOCK = 2, /* side in pixels of the blocks on which the refinement solves its systems */
    RING = 8,  /* lines of the warped picture kept at a time */
};

#define FARTHEST 1048576.0f /* pixels; vectors are cut to it, beyond there is only border */

/* ------------------------------------------------------------------------------------------------------- helpers */

CVSR_INLINE int is_finite(float value)
{
    return fabsf(value) <= FLT_MAX;
}

CVSR_INLINE float bounded(float value)
{
    if (!(value >= -FARTHEST)) /* NaN too */
        return value == value ? -FARTHEST : 0.0f;
    return value > FARTHEST ? FARTHEST : value;
}

/* The largest integer that is not above a bounded value; floorf would be a call on plain x86-64. */
CVSR_INLINE int32_t whole(float value)
{
    const int32_t truncated = (int32_t)value;
    return truncated - (value < (float)truncated);
}

CVSR_INLINE int32_t within(int32_t value, int32_t size)
{
    return value < 0 ? 0 : value >= size ? size - 1 : value;
}

CVSR_INLINE float mix(float from, float to, float share)
{
    return from + (to - from) * share;
}

static int sizes_are_wrong(int32_t rows, int32_t columns)
{
    return rows < 0 || columns < 0 || rows > CVSR_MOST_CELLS || columns > CVSR_MOST_CELLS;
}

static float *floats(size_t count)
{
    return malloc((count ? count : 1) * sizeof(float));
}

/* ------------------------------------------------------------------------------------------------- matching error */

/* |current - other| of `wide` x CELL pixels for one fraction of a pixel; `from` has a line and a column more. */
CVSR_INLINE void differences(const float *restrict current, const float *restrict from, size_t stride,
                             size_t from_stride, float x, float y, int wide, float *restrict difference)
{
    float above[2 * CELL], below[2 * CELL];
    for (int k = 0; k < wide; k++)
        above[k] = mix(from[k], from[k + 1], x);
    for (int line = 0; line < CELL; line++) {
        from += from_stride;
        for (int k = 0; k < wide; k++)
            below[k] = mix(from[k], from[k + 1], x);
        for (int k = 0; k < wide; k++) {
            difference[k] = fabsf(current[k] - mix(above[k], below[k], y));
            above[k] = below[k];
        }
        current += stride;
        difference += stride;
    }
}

/* The same for a whole number of pixels. */
CVSR_INLINE void whole_differences(const float *restrict current, const float *restrict from, size_t stride,
                                   size_t from_stride, int wide, float *restrict difference)
{
    for (int line = 0; line < CELL; line++) {
        for (int k = 0; k < wide; k++)
            difference[k] = fabsf(current[k] - from[k]);
        current += stride;
        difference += stride;
        from += from_stride;
    }
}

/* A copy of the (CELL + 1)^2 pixels from (x, y) on, the border repeated. */
static void copy_patch(const float *picture, int32_t height, int32_t width, int32_t x, int32_t y, float *patch)
{
    for (int32_t line = 0; line <= CELL; line++) {
        const float *from = picture + (size_t)within(y + line, height) * (size_t)width;
        for (int32_t k = 0; k <= CELL; k++)
            patch[line * PATCH + k] = from[within(x + k, width)];
    }
}

/* One line of cells: |current - other warped| into CELL lines of `difference`. */
CVSR_INLINE void line_of_differences(const float *current, const float *other, const float *field_x,
                                     const float *field_y, int32_t row, int32_t rows, int32_t columns,
                                     float *difference)
{
    const int32_t height = rows * CELL, width = columns * CELL;
    const size_t stride = (size_t)width;
    float patch[(CELL + 1) * PATCH];
    int32_t wide;
    current += (size_t)row * CELL * stride;
    for (int32_t column = 0; column < columns; column += wide) {
        float vx = field_x[column], vy = field_y[column];
        if (!is_finite(vx) || !is_finite(vy))
            vx = vy = 0.0f;
        vx = bounded(vx);
        vy = bounded(vy);
        const int32_t ix = whole(vx), iy = whole(vy), x = column * CELL + ix, y = row * CELL + iy;
        const float part_x = vx - (float)ix, part_y = vy - (float)iy;
        const int more_x = part_x != 0.0f, more_y = part_y != 0.0f;
        const float *here = current + column * CELL;
        float *out = difference + column * CELL;
        wide = 1;
        if (x < 0 || y < 0 || x + CELL + more_x > width || y + CELL + more_y > height) {
            copy_patch(other, height, width, x, y, patch);
            differences(here, patch, stride, PATCH, part_x, part_y, CELL, out);
            continue;
        }
        const float *from = other + (size_t)y * stride + (size_t)x;
        if (column + 1 < columns && field_x[column + 1] == vx && field_y[column + 1] == vy &&
            x + 2 * CELL + more_x <= width)
            wide = 2;
        if (!more_x && !more_y) {
            if (wide == 2)
                whole_differences(here, from, stride, stride, 2 * CELL, out);
            else
                whole_differences(here, from, stride, stride, CELL, out);
        } else if (x + wide * CELL + 1 > width || y + CELL + 1 > height) { /* whole on one axis, at the border */
            copy_patch(other, height, width, x, y, patch);
            differences(here, patch, stride, PATCH, part_x, part_y, CELL, out);
            wide = 1;
        } else if (wide == 2) {
            differences(here, from, stride, stride, part_x, part_y, 2 * CELL, out);
        } else {
            differences(here, from, stride, stride, part_x, part_y, CELL, out);
        }
    }
}

/* The window, a 5x5 mean followed by the mean over a cell, is separable with weights 1 2 3 4 4 3 2 1 from two pixels
 * before the cell to two after it. Each line of differences therefore counts for its own line of cells (`own`) and for
 * those above and below. `pending` collects the line of cells above, `carried` what this one adds to the one below. */
CVSR_INLINE void sum_lines(const float *restrict difference, size_t width, float *restrict pending,
                           float *restrict carried, float *restrict finished)
{
    const float *second = difference + width, *third = second + width, *fourth = third + width;
    for (size_t x = 0; x < width; x++) {
        const float a = difference[x], b = second[x], c = third[x], d = fourth[x];
        finished[x] = pending[x] + (a + a + b);
        pending[x] = carried[x] + (3.0f * (a + d) + 4.0f * (b + c));
        carried[x] = c + d + d;
    }
}

/* The same along x: sums of pixels to errors of cells. `left` and `right` hold columns + 2. */
CVSR_INLINE void sum_columns(const float *restrict sums, const float *restrict field_x, const float *restrict field_y,
                             int32_t columns, float *restrict own, float *restrict left, float *restrict right,
                             float *restrict error)
{
    for (int32_t i = 0; i < columns; i++) {
        const float a = sums[4 * i], b = sums[4 * i + 1], c = sums[4 * i + 2], d = sums[4 * i + 3];
        own[i] = 3.0f * (a + d) + 4.0f * (b + c);
        left[i] = a + a + b;  /* what the cell adds to its left neighbour */
        right[i + 1] = c + d + d;
    }
    right[0] = 3.0f * sums[0];
    left[columns] = 3.0f * sums[4 * (size_t)columns - 1];
    for (int32_t i = 0; i < columns; i++) {
        const float mean = (own[i] + right[i] + left[i + 1]) * (1.0f / 400.0f);
        error[i] = is_finite(field_x[i]) && is_finite(field_y[i]) ? mean : INFINITY;
    }
}

static size_t matching_scratch(int32_t columns)
{
    return ((size_t)columns * CELL) * (CELL + 3) + 3 * ((size_t)columns + 2);
}

CVSR_CLONES
void cvsr_internal_matching(const float *current, const float *other, const float *field, int32_t rows, int32_t columns,
                            float *error, float *scratch);

CVSR_CLONES
void cvsr_internal_matching(const float *current, const float *other, const float *field, int32_t rows, int32_t columns,
                            float *error, float *scratch)
{
    const size_t width = (size_t)columns * CELL, plane = (size_t)rows * (size_t)columns;
    float *difference = scratch, *pending = difference + CELL * width, *carried = pending + width;
    float *finished = carried + width, *own = finished + width, *left = own + columns, *right = left + columns + 2;
    if (!plane)
        return;
    for (int32_t row = 0; row <= rows; row++) {
        if (row < rows) {
            const size_t line = (size_t)row * (size_t)columns;
            line_of_differences(current, other, field + line, field + plane + line, row, rows, columns, difference);
            if (!row)
                for (size_t x = 0; x < width; x++) { /* the border repeated above: weights 1 and 2 */
                    carried[x] = 3.0f * difference[x];
                    pending[x] = 0.0f;
                }
            sum_lines(difference, width, pending, carried, finished);
        } else {
            for (size_t x = 0; x < width; x++)
                finished[x] = pending[x] + 3.0f * difference[(CELL - 1) * width + x];
        }
        if (row) {
            const size_t line = (size_t)(row - 1) * (size_t)columns;
            sum_columns(finished, field + line, field + plane + line, columns, own, left, right, error + line);
        }
    }
}

int32_t cvsr_matching_error(const float *current, const float *other, const float *field, int32_t rows, int32_t columns,
                            float *error)
{
    if (sizes_are_wrong(rows, columns) || !current || !other || !field || !error)
        return -1;
    float *scratch = floats(matching_scratch(columns));
    if (!scratch)
        return -2;
    cvsr_internal_matching(current, other, field, rows, columns, error, scratch);
    free(scratch);
    return 0;
}

/* ------------------------------------------------------------------------------------------ which reference it was */

int32_t cvsr_best_reference(const float *current, const float *const *others, const float *distances, int32_t count,
                            const float *raw, int32_t rows, int32_t columns, float must_win_by, float *velocity,
                            float *error)
{
    if (sizes_are_wrong(rows, columns) || count < 0 || !current || (count && (!others || !distances)) || !raw ||
        !velocity || !error)
        return -1;
    for (int32_t i = 0; i < count; i++)
        if (!others[i])
            return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    float *match = floats(plane + matching_scratch(columns));
    if (!match)
        return -2;
    for (size_t i = 0; i < plane; i++) {
        error[i] = INFINITY;
        velocity[i] = velocity[plane + i] = NAN;
    }
    for (int32_t k = 0; k < count; k++) {
        cvsr_internal_matching(current, others[k], raw, rows, columns, match, match + plane);
        for (size_t i = 0; i < plane; i++)
            if (match[i] < error[i] * must_win_by) {
                error[i] = match[i];
                velocity[i] = raw[i] / distances[k];
                velocity[plane + i] = raw[plane + i] / distances[k];
            }
    }
    free(match);
    return 0;
}

/* --------------------------------------------------------------------------------------------- carrying and filling */

/* To the nearest whole number, ties to even, for |value| < 2^22. */
CVSR_INLINE float rounded(float value)
{
    return (value + 12582912.0f) - 12582912.0f;
}

/* Returns how many vectors arrived. best: a plane of scratch. */
static size_t splat(const float *field, float sign, const float *priority, int32_t rows, int32_t columns, float *landed,
                    float *best)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    size_t arrived = 0;
    for (size_t i = 0; i < plane; i++) {
        landed[i] = landed[plane + i] = NAN;
        best[i] = INFINITY;
    }
    for (int32_t row = 0; row < rows; row++)
        for (int32_t column = 0; column < columns; column++) {
            const size_t at = (size_t)row * (size_t)columns + (size_t)column;
            const float vx = field[at], vy = field[plane + at];
            if (!is_finite(vx) || !is_finite(vy))
                continue;
            const float x = (float)column + vx / CELL, y = (float)row + vy / CELL;
            if (!(x > -1.0f && y > -1.0f && x < (float)columns && y < (float)rows))
                continue;
            const float to_x = rounded(x), to_y = rounded(y);
            if (to_x < 0.0f || to_y < 0.0f || to_x >= (float)columns || to_y >= (float)rows)
                continue;
            const size_t to = (size_t)to_y * (size_t)columns + (size_t)to_x;
            const float rank = priority[at] == priority[at] ? priority[at] : INFINITY;
            if (rank > best[to])
                continue;
            arrived++;
            best[to] = rank;
            landed[to] = sign * vx;
            landed[plane + to] = sign * vy;
        }
    return arrived;
}

int32_t cvsr_splat(const float *field, float sign, const float *priority, int32_t rows, int32_t columns, float *landed)
{
    if (sizes_are_wrong(rows, columns) || !field || !priority || !landed)
        return -1;
    float *best = floats((size_t)rows * (size_t)columns);
    if (!best)
        return -2;
    splat(field, sign, priority, rows, columns, landed, best);
    free(best);
    return 0;
}

/* Fill the cells of `field` in place. holes: a plane of indices; known: a bordered plane, (rows + 2) * (columns + 2).
 * Returns 0 where nothing is known. */
static int fill_holes(float *field, int32_t rows, int32_t columns, int32_t *holes, unsigned char *known)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    const int32_t stride = columns + 2;
    float *field_x = field, *field_y = field + plane;
    int32_t left = 0;
    memset(known, 0, (size_t)(rows + 2) * (size_t)stride);
    for (int32_t row = 0; row < rows; row++)
        for (int32_t column = 0; column < columns; column++) {
            const int32_t at = row * columns + column;
            if (is_finite(field_x[at]) && is_finite(field_y[at]))
                known[(row + 1) * stride + column + 1] = 1;
            else
                holes[left++] = at;
        }
    if ((size_t)left == plane) {
        for (size_t i = 0; i < 2 * plane; i++)
            field[i] = 0.0f;
        return 0;
    }
    while (left) { /* one ring: cells reached in it go to the end of the list and become known when it is complete */
        int32_t keep = 0, reached = 0;
        for (int32_t i = 0; i < left; i++) {
            const int32_t at = holes[i], row = at / columns, column = at % columns;
            const unsigned char *here = known + (row + 1) * stride + column + 1;
            float sum_x = 0.0f, sum_y = 0.0f, count = 0.0f;
            for (int32_t y = -1; y <= 1; y++)
                for (int32_t x = -1; x <= 1; x++)
                    if (here[y * stride + x] == 1) {
                        sum_x += field_x[at + y * columns + x];
                        sum_y += field_y[at + y * columns + x];
                        count += 1.0f;
                    }
            if (count > 0.0f) {
                field_x[at] = sum_x / count;
                field_y[at] = sum_y / count;
                known[(row + 1) * stride + column + 1] = 2;
                reached++;
            } else {
                holes[keep++] = at;
            }
        }
        if (!reached)
            break;
        for (size_t i = 0; i < (size_t)(rows + 2) * (size_t)stride; i++)
            known[i] = known[i] != 0;
        left = keep;
    }
    return 1;
}

static size_t fill_scratch(int32_t rows, int32_t columns) /* in floats, for holes and known together */
{
    return (size_t)rows * (size_t)columns + ((size_t)rows + 2) * ((size_t)columns + 2) / sizeof(float) + 1;
}

int32_t cvsr_fill_holes(const float *field, int32_t rows, int32_t columns, float *filled)
{
    if (sizes_are_wrong(rows, columns) || !field || !filled)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    int32_t *holes = malloc(fill_scratch(rows, columns) * sizeof(float));
    if (!holes)
        return -2;
    memcpy(filled, field, 2 * plane * sizeof *field);
    fill_holes(filled, rows, columns, holes, (unsigned char *)(holes + plane));
    free(holes);
    return 0;
}

/* -------------------------------------------------------------------------------------------------- best candidate */

/* The candidate as a field without holes; 0 where it is empty. `holes` may be used as scratch of a plane before. */
static int prepare(const struct cvsr_candidate *candidate, int32_t rows, int32_t columns, float *field, int32_t *holes,
                   float *best)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    if (!candidate->field) {
        for (size_t i = 0; i < 2 * plane; i++)
            field[i] = 0.0f;
        return 1;
    }
    if (candidate->priority)
        splat(candidate->field, candidate->sign, candidate->priority, rows, columns, field, best);
    else
        for (size_t i = 0; i < 2 * plane; i++)
            field[i] = candidate->sign * candidate->field[i];
    return fill_holes(field, rows, columns, holes, (unsigned char *)(holes + plane));
}

int32_t cvsr_best_candidate(const float *current, const float *other, const struct cvsr_candidate *candidates,
                            int32_t count, int32_t rows, int32_t columns, float *field, float *error)
{
    if (sizes_are_wrong(rows, columns) || count < 0 || !current || !other || (count && !candidates) || !field || !error)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    float *tried = floats(4 * plane + matching_scratch(columns) + fill_scratch(rows, columns));
    if (!tried)
        return -2;
    float *match = tried + 2 * plane, *best = match + plane, *scratch = best + plane;
    int32_t *holes = (int32_t *)(void *)(scratch + matching_scratch(columns));
    for (size_t i = 0; i < plane; i++) {
        error[i] = INFINITY;
        field[i] = field[plane + i] = 0.0f;
    }
    for (int32_t k = 0; k < count; k++) {
        if (!prepare(candidates + k, rows, columns, tried, holes, best))
            continue;
        cvsr_internal_matching(current, other, tried, rows, columns, match, scratch);
        for (size_t i = 0; i < plane; i++)
            if (match[i] < error[i]) {
                error[i] = match[i];
                field[i] = tried[i];
                field[plane + i] = tried[plane + i];
            }
    }
    free(tried);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------- blur */

/* One line: down the picture into `line`, which has CVSR_MOST_RADIUS samples of border, then along it. */
CVSR_INLINE void blur_line(const float *picture, int32_t height, int32_t width, const float *taps, int radius, int32_t y,
                           float *restrict line, float *restrict blurred)
{
    const float *above[CVSR_MOST_RADIUS], *below[CVSR_MOST_RADIUS];
    const float *here = picture + (size_t)y * (size_t)width;
    for (int i = 0; i < radius; i++) {
        above[i] = picture + (size_t)within(y - 1 - i, height) * (size_t)width;
        below[i] = picture + (size_t)within(y + 1 + i, height) * (size_t)width;
    }
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

CVSR_CLONES
void cvsr_internal_blur(const float *picture, int32_t height, int32_t width, const float *taps, int32_t radius,
                        float *scratch, float *blurred);

/* scratch: width + 2 * CVSR_MOST_RADIUS. The radius is a constant in each branch, so that its loops unroll. */
CVSR_CLONES
void cvsr_internal_blur(const float *picture, int32_t height, int32_t width, const float *taps, int32_t radius,
                        float *scratch, float *blurred)
{
    float *line = scratch + CVSR_MOST_RADIUS, own_taps[CVSR_MOST_RADIUS + 1];
    memcpy(own_taps, taps, ((size_t)radius + 1) * sizeof *taps);
    if (!width)
        return;
#define CVSR_BLUR_CASE(R)                                                                                               \
    case R:                                                                                                             \
        for (int32_t y = 0; y < height; y++)                                                                            \
            blur_line(picture, height, width, own_taps, R, y, line, blurred + (size_t)y * (size_t)width);               \
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

int32_t cvsr_blur(const float *picture, int32_t height, int32_t width, const float *taps, int32_t radius, float *blurred)
{
    if (height < 0 || width < 0 || height > CELL * CVSR_MOST_CELLS || width > CELL * CVSR_MOST_CELLS || radius < 0 ||
        radius > CVSR_MOST_RADIUS || !picture || !taps || !blurred)
        return -1;
    float *scratch = floats((size_t)width + 2 * CVSR_MOST_RADIUS);
    if (!scratch)
        return -2;
    cvsr_internal_blur(picture, height, width, taps, radius, scratch, blurred);
    free(scratch);
    return 0;
}

/* -------------------------------------------------------------------------------------------------- sub-pixel steps */

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

CVSR_INLINE float least(float a, float b)
{
    return a < b ? a : b;
}

CVSR_INLINE float most(float a, float b)
{
    return a > b ? a : b;
}

/* Cut the pixels between cell rows a and b (planes of x and y) into runs; returns their number, up to columns + 1. */
static int32_t find_runs(const float *ax, const float *bx, const float *ay, const float *by, int32_t columns,
                         struct run *runs)
{
    int32_t count = 0;
    for (int32_t i = 0; i <= columns; i++) {
        const int32_t l = i ? i - 1 : 0, r = i < columns ? i : columns - 1;
        const float low_x = least(least(ax[l], ax[r]), least(bx[l], bx[r]));
        const float high_x = most(most(ax[l], ax[r]), most(bx[l], bx[r]));
        const float low_y = least(least(ay[l], ay[r]), least(by[l], by[r]));
        const float high_y = most(most(ay[l], ay[r]), most(by[l], by[r]));
        struct run run = {i ? i * CELL - 2 : 0, i < columns ? i * CELL + 2 : columns * CELL, whole(low_x), whole(low_y), 0};
        const int32_t over_x = whole(high_x) - run.x, over_y = whole(high_y) - run.y;
        if (over_x <= 0 && over_y <= 0)
            run.taps = 2;
        else if (over_x <= 1 && over_y <= 1)
            run.taps = 3;
        struct run *last = runs + count - 1;
        if (count && last->taps == run.taps && last->x == run.x && last->y == run.y)
            last->end = run.end;
        else
            runs[count++] = run;
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

struct workspace {
    float *bounded; /* 2 planes of cells: the field cut to where pictures are */
    float *cells;   /* 2 lines of columns + 2 */
    float *flow;    /* 2 lines of width + 4 */
    float *mean;    /* RING lines of width + 2 */
    float *difference; /* RING lines of width */
    float *sums;       /* 5 lines */
    float *line;       /* for blurs */
    float *systems[5]; /* planes of blocks */
    float *blurred[5];
    struct run *runs;
};

CVSR_CLONES
void cvsr_internal_step(const float *current, const float *other, float *field, int32_t rows, int32_t columns,
                        const struct cvsr_refinement *how, const struct workspace *work);

CVSR_CLONES
void cvsr_internal_step(const float *current, const float *other, float *field, int32_t rows, int32_t columns,
                        const struct cvsr_refinement *how, const struct workspace *work)
{
    const int32_t height = rows * CELL, width = columns * CELL, wide = width / BLOCK;
    const size_t plane = (size_t)rows * (size_t)columns, mean_stride = (size_t)width + 2;
    const float falloff = 1.0f / (how->robust * how->robust);
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
            if (!y || (y + CELL / 2) % CELL == 0)
                run_count = find_runs(ax, bx, ay, by, columns, work->runs);
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
            for (int k = 0; k < 5; k++)
                systems[k] = work->systems[k] + (size_t)(y / BLOCK - 1) * (size_t)wide;
            line_of_systems(mean, difference, width, falloff, work->sums, systems);
        }
    }
    for (int k = 0; k < 5; k++)
        cvsr_internal_blur(work->systems[k], height / BLOCK, wide, how->window, how->window_radius, work->line,
                           work->blurred[k]);
    float *step_x = work->sums, *step_y = step_x + 2 * wide;
    for (int32_t row = 0; row < rows; row++) {
        float *restrict to_x = field + (size_t)row * (size_t)columns, *restrict to_y = to_x + plane;
        for (int32_t half = 0; half < 2; half++)
            line_of_steps(work->blurred, (size_t)(2 * row + half) * (size_t)wide, wide, how->damping, how->longest_step,
                          step_x + half * wide, step_y + half * wide);
        for (int32_t i = 0; i < columns; i++) {
            to_x[i] += (step_x[2 * i] + step_x[2 * i + 1] + (step_x[wide + 2 * i] + step_x[wide + 2 * i + 1])) * 0.25f;
            to_y[i] += (step_y[2 * i] + step_y[2 * i + 1] + (step_y[wide + 2 * i] + step_y[wide + 2 * i + 1])) * 0.25f;
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
    const size_t plane = (size_t)rows * (size_t)columns, width = (size_t)columns * CELL, blocks = plane * 4;
    if (!plane)
        return 0;
    const size_t line_count = 2 * (columns + (size_t)2) + 2 * (width + CELL) + RING * (2 * width + 2) + 5 * width +
                              (width + 2 * CVSR_MOST_RADIUS);
    float *memory = floats(6 * plane + 10 * blocks + line_count + matching_scratch(columns));
    struct run *runs = malloc(((size_t)columns + 1) * sizeof *runs);
    if (!memory || !runs) {
        free(memory);
        free(runs);
        return -2;
    }
    struct workspace work;
    float *free_part = memory;
#define CVSR_TAKE(COUNT) ((free_part += (COUNT)) - (COUNT))
    float *moving = CVSR_TAKE(2 * plane), *before = CVSR_TAKE(plane), *after = CVSR_TAKE(plane);
    work.bounded = CVSR_TAKE(2 * plane);
    work.cells = CVSR_TAKE((size_t)columns + 2);
    work.flow = CVSR_TAKE(2 * (width + CELL));
    work.mean = CVSR_TAKE(RING * (width + 2));
    work.difference = CVSR_TAKE(RING * width);
    work.sums = CVSR_TAKE(5 * width);
    work.line = CVSR_TAKE(width + 2 * CVSR_MOST_RADIUS);
    for (int k = 0; k < 5; k++) {
        work.systems[k] = CVSR_TAKE(blocks);
        work.blurred[k] = CVSR_TAKE(blocks);
    }
    float *scratch = CVSR_TAKE(matching_scratch(columns));
#undef CVSR_TAKE
    work.runs = runs;

    memcpy(moving, field, 2 * plane * sizeof *field);
    for (int32_t step = 0; step < how->steps; step++)
        cvsr_internal_step(current, other, moving, rows, columns, how, &work);
    if (how->smooth) {
        for (size_t part = 0; part < 2; part++)
            cvsr_internal_blur(moving + part * plane, rows, columns, how->smooth, how->smooth_radius, work.line,
                               work.bounded + part * plane);
        memcpy(moving, work.bounded, 2 * plane * sizeof *moving);
    }
    cvsr_internal_matching(current, other, field, rows, columns, before, scratch);
    cvsr_internal_matching(current, other, moving, rows, columns, after, scratch);
    for (size_t i = 0; i < plane; i++) {
        const int better = after[i] <= before[i] * how->keep_ratio + how->keep_offset;
        refined[i] = better ? moving[i] : field[i];
        refined[plane + i] = better ? moving[plane + i] : field[plane + i];
    }
    free(memory);
    free(runs);
    return 0;
}
