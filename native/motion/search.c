/* Cells looked for where no vector of the stream leads to them, see cvsr_motion.h; in whole numbers throughout. */
#include "internal.h"

enum {
    REACH = 8,         /* samples to each side, where they are searched in all directions */
    MOST_SAMPLES = 96, /* that a picture is high or wide at least once it is shrunk for that */
    MOST_LEVELS = 16,
    PER_STEP = 3, /* of a sum of 9 cells */
    SIDE = 3,     /* cells, or samples, to a side of what is compared */
    SPAN = SIDE + 2 * REACH,
    LANES = 32, /* sums made at once; a reach of 8 needs 17 */
    FINE_SIDE = SIDE * CELL,
    LINE = 16, /* room for a line of FINE_SIDE pixels */
    FINE_REACH = 3, /* pixels: a step of two and one of one */
    FINE_SPAN = FINE_SIDE + 2 * FINE_REACH,
    FARTHEST_FOUND = LONGEST / SIXTEENTHS,
    NOWHERE = -1,
};

static const float LEAST_SLOPES = 0.5f; /* times those of the picture: less may be texture */

/* Means of cells, of both pictures; of 2x2 of them; and so on. */
struct level {
    uint16_t *current, *other;
    int32_t rows, columns;
};

/* -------------------------------------------------------------------------------------------------- means of cells */

CVSR_CLONES
static void sum_cells(const uint8_t *restrict picture, int32_t rows, int32_t columns, uint16_t *restrict sums)
{
    const size_t width = (size_t)columns * CELL;
    for (int32_t row = 0; row < rows; row++, picture += CELL * width)
        for (int32_t column = 0; column < columns; column++) {
            uint16_t sum = 0;
            for (size_t y = 0; y < CELL; y++)
                for (size_t x = 0; x < CELL; x++)
                    sum = (uint16_t)(sum + picture[y * width + CELL * (size_t)column + x]);
            *sums++ = sum;
        }
}

static void halve(const uint16_t *from, int32_t rows, int32_t columns, uint16_t *to)
{
    for (int32_t row = 0; row < rows; row += 2) {
        const uint16_t *above = from + (size_t)row * (size_t)columns;
        const uint16_t *below = row + 1 < rows ? above + columns : above;
        for (int32_t column = 0; column < columns; column += 2) {
            const int32_t next = column + 1 < columns ? column + 1 : column;
            *to++ = (uint16_t)((above[column] + above[next] + below[column] + below[next]) >> 2);
        }
    }
}

/* The sizes of all levels; returns how many there are. */
static int find_sizes(int32_t rows, int32_t columns, struct level *levels)
{
    int count = 0;
    for (;; rows = (rows + 1) / 2, columns = (columns + 1) / 2) {
        levels[count].rows = rows;
        levels[count++].columns = columns;
        if ((rows < columns ? rows : columns) <= MOST_SAMPLES)
            return count;
    }
}

/* How many samples a level holds, of one picture. */
static size_t size_of(const struct level *level)
{
    return (size_t)level->rows * (size_t)level->columns;
}

/* memory: room for all levels of both pictures. */
static void fill_levels(const uint8_t *current, const uint8_t *other, struct level *levels, int count,
                        uint16_t *memory)
{
    for (int k = 0; k < count; k++) {
        levels[k].current = memory;
        levels[k].other = memory + size_of(levels + k);
        memory += 2 * size_of(levels + k);
    }
    sum_cells(current, levels->rows, levels->columns, levels->current);
    sum_cells(other, levels->rows, levels->columns, levels->other);
    for (int k = 1; k < count; k++) {
        halve(levels[k - 1].current, levels[k - 1].rows, levels[k - 1].columns, levels[k].current);
        halve(levels[k - 1].other, levels[k - 1].rows, levels[k - 1].columns, levels[k].other);
    }
}

/* ---------------------------------------------------------------------------------------------------------- search */

CVSR_INLINE uint16_t apart(uint16_t a, uint16_t b)
{
    const uint16_t more = a > b ? a : b, less = a > b ? b : a;
    return (uint16_t)(more - less);
}

