/* Block search for cells that no vector of the stream leads to, see cvsr_motion.h; in integers throughout. */
#include "internal.h"

enum {
    SIDE = 3 * CELL, /* pixels, of the squares in and around a cell that are compared */
    LINE = 16,       /* room for a line of SIDE pixels */
    RADIUS = 3,      /* pixels: a step of two and one of one */
    SPAN = SIDE + 2 * RADIUS,
    MAX_FOUND = MAX_MATCHED / SIXTEENTHS, /* pixels */
    NOWHERE = -1,
};

static const float MIN_SLOPES = 0.5f; /* times the slopes of the picture: a smaller error may be texture */

/* Copies a square of pixels, the border repeated. */
static void copy_square(const uint8_t *picture, int32_t height, int32_t width, int32_t x, int32_t y, int32_t side,
                        uint16_t *copy, size_t stride)
{
    for (int32_t i = 0; i < side; i++, copy += stride) {
        const uint8_t *line = picture + (size_t)within(y + i, height) * (size_t)width;
        if (x >= 0 && x + side <= width)
            for (int32_t j = 0; j < side; j++)
                copy[j] = line[x + j];
        else
            for (int32_t j = 0; j < side; j++)
                copy[j] = line[within(x + j, width)];
    }
}

/* Returns the sum of absolute differences to the pixels from x, y on of a larger square. */
CVSR_CLONES
static int32_t square_differences(uint16_t (*here)[LINE], uint16_t (*there)[2 * LINE], int32_t x, int32_t y)
{
    uint16_t sums[LINE] = {0};
    int32_t sum = 0;
    for (int i = 0; i < SIDE; i++) {
        const uint16_t *restrict from = there[y + i] + x, *restrict to = here[i];
        CVSR_AS_VECTOR
        for (int j = 0; j < LINE; j++)
            sums[j] = (uint16_t)(sums[j] + abs_difference(from[j], to[j]));
    }
    for (int j = 0; j < SIDE; j++)
        sum += sums[j];
    return sum;
}

/* Returns the sum of the absolute differences of adjacent pixels of a square, along and down. */
CVSR_CLONES
static int32_t slopes_of(uint16_t (*here)[LINE])
{
    uint16_t along[LINE] = {0}, down[LINE] = {0};
    int32_t sum = 0;
    for (int i = 0; i < SIDE; i++) {
        CVSR_AS_VECTOR
        for (int j = 0; j < LINE - 1; j++)
            along[j] = (uint16_t)(along[j] + abs_difference(here[i][j], here[i][j + 1]));
    }
    for (int i = 0; i < SIDE - 1; i++) {
        CVSR_AS_VECTOR
        for (int j = 0; j < LINE; j++)
            down[j] = (uint16_t)(down[j] + abs_difference(here[i][j], here[i + 1][j]));
    }
    for (int j = 0; j < SIDE; j++)
        sum += (j < SIDE - 1 ? along[j] : 0) + down[j];
    return sum;
}

/* Searches pixel by pixel around `start`; `least` becomes the sum of differences of the vector returned.
 * here: the pixels in and around a cell. */
static struct cvsr_vector search_pixels(uint16_t (*here)[LINE], const uint8_t *other, int32_t rows, int32_t columns,
                                        int32_t row, int32_t column, struct cvsr_vector start, int32_t *least)
{
    uint16_t there[SPAN][2 * LINE] = {{0}};
    const int32_t x = (column - 1) * CELL + start.x - RADIUS, y = (row - 1) * CELL + start.y - RADIUS;
    copy_square(other, rows * CELL, columns * CELL, x, y, SPAN, there[0], 2 * LINE);
    struct cvsr_vector best = {RADIUS, RADIUS};
    *least = square_differences(here, there, best.x, best.y);
    for (int32_t length = 2; length; length--) {
        const struct cvsr_vector middle = best;
        for (int32_t step_y = -length; step_y <= length; step_y += length)
            for (int32_t step_x = -length; step_x <= length; step_x += length) {
                const int32_t sum = square_differences(here, there, middle.x + step_x, middle.y + step_y);
                if (sum < *least) {
                    *least = sum;
                    best.x = middle.x + step_x;
                    best.y = middle.y + step_y;
                }
            }
    }
    best.x += start.x - RADIUS;
    best.y += start.y - RADIUS;
    return best;
}

/* Searches for a cell whose error is `error_before`, unless that may be texture. Returns whether it did. */
static int search_cell(const uint8_t *current, const uint8_t *other, int32_t rows, int32_t columns,
                    const struct cvsr_level *levels, int depth, int32_t row, int32_t column, float error_before,
                    struct cvsr_found *cell)
{
    uint16_t here[SIDE][LINE] = {{0}};
    int32_t least;
    copy_square(current, rows * CELL, columns * CELL, (column - 1) * CELL, (row - 1) * CELL, SIDE, here[0], LINE);
    if (!(error_before > (float)slopes_of(here) * (MIN_SLOPES / (SIDE * (SIDE - 1)))))
        return 0;
    struct cvsr_vector found = cvsr_search_pyramid(levels, depth, row, column);
    found.x *= CELL;
    found.y *= CELL;
    found = search_pixels(here, other, rows, columns, row, column, found, &least);
    const struct cvsr_found made = {.row = row, .column = column, .least = least, .error_before = error_before, .found = found};
    *cell = made;
    return 1;
}

