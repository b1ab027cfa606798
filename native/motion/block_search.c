/* Block search for cells that no vector of the stream leads to, see cvsr_motion.h; in integers throughout. */
#include "internal.h"

enum {
    SIDE = 3 * CELL, /* pixels, of the squares in and around a cell that are compared */
    LINE = 16,       /* pixels read of each of their lines; those after SIDE do not count */
    RADIUS = 3,      /* pixels: a step of two and one of one */
    SPAN = SIDE + 2 * RADIUS,
    ROOM = SPAN + LINE - SIDE, /* pixels read of a line of SPAN */
    MAX_FOUND = MAX_MATCHED / SIXTEENTHS, /* pixels */
    NOWHERE = -1,
};

static const float MIN_SLOPES = 0.5f; /* times the slopes of the picture: a smaller error may be texture */

/* Lines of pixels, `stride` bytes apart: inside a picture, or in memory of their own. */
struct square {
    const uint8_t *at;
    size_t stride;
};

/* Returns the square of `side` pixels from x, y on, with LINE - SIDE readable bytes behind each line. Where it leaves the
 * picture it is copied, the border repeated. copy: SPAN * ROOM bytes. */
CVSR_INLINE struct square square_at(const uint8_t *picture, int32_t height, int32_t width, int32_t x, int32_t y, int32_t side,
                                    uint8_t *copy)
{
    if (x >= 0 && y >= 0 && x + side + LINE - SIDE <= width && y + side <= height) {
        const struct square inside = {picture + (size_t)y * (size_t)width + (size_t)x, (size_t)width};
        return inside;
    }
    memset(copy, 0, SPAN * ROOM);
    for (int32_t i = 0; i < side; i++) {
        const uint8_t *line = picture + (size_t)within(y + i, height) * (size_t)width;
        for (int32_t j = 0; j < side; j++)
            copy[ROOM * i + j] = line[within(x + j, width)];
    }
    const struct square copied = {copy, ROOM};
    return copied;
}

/* Returns the sum of absolute differences to the pixels from x, y on of a larger square. */
CVSR_INLINE int32_t square_differences(struct square here, struct square there, int32_t x, int32_t y)
{
    const uint8_t *to = here.at, *from = there.at + (size_t)y * there.stride + (size_t)x;
    uint16_t sums[LINE] = {0};
    int32_t sum = 0;
    for (int i = 0; i < SIDE; i++, to += here.stride, from += there.stride) {
        CVSR_AS_VECTOR
        for (int j = 0; j < LINE; j++)
            sums[j] = (uint16_t)(sums[j] + abs_difference(from[j], to[j]));
    }
    for (int j = 0; j < SIDE; j++)
        sum += sums[j];
    return sum;
}

/* Returns the sum of the absolute differences of adjacent pixels of a square, along and down. */
CVSR_INLINE int32_t slopes_of(struct square here)
{
    uint16_t along[LINE] = {0}, down[LINE] = {0};
    int32_t sum = 0;
    const uint8_t *line = here.at;
    for (int i = 0; i < SIDE; i++, line += here.stride) {
        CVSR_AS_VECTOR
        for (int j = 0; j < LINE - 1; j++)
            along[j] = (uint16_t)(along[j] + abs_difference(line[j], line[j + 1]));
        if (i == SIDE - 1)
            break;
        CVSR_AS_VECTOR
        for (int j = 0; j < LINE; j++)
            down[j] = (uint16_t)(down[j] + abs_difference(line[j], line[here.stride + (size_t)j]));
    }
    for (int j = 0; j < SIDE; j++)
        sum += (j < SIDE - 1 ? along[j] : 0) + down[j];
    return sum;
}

/* Searches pixel by pixel around `start`; `least` becomes the sum of differences of the vector returned.
 * here: the pixels in and around a cell. */
CVSR_CLONES
static struct cvsr_vector search_pixels(struct square here, const uint8_t *other, int32_t rows, int32_t columns, int32_t row,
                                        int32_t column, struct cvsr_vector start, int32_t *least)
{
    uint8_t copy[SPAN * ROOM];
    const int32_t x = (column - 1) * CELL + start.x - RADIUS, y = (row - 1) * CELL + start.y - RADIUS;
    const struct square there = square_at(other, rows * CELL, columns * CELL, x, y, SPAN, copy);
    struct cvsr_vector best = {RADIUS, RADIUS};
    int32_t found = square_differences(here, there, best.x, best.y);
    for (int32_t length = 2; length; length--) {
        const struct cvsr_vector middle = best;
        for (int32_t k = 0; k < 9; k++) {
            if (k == 4)
                continue; /* the middle is known */
            const int32_t to_x = middle.x + (k % 3 - 1) * length, to_y = middle.y + (k / 3 - 1) * length;
            const int32_t sum = square_differences(here, there, to_x, to_y);
            if (sum < found) {
                found = sum;
                best.x = to_x;
                best.y = to_y;
            }
        }
    }
    *least = found;
    best.x += start.x - RADIUS;
    best.y += start.y - RADIUS;
    return best;
}

