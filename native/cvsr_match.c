/* How well a picture matches another one warped onto it, cell by cell. */
#include "cvsr_motion_internal.h"

enum {
    PATCH = 8,       /* floats per line of a copied neighbourhood of (CELL + 1)^2 */
    TAPS = CELL + 1, /* lines of pixels that the lines of a cell are mixed from */
    TILE = 16,       /* cells matched at once */
};

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
        part_x[i] = least(most(part_x[i], -FARTHEST), FARTHEST);
        part_y[i] = least(most(part_y[i], -FARTHEST), FARTHEST);
    }
    for (int32_t i = 0; i < columns; i++) {
        const int32_t ix = whole(part_x[i]), iy = whole(part_y[i]);
        to_x[i] = i * CELL + ix;
        to_y[i] = row * CELL + iy;
        part_x[i] -= (float)ix;
        part_y[i] -= (float)iy;
    }
}

/* What up to TILE cells are matched with: from the first pixel of each on, TAPS lines of the pixels and of those right of
 * them; and their fractions for every pixel. */
struct tile {
    float left[TAPS][TILE * CELL], right[TAPS][TILE * CELL], part_x[TILE * CELL], part_y[TILE * CELL];
};

CVSR_INLINE void fetch(const float *picture, const struct sources *sources, int32_t height, int32_t width,
                       int32_t begin, int32_t count, struct tile *tile)
{
    const size_t stride = (size_t)width;
    float patch[TAPS * PATCH];
    for (int32_t i = 0; i < count; i++) {
        const int32_t x = sources->x[begin + i], y = sources->y[begin + i];
        const float *from = patch;
        size_t from_stride = PATCH;
        if (x >= 0 && y >= 0 && x + CELL + 1 <= width && y + CELL + 1 <= height) {
            from = picture + (size_t)y * stride + (size_t)x;
            from_stride = stride;
        } else {
            copy_patch(picture, height, width, x, y, patch);
        }
        for (int line = 0; line < TAPS; line++) {
            memcpy(tile->left[line] + CELL * i, from, CELL * sizeof *from);
            memcpy(tile->right[line] + CELL * i, from + 1, CELL * sizeof *from);
            from += from_stride;
        }
        for (int k = 0; k < CELL; k++) {
            tile->part_x[CELL * i + k] = sources->part_x[begin + i];
            tile->part_y[CELL * i + k] = sources->part_y[begin + i];
        }
    }
}

/* |current - warped| of CELL lines of `width` pixels. */
CVSR_INLINE void differences(const float *restrict current, size_t stride, const struct tile *restrict tile,
                             int32_t width, float *restrict difference)
{
    for (int32_t x = 0; x < width; x++) {
        float above = mix(tile->left[0][x], tile->right[0][x], tile->part_x[x]);
        for (int line = 0; line < CELL; line++) {
            const float below = mix(tile->left[line + 1][x], tile->right[line + 1][x], tile->part_x[x]);
            const size_t at = (size_t)line * stride + (size_t)x;
            difference[at] = fabsf(current[at] - mix(above, below, tile->part_y[x]));
            above = below;
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
    struct tile tile;
    if (!plane)
        return;
    for (int32_t row = 0; row <= rows; row++) {
        if (row < rows) {
            const size_t line = (size_t)row * (size_t)columns;
            find_sources(field + line, field + plane + line, row, columns, sources.x, sources.y, part_x, part_y);
            for (int32_t begin = 0; begin < columns; begin += TILE) {
                const int32_t count = columns - begin < TILE ? columns - begin : TILE;
                fetch(other, &sources, rows * CELL, columns * CELL, begin, count, &tile);
                differences(current + line * CELL * CELL + begin * CELL, width, &tile, count * CELL,
                            difference + begin * CELL);
            }
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