/* Whether a neighbour's vector fits a cell max_ratio, which then is its `theirs`. */
static void try_neighbours(const uint8_t *current, const uint8_t *other, int32_t rows, int32_t columns,
                           struct cvsr_found *cells, size_t count, const int32_t *index, float max_ratio)
{
    static const int32_t AT[4][2] = {{-1, 0}, {0, -1}, {0, 1}, {1, 0}};
    const int32_t height = rows * CELL, width = columns * CELL;
    for (struct cvsr_found *cell = cells; cell < cells + count; cell++) {
        uint16_t here[SIDE][LINE] = {{0}}, there[SIDE][2 * LINE] = {{0}};
        int is_copied = 0;
        cell->theirs = cell->found;
        for (int k = 0; k < 4; k++) {
            const int32_t row = cell->row + AT[k][0], column = cell->column + AT[k][1];
            const int is_inside = row >= 0 && row < rows && column >= 0 && column < columns;
            const int32_t near = is_inside ? index[(size_t)row * (size_t)columns + (size_t)column] : NOWHERE;
            if (near == NOWHERE)
                continue;
            const struct cvsr_vector theirs = cells[near].found;
            if (theirs.x == cell->theirs.x && theirs.y == cell->theirs.y)
                continue;
            const int32_t x = (cell->column - 1) * CELL, y = (cell->row - 1) * CELL;
            if (!is_copied)
                copy_square(current, height, width, x, y, SIDE, here[0], LINE);
            is_copied = 1;
            copy_square(other, height, width, x + theirs.x, y + theirs.y, SIDE, there[0], 2 * LINE);
            const int32_t sum = square_differences(here, there, 0, 0);
            if (sum < cell->least) {
                cell->least = sum;
                cell->theirs = theirs;
            }
        }
    }
    for (struct cvsr_found *cell = cells; cell < cells + count; cell++) {
        const struct cvsr_vector found = cell->found = cell->theirs;
        const int is_near = abs(found.x) <= MAX_FOUND && abs(found.y) <= MAX_FOUND;
        cell->accepted = is_near && (float)cell->least < cell->error_before * (max_ratio * (SIDE * SIDE));
    }
}

/* ------------------------------------------------------------------------------------------------------------- all */

int32_t cvsr_block_search(const uint8_t *current, const uint8_t *other, const float *field, const float *error, int32_t rows,
                    int32_t columns, float bad_error, float max_ratio, float *found, int32_t *accepted_count)
{
    if (sizes_are_wrong(rows, columns) || !current || !other || !field || !error || !found || !accepted_count)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    size_t max_bad = 0, bad = 0, samples = 0;
    *accepted_count = 0;
    memcpy(found, field, 2 * plane * sizeof *field);
    for (size_t i = 0; i < plane; i++)
        max_bad += error[i] > bad_error;
    if (!max_bad)
        return 0;
    struct cvsr_level levels[CVSR_MAX_LEVELS];
    const int depth = cvsr_pyramid_sizes(rows, columns, levels);
    for (int k = 0; k < depth; k++)
        samples += 2 * cvsr_level_size(levels + k);
    struct cvsr_found *cells = malloc(max_bad * sizeof *cells);
    int32_t *memory = malloc(4 * plane * sizeof *memory);
    uint16_t *means = malloc(samples * sizeof *means);
    const int is_short = !cells || !memory || !means;
    if (!is_short) {
        cvsr_fill_pyramid(current, other, levels, depth, means);
        for (int32_t row = 0; row < rows; row++)
            for (int32_t column = 0; column < columns; column++) {
                const size_t at = (size_t)row * (size_t)columns + (size_t)column;
                const int is_bad = error[at] > bad_error && search_cell(current, other, rows, columns, levels, depth, row,
                                                                     column, error[at], cells + bad);
                memory[at] = is_bad ? (int32_t)bad : NOWHERE;
                bad += (size_t)is_bad;
            }
        try_neighbours(current, other, rows, columns, cells, bad, memory, max_ratio);
        cvsr_find_keys(field, plane, memory, memory + plane);
        cvsr_validate_vectors(current, other, rows, columns, cells, bad, max_ratio, memory);
        for (const struct cvsr_found *cell = cells; cell < cells + bad; cell++)
            if (cell->accepted) {
                const size_t at = (size_t)cell->row * (size_t)columns + (size_t)cell->column;
                found[at] = (float)cell->found.x;
                found[plane + at] = (float)cell->found.y;
                ++*accepted_count;
            }
    }
    free(cells);
    free(memory);
    free(means);
    return is_short ? -2 : 0;
}
