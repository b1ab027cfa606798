/* How well a picture matches another one warped onto it, cell by cell. */
#include "cvsr_motion_internal.h"

enum {
    WIDEST = 4, /* cells matched at once */
    PATCH = 8,  /* floats per line of a copied neighbourhood of (CELL + 1)^2 */
};

/* One line of |current - other| for one fraction of a pixel; `above` holds the line before, mixed along x. */
CVSR_INLINE void line_of_mixed(const float *restrict current, const float *restrict from, float x, float y, int wide,
                               float *restrict above, float *restrict difference)
{
    for (int k = 0; k < wide; k++) {
        const float below = mix(from[k], from[k + 1], x);
        difference[k] = fabsf(current[k] - mix(above[k], below, y));
        above[k] = below;
    }
}

/* |current - other| of `wide` x CELL pixels; `from` has a line and a column more. Written out, so that `above` stays in
 * registers. */
CVSR_INLINE void differences(const float *current, const float *from, size_t stride, size_t from_stride, float x,
                             float y, int wide, float *difference)
{
    float above[WIDEST * CELL];
    for (int k = 0; k < wide; k++)
        above[k] = mix(from[k], from[k + 1], x);
    line_of_mixed(current, from + from_stride, x, y, wide, above, difference);
    line_of_mixed(current + stride, from + 2 * from_stride, x, y, wide, above, difference + stride);
    line_of_mixed(current + 2 * stride, from + 3 * from_stride, x, y, wide, above, difference + 2 * stride);
    line_of_mixed(current + 3 * stride, from + 4 * from_stride, x, y, wide, above, difference + 3 * stride);
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

/* Where the pixels of a line of cells come from: the first pixel of each cell, and the fraction to add. */
struct sources {
    int32_t *x, *y;
    float *part_x, *part_y;
};

CVSR_CLONES
static void find_sources(const float *restrict field_x, const float *restrict field_y, int32_t row, int32_t columns,
                         int32_t *restrict to_x, int32_t *restrict to_y, float *restrict part_x, float *restrict part_y)
{
    for (int32_t i = 0; i < columns; i++) {
        const float nothing = (field_x[i] - field_x[i]) + (field_y[i] - field_y[i]); /* 0, or NaN where empty */
        part_x[i] = nothing == 0.0f ? field_x[i] : 0.0f;
        part_y[i] = nothing == 0.0f ? field_y[i] : 0.0f;
    }
    for (int32_t i = 0; i < columns; i++) {
        const float vx = least(most(part_x[i], -FARTHEST), FARTHEST);
        const float vy = least(most(part_y[i], -FARTHEST), FARTHEST);
        const int32_t ix = whole(vx), iy = whole(vy);
        to_x[i] = i * CELL + ix;
        to_y[i] = row * CELL + iy;
        part_x[i] = vx - (float)ix;
        part_y[i] = vy - (float)iy;
    }
}

/* One line of cells: |current - other warped| into CELL lines of `difference`. Equal neighbours go together. */
CVSR_INLINE void line_of_differences(const float *current, const float *other, const struct sources *sources,
                                     int32_t rows, int32_t columns, float *difference)
{
    const int32_t height = rows * CELL, width = columns * CELL;
    const size_t stride = (size_t)width;
    float patch[(CELL + 1) * PATCH];
    int32_t wide;
    for (int32_t column = 0; column < columns; column += wide) {
        const int32_t x = sources->x[column], y = sources->y[column];
        const float part_x = sources->part_x[column], part_y = sources->part_y[column];
        const float *here = current + column * CELL, *from = patch;
        float *out = difference + column * CELL;
        size_t from_stride = PATCH;
        wide = 1;
        if (x >= 0 && y >= 0 && x + CELL + 1 <= width && y + CELL + 1 <= height) {
            from = other + (size_t)y * stride + (size_t)x;
            from_stride = stride;
            while (wide < WIDEST && column + wide < columns && sources->x[column + wide] == x + wide * CELL &&
                   sources->y[column + wide] == y && sources->part_x[column + wide] == part_x &&
                   sources->part_y[column + wide] == part_y && x + (wide + 1) * CELL + 1 <= width)
                wide++;
            wide = wide == WIDEST ? WIDEST : wide >= 2 ? 2 : 1;
        } else {
            copy_patch(other, height, width, x, y, patch);
        }
        const int is_whole = part_x == 0.0f && part_y == 0.0f;
        if (wide == WIDEST) {
            if (is_whole)
                whole_differences(here, from, stride, from_stride, WIDEST * CELL, out);
            else
                differences(here, from, stride, from_stride, part_x, part_y, WIDEST * CELL, out);
        } else if (wide == 2) {
            if (is_whole)
                whole_differences(here, from, stride, from_stride, 2 * CELL, out);
            else
                differences(here, from, stride, from_stride, part_x, part_y, 2 * CELL, out);
        } else if (is_whole) {
            whole_differences(here, from, stride, from_stride, CELL, out);
        } else {
            differences(here, from, stride, from_stride, part_x, part_y, CELL, out);
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
        left[i] = a + a + b; /* what the cell adds to its left neighbour */
        right[i + 1] = c + d + d;
    }
    right[0] = 3.0f * sums[0];
    left[columns] = 3.0f * sums[4 * (size_t)columns - 1];
    for (int32_t i = 0; i < columns; i++) {
        const float mean = (own[i] + right[i] + left[i + 1]) * (1.0f / 400.0f);
        error[i] = is_finite(field_x[i]) && is_finite(field_y[i]) ? mean : INFINITY;
    }
}

size_t cvsr_match_scratch(int32_t columns)
{
    return ((size_t)columns * CELL) * (CELL + 3) + 7 * ((size_t)columns + 2);
}

CVSR_CLONES
static void match_picture(const float *current, const float *other, const float *field, int32_t rows, int32_t columns,
                            float *error, float *scratch)
{
    const size_t width = (size_t)columns * CELL, plane = (size_t)rows * (size_t)columns;
    float *difference = scratch, *pending = difference + CELL * width, *carried = pending + width;
    float *finished = carried + width, *own = finished + width, *left = own + columns, *right = left + columns + 2;
    float *part_x = right + columns + 2, *part_y = part_x + columns;
    int32_t *from_x = (int32_t *)(void *)(part_y + columns);
    const struct sources sources = {from_x, from_x + columns, part_x, part_y};
    if (!plane)
        return;
    for (int32_t row = 0; row <= rows; row++) {
        if (row < rows) {
            const size_t line = (size_t)row * (size_t)columns;
            find_sources(field + line, field + plane + line, row, columns, sources.x, sources.y, part_x, part_y);
            line_of_differences(current + line * CELL * CELL, other, &sources, rows, columns, difference);
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

void cvsr_match(const float *current, const float *other, const float *field, int32_t rows, int32_t columns,
                float *error, float *scratch)
{
    match_picture(current, other, field, rows, columns, error, scratch);
}

int32_t cvsr_matching_error(const float *current, const float *other, const float *field, int32_t rows, int32_t columns,
                            float *error)
{
    if (sizes_are_wrong(rows, columns) || !current || !other || !field || !error)
        return -1;
    float *scratch = floats(cvsr_match_scratch(columns));
    if (!scratch)
        return -2;
    match_picture(current, other, field, rows, columns, error, scratch);
    free(scratch);
    return 0;
}