CVSR_CLONES
static int is_texture(struct square here, float error_before)
{
    return !(error_before > (float)slopes_of(here) * (MIN_SLOPES / (SIDE * (SIDE - 1))));
}

/* Searches for a cell whose error is `error_before`, unless that may be texture. Returns whether it did. */
static int search_cell(const uint8_t *current, const uint8_t *other, int32_t rows, int32_t columns,
                    const struct cvsr_level *levels, int depth, int32_t row, int32_t column, float error_before,
                    struct cvsr_found *cell)
{
    uint8_t copy[SPAN * ROOM];
    int32_t least;
    const struct square here =
        square_at(current, rows * CELL, columns * CELL, (column - 1) * CELL, (row - 1) * CELL, SIDE, copy);
    if (is_texture(here, error_before))
        return 0;
    struct cvsr_vector found = cvsr_search_pyramid(levels, depth, row, column);
    found.x *= CELL;
    found.y *= CELL;
    found = search_pixels(here, other, rows, columns, row, column, found, &least);
    const struct cvsr_found made = {.row = row, .column = column, .least = least, .error_before = error_before, .found = found};
    *cell = made;
    return 1;
}

/* Whether a neighbour's vector fits a cell better, which then is its `theirs`; and whether a cell is accepted. */
CVSR_CLONES
static void try_neighbours(const uint8_t *current, const uint8_t *other, int32_t rows, int32_t columns,
                           struct cvsr_found *cells, size_t count, const int32_t *index, float max_ratio)
{
    static const int32_t AT[4][2] = {{-1, 0}, {0, -1}, {0, 1}, {1, 0}};
    const int32_t height = rows * CELL, width = columns * CELL;
    for (struct cvsr_found *cell = cells; cell < cells + count; cell++) {
        uint8_t copy[SPAN * ROOM], other_copy[SPAN * ROOM];
        struct square here = {NULL, 0};
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
            if (!here.at)
                here = square_at(current, height, width, x, y, SIDE, copy);
            const struct square there = square_at(other, height, width, x + theirs.x, y + theirs.y, SIDE, other_copy);
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

/* Writes the matching errors of `found`; sums of cells whose vector is that of `field` are known, where `known` is not NULL.
 * memory: the keys of `field`, three planes and cvsr_match_scratch(columns) numbers. */
static void errors_of_found(const uint8_t *current, const uint8_t *other, const float *found, const int32_t *known, int32_t rows,
                            int32_t columns, int32_t *memory, float *found_error)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    int32_t *before = memory, *keys = before + plane, *sums = keys + plane, *scratch = memory + 4 * plane;
    cvsr_find_keys(found, plane, keys, sums);
    for (size_t i = 0; known && i < plane; i++)
        if (sums[i] == CVSR_WANTED && known[i] >= 0 && keys[i] == before[i])
            sums[i] = known[i];
    cvsr_sum_differences(current, other, keys, rows, columns, sums, scratch);
    cvsr_errors_of_sums(sums, rows, columns, found_error, scratch);
}

int32_t cvsr_block_search(const uint8_t *current, const uint8_t *other, const float *field, const float *error,
                          const int32_t *sums, int32_t rows, int32_t columns, float bad_error, float max_ratio, float *found,
                          float *found_error, int32_t *accepted_count)
{
    if (sizes_are_wrong(rows, columns) || !current || !other || !field || !error || !found || !found_error || !accepted_count)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    size_t max_bad = 0, bad = 0, samples = 0;
    *accepted_count = 0;
    memcpy(found, field, 2 * plane * sizeof *field);
    memcpy(found_error, error, plane * sizeof *error);
    for (size_t i = 0; i < plane; i++)
        max_bad += error[i] > bad_error;
    if (!max_bad)
        return 0;
    struct cvsr_level levels[CVSR_MAX_LEVELS];
    const int depth = cvsr_pyramid_sizes(rows, columns, levels);
    for (int k = 0; k < depth; k++)
        samples += 2 * cvsr_level_size(levels + k);
    struct cvsr_found *cells = malloc(max_bad * sizeof *cells);
    int32_t *memory = malloc((4 * plane + cvsr_match_scratch(columns)) * sizeof *memory);
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
        if (*accepted_count)
            errors_of_found(current, other, found, sums, rows, columns, memory, found_error);
    }
    free(cells);
    free(memory);
    free(means);
    return is_short ? -2 : 0;
}