/* The vector within `reach` of `start` with the smallest differences of SIDE x SIDE samples around one. */
CVSR_CLONES
static struct cvsr_vector search_samples(const struct level *level, int32_t row, int32_t column,
                                         struct cvsr_vector start, int32_t reach, int32_t per_step)
{
    uint16_t here[SIDE][SIDE], there[SPAN][LANES + SIDE];
    const int32_t span = SIDE + 2 * reach, width = level->columns;
    const int32_t x = column - 1, y = row - 1, from_x = x + start.x - reach, from_y = y + start.y - reach;
    memset(there, 0, sizeof there);
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++)
            here[i][j] = level->current[within(y + i, level->rows) * width + within(x + j, width)];
    for (int32_t i = 0; i < span; i++) {
        const uint16_t *line = level->other + (size_t)within(from_y + i, level->rows) * (size_t)width;
        if (from_x >= 0 && from_x + span <= width)
            memcpy(there[i], line + from_x, (size_t)span * sizeof *line);
        else
            for (int32_t j = 0; j < span; j++)
                there[i][j] = line[within(from_x + j, width)];
    }
    uint16_t least[LANES], line_of[LANES] = {0};
    memset(least, 0xff, sizeof least);
    for (int32_t line = 0; line <= 2 * reach; line++) {
        uint16_t sums[LANES] = {0};
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++) {
                const uint16_t *restrict from = there[line + i] + j, value = here[i][j];
                for (int k = 0; k < LANES; k++)
                    sums[k] = (uint16_t)(sums[k] + apart(from[k], value));
            }
        const uint16_t cost = (uint16_t)(per_step * abs(line - reach)), at = (uint16_t)line;
        for (int k = 0; k < LANES; k++) {
            const uint16_t sum = (uint16_t)(sums[k] + cost);
            line_of[k] = sum < least[k] ? at : line_of[k];
            least[k] = sum < least[k] ? sum : least[k];
        }
    }
    int32_t found = INT32_MAX, found_x = 0, found_y = 0;
    for (int32_t k = 0; k <= 2 * reach; k++) {
        const int32_t sum = least[k] + per_step * abs(k - reach);
        if (sum < found || (sum == found && line_of[k] < found_y)) {
            found = sum;
            found_x = k;
            found_y = line_of[k];
        }
    }
    const struct cvsr_vector best = {start.x + found_x - reach, start.y + found_y - reach};
    return best;
}

static struct cvsr_vector search_levels(const struct level *levels, int count, int32_t row, int32_t column)
{
    struct cvsr_vector vector = {0, 0};
    for (int k = count - 1; k >= 0; k--) {
        const int is_first = k == count - 1;
        vector.x *= 2;
        vector.y *= 2;
        vector = search_samples(levels + k, row >> k, column >> k, vector, is_first ? REACH : 1,
                                is_first ? PER_STEP : 0);
    }
    return vector;
}

/* A square of pixels, the border repeated. */
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

/* What the pixels from x, y on of a larger square differ by. */
CVSR_CLONES
static int32_t square_differences(uint16_t (*here)[LINE], uint16_t (*there)[2 * LINE], int32_t x, int32_t y)
{
    uint16_t sums[LINE] = {0};
    int32_t sum = 0;
    for (int i = 0; i < FINE_SIDE; i++) {
        const uint16_t *restrict from = there[y + i] + x, *restrict to = here[i];
        CVSR_AS_VECTOR
        for (int j = 0; j < LINE; j++)
            sums[j] = (uint16_t)(sums[j] + apart(from[j], to[j]));
    }
    for (int j = 0; j < FINE_SIDE; j++)
        sum += sums[j];
    return sum;
}

/* The absolute differences of neighbouring pixels of a square, along and down. */
CVSR_CLONES
static int32_t slopes_of(uint16_t (*here)[LINE])
{
    uint16_t along[LINE] = {0}, down[LINE] = {0};
    int32_t sum = 0;
    for (int i = 0; i < FINE_SIDE; i++) {
        CVSR_AS_VECTOR
        for (int j = 0; j < LINE - 1; j++)
            along[j] = (uint16_t)(along[j] + apart(here[i][j], here[i][j + 1]));
    }
    for (int i = 0; i < FINE_SIDE - 1; i++) {
        CVSR_AS_VECTOR
        for (int j = 0; j < LINE; j++)
            down[j] = (uint16_t)(down[j] + apart(here[i][j], here[i + 1][j]));
    }
    for (int j = 0; j < FINE_SIDE; j++)
        sum += (j < FINE_SIDE - 1 ? along[j] : 0) + down[j];
    return sum;
}

/* Pixel by pixel around `start`; what is found differs by `least`. here: the pixels in and around a cell. */
static struct cvsr_vector search_pixels(uint16_t (*here)[LINE], const uint8_t *other, int32_t rows, int32_t columns,
                                        int32_t row, int32_t column, struct cvsr_vector start, int32_t *least)
{
    uint16_t there[FINE_SPAN][2 * LINE] = {{0}};
    const int32_t x = (column - 1) * CELL + start.x - FINE_REACH, y = (row - 1) * CELL + start.y - FINE_REACH;
    copy_square(other, rows * CELL, columns * CELL, x, y, FINE_SPAN, there[0], 2 * LINE);
    struct cvsr_vector best = {FINE_REACH, FINE_REACH};
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
    best.x += start.x - FINE_REACH;
    best.y += start.y - FINE_REACH;
    return best;
}

/* A cell that now differs by `is_now` looked for, unless what it differs by may be texture. Returns whether it was. */
static int look_for(const uint8_t *current, const uint8_t *other, int32_t rows, int32_t columns,
                    const struct level *levels, int depth, int32_t row, int32_t column, float is_now,
                    struct cvsr_found *cell)
{
    uint16_t here[FINE_SIDE][LINE] = {{0}};
    int32_t least;
    copy_square(current, rows * CELL, columns * CELL, (column - 1) * CELL, (row - 1) * CELL, FINE_SIDE, here[0], LINE);
    if (!(is_now > (float)slopes_of(here) * (LEAST_SLOPES / (FINE_SIDE * (FINE_SIDE - 1)))))
        return 0;
    struct cvsr_vector found = search_levels(levels, depth, row, column);
    found.x *= CELL;
    found.y *= CELL;
    found = search_pixels(here, other, rows, columns, row, column, found, &least);
    const struct cvsr_found made = {.row = row, .column = column, .least = least, .is_now = is_now, .found = found};
    *cell = made;
    return 1;
}

/* Whether a neighbour's vector fits a cell better, which then is its `theirs`. */
static void try_neighbours(const uint8_t *current, const uint8_t *other, int32_t rows, int32_t columns,
                           struct cvsr_found *cells, size_t count, const int32_t *index, float better)
{
    static const int32_t AT[4][2] = {{-1, 0}, {0, -1}, {0, 1}, {1, 0}};
    const int32_t height = rows * CELL, width = columns * CELL;
    for (struct cvsr_found *cell = cells; cell < cells + count; cell++) {
        uint16_t here[FINE_SIDE][LINE] = {{0}}, there[FINE_SIDE][2 * LINE] = {{0}};
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
                copy_square(current, height, width, x, y, FINE_SIDE, here[0], LINE);
            is_copied = 1;
            copy_square(other, height, width, x + theirs.x, y + theirs.y, FINE_SIDE, there[0], 2 * LINE);
            const int32_t sum = square_differences(here, there, 0, 0);
            if (sum < cell->least) {
                cell->least = sum;
                cell->theirs = theirs;
            }
        }
    }
    for (struct cvsr_found *cell = cells; cell < cells + count; cell++) {
        const struct cvsr_vector found = cell->found = cell->theirs;
        const int is_near = abs(found.x) <= FARTHEST_FOUND && abs(found.y) <= FARTHEST_FOUND;
        cell->takes = is_near && (float)cell->least < cell->is_now * (better * (FINE_SIDE * FINE_SIDE));
    }
}

/* ------------------------------------------------------------------------------------------------------------- all */

int32_t cvsr_search(const uint8_t *current, const uint8_t *other, const float *field, const float *error, int32_t rows,
                    int32_t columns, float bad_error, float better, float *found, int32_t *taken)
{
    if (sizes_are_wrong(rows, columns) || !current || !other || !field || !error || !found || !taken)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    size_t most_bad = 0, bad = 0, samples = 0;
    *taken = 0;
    memcpy(found, field, 2 * plane * sizeof *field);
    for (size_t i = 0; i < plane; i++)
        most_bad += error[i] > bad_error;
    if (!most_bad)
        return 0;
    struct level levels[MOST_LEVELS];
    const int depth = find_sizes(rows, columns, levels);
    for (int k = 0; k < depth; k++)
        samples += 2 * size_of(levels + k);
    struct cvsr_found *cells = malloc(most_bad * sizeof *cells);
    int32_t *memory = malloc(4 * plane * sizeof *memory);
    uint16_t *means = malloc(samples * sizeof *means);
    const int is_short = !cells || !memory || !means;
    if (!is_short) {
        fill_levels(current, other, levels, depth, means);
        for (int32_t row = 0; row < rows; row++)
            for (int32_t column = 0; column < columns; column++) {
                const size_t at = (size_t)row * (size_t)columns + (size_t)column;
                const int is_bad = error[at] > bad_error && look_for(current, other, rows, columns, levels, depth, row,
                                                                     column, error[at], cells + bad);
                memory[at] = is_bad ? (int32_t)bad : NOWHERE;
                bad += (size_t)is_bad;
            }
        try_neighbours(current, other, rows, columns, cells, bad, memory, better);
        cvsr_find_keys(field, plane, memory, memory + plane);
        cvsr_drop(current, other, rows, columns, cells, bad, better, memory);
        for (const struct cvsr_found *cell = cells; cell < cells + bad; cell++)
            if (cell->takes) {
                const size_t at = (size_t)cell->row * (size_t)columns + (size_t)cell->column;
                found[at] = (float)cell->found.x;
                found[plane + at] = (float)cell->found.y;
                ++*taken;
            }
    }
    free(cells);
    free(memory);
    free(means);
    return is_short ? -2 : 0;
}
