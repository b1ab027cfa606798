/* How well a picture matches another one warped onto it, cell by cell, in integers throughout: the result does not depend on
 * the order of sums, and known sums can be reused. */
#include "internal.h"

enum {
    UNIT = 2 * CELL, /* width of a fetched block in pixels: most vectors belong to two cells or more */
    TAPS = CELL + 1, /* lines of pixels that the lines of a cell are interpolated from */
    TILE = 16,       /* units at a time */
};

/* -------------------------------------------------------------------------------------------------------- one vector */

CVSR_CLONES
static void find_keys(const float *restrict field, size_t plane, int32_t *restrict keys, int32_t *restrict sums)
{
    const float *restrict field_y = field + plane;
    for (size_t i = 0; i < plane; i++) {
        const float nothing = (field[i] - field[i]) + (field_y[i] - field_y[i]); /* 0, or NaN where empty */
        float x = nothing == 0.0f ? field[i] * SIXTEENTHS : 0.0f, y = nothing == 0.0f ? field_y[i] * SIXTEENTHS : 0.0f;
        x = min_of(max_of(x, -MAX_MATCHED), MAX_MATCHED);
        y = min_of(max_of(y, -MAX_MATCHED), MAX_MATCHED);
        const int32_t to_x = (int32_t)rounded(x), to_y = (int32_t)rounded(y);
        keys[i] = key_of(to_x, to_y);
        sums[i] = nothing == 0.0f ? CVSR_WANTED : CVSR_EMPTY;
    }
}

void cvsr_find_keys(const float *field, size_t plane, int32_t *keys, int32_t *sums)
{
    find_keys(field, plane, keys, sums);
}

/* The data of some units: TAPS lines of the pixels and of those right of them, the pixels of the current picture, and
 * the sixteenths for every pixel. */
struct tile {
    uint8_t left[TAPS][TILE * UNIT], right[TAPS][TILE * UNIT], here[CELL][TILE * UNIT];
    uint64_t part_x[TILE], part_y[TILE]; /* a byte for every pixel */
    uint16_t sums[TILE * UNIT];
    int32_t cell[TILE], wanted[TILE]; /* the left cell of a unit; which of its cells are wanted */
};

/* Copies UNIT + 1 pixels of a line from x on, the border repeated. */
static void copy_line(const uint8_t *line, int32_t width, int32_t x, uint8_t *copy)
{
    if (x >= 0 && x + UNIT <= width) {
        memcpy(copy, line + x, UNIT);
        copy[UNIT] = line[within(x + UNIT, width)];
    } else {
        for (int32_t k = 0; k <= UNIT; k++)
            copy[k] = line[within(x + k, width)];
    }
}

/* Fetches unit `i` of a tile, whose left cell is at `row` and `column` and whose vector is `key`. */
CVSR_INLINE void fetch(const uint8_t *current, const uint8_t *other, int32_t rows, int32_t columns, int32_t row,
                       int32_t column, int32_t key, int32_t i, struct tile *tile)
{
    const int32_t height = rows * CELL, width = columns * CELL;
    const int32_t move_x = x_of(key), move_y = y_of(key);
    const int32_t x = column * CELL + (move_x >> 4), y = row * CELL + (move_y >> 4);
    const uint8_t *here = current + (size_t)row * CELL * (size_t)width + (size_t)column * CELL;
    if (x >= 0 && y >= 0 && x + UNIT + 1 <= width && y + CELL + 1 <= height) {
        const uint8_t *from = other + (size_t)y * (size_t)width + (size_t)x;
        for (int line = 0; line < TAPS; line++, from += width) {
            memcpy(tile->left[line] + UNIT * i, from, UNIT);
            memcpy(tile->right[line] + UNIT * i, from + 1, UNIT);
        }
    } else {
        for (int line = 0; line < TAPS; line++) {
            uint8_t copy[UNIT + 1];
            copy_line(other + (size_t)within(y + line, height) * (size_t)width, width, x, copy);
            memcpy(tile->left[line] + UNIT * i, copy, UNIT);
            memcpy(tile->right[line] + UNIT * i, copy + 1, UNIT);
        }
    }
    if (columns > 1) {
        for (int line = 0; line < CELL; line++)
            memcpy(tile->here[line] + UNIT * i, here + (size_t)line * (size_t)width, UNIT);
    } else {
        for (int line = 0; line < CELL; line++)
            memcpy(tile->here[line] + UNIT * i, here + (size_t)line * (size_t)width, CELL);
    }
    const uint64_t part_x = (uint64_t)(move_x & (SIXTEENTHS - 1)), part_y = (uint64_t)(move_y & (SIXTEENTHS - 1));
    tile->part_x[i] = part_x * 0x0101010101010101u;
    tile->part_y[i] = part_y * 0x0101010101010101u;
}

/* Sums |current - interpolated| over the lines of a cell, in quarters of a luma step. */
CVSR_INLINE void sum_lines(struct tile *restrict tile)
{
    const uint8_t *parts_x = (const uint8_t *)tile->part_x, *parts_y = (const uint8_t *)tile->part_y;
    for (int x = 0; x < TILE * UNIT; x++) {
        const uint16_t part_x = parts_x[x], part_y = parts_y[x];
        uint16_t sum = 0;
        uint16_t above = (uint16_t)(tile->left[0][x] * (SIXTEENTHS - part_x) + tile->right[0][x] * part_x);
        for (int line = 0; line < CELL; line++) {
            const uint16_t below =
                (uint16_t)(tile->left[line + 1][x] * (SIXTEENTHS - part_x) + tile->right[line + 1][x] * part_x);
            const uint16_t mixed = (uint16_t)(above * (SIXTEENTHS - part_y) + below * part_y);
            const int16_t apart = (int16_t)((int16_t)(4 * tile->here[line][x]) - (int16_t)((uint16_t)(mixed + 32) >> 6));
            sum = (uint16_t)(sum + (uint16_t)(apart < 0 ? -apart : apart));
            above = below;
        }
        tile->sums[x] = sum;
    }
}

/* ------------------------------------------------------------------------------------------------------ all vectors */

/* A unit: its left cell, its vector, and whether the sums of the left (1) and of the right cell (2) are wanted. */
struct unit {
    int32_t column, key, wanted;
};

CVSR_INLINE int32_t list_units(const int32_t *restrict keys, const int32_t *restrict sums, int32_t columns,
                               struct unit *restrict units)
{
    int32_t count = 0;
    for (int32_t pair = 0; pair < columns; pair += 2) {
        /* if the number of columns is odd, the last unit overlaps the one before */
        const int is_odd = pair + 1 == columns, is_alone = columns == 1;
        const int32_t left = is_odd > is_alone ? pair - 1 : pair, right = is_alone ? left : left + 1;
        const int wants_left = (sums[left] == CVSR_WANTED) & (is_alone | (is_odd ^ 1));
        const int wants_right = (sums[right] == CVSR_WANTED) & (is_alone ^ 1);
        const int is_shared = keys[left] == keys[right];
        const int both = is_shared & wants_right;
        const struct unit first = {left, keys[left], wants_left + 2 * both}, second = {left, keys[right], 2};
        units[count] = first;
        count += wants_left | both;
        units[count] = second;
        count += wants_right & (is_shared ^ 1);
    }
    return count;
}

CVSR_INLINE void finish(struct tile *tile, int32_t count, int32_t *sums)
{
    sum_lines(tile);
    for (int32_t i = 0; i < count; i++) {
        uint64_t two_cells[2]; /* four sums of 16 bits each, whose sum fits into 16 bits */
        int32_t nowhere, *to = sums + tile->cell[i];
        memcpy(two_cells, tile->sums + UNIT * i, sizeof two_cells);
        *(tile->wanted[i] & 1 ? to : &nowhere) = (int32_t)(two_cells[0] * 0x0001000100010001u >> 48);
        *(tile->wanted[i] & 2 ? to + 1 : &nowhere) = (int32_t)(two_cells[1] * 0x0001000100010001u >> 48);
    }
}

/* units: columns + 2 of scratch. */
CVSR_CLONES
static void sum_differences(const uint8_t *current, const uint8_t *other, const int32_t *keys, int32_t rows,
                            int32_t columns, int32_t *sums, struct unit *units)
{
    struct tile tile;
    int32_t count = 0;
    memset(&tile, 0, sizeof tile);
    for (int32_t row = 0; row < rows; row++) {
        const size_t line = (size_t)row * (size_t)columns;
        const int32_t found = list_units(keys + line, sums + line, columns, units);
        for (int32_t i = 0; i < found; i++) {
            tile.cell[count] = row * columns + units[i].column;
            tile.wanted[count] = units[i].wanted;
            fetch(current, other, rows, columns, row, units[i].column, units[i].key, count, &tile);
            if (++count == TILE) {
                finish(&tile, count, sums);
                count = 0;
            }
        }
    }
    if (count)
        finish(&tile, count, sums);
}

void cvsr_sum_differences(const uint8_t *current, const uint8_t *other, const int32_t *keys, int32_t rows,
                          int32_t columns, int32_t *sums, int32_t *scratch)
{
    sum_differences(current, other, keys, rows, columns, sums, (struct unit *)(void *)scratch);
}

size_t cvsr_match_scratch(int32_t columns)
{
    return 4 * ((size_t)columns + 2);
}

/* Filters a line with 1 4 1; an empty neighbour counts like the cell itself. padded: columns + 2 numbers. */
CVSR_INLINE void weigh_line(const int32_t *restrict sums, int32_t columns, int32_t *restrict padded,
                            int32_t *restrict weighed)
{
    padded[0] = padded[columns + 1] = CVSR_EMPTY;
    memcpy(padded + 1, sums, (size_t)columns * sizeof *sums);
    for (int32_t i = 0; i < columns; i++) {
        const int32_t here = padded[i + 1], left = padded[i], right = padded[i + 2];
        const int32_t sum = 4 * here + (left < 0 ? here : left) + (right < 0 ? here : right);
        weighed[i] = here < 0 ? CVSR_EMPTY : sum;
    }
}

CVSR_CLONES
static void weigh(const int32_t *sums, int32_t rows, int32_t columns, float *restrict error, int32_t *scratch)
{
    const size_t line = (size_t)columns;
    int32_t *padded = scratch, *lines[3];
    for (int k = 0; k < 3; k++)
        lines[k] = scratch + (size_t)(k + 1) * (line + 2);
    if (!columns)
        return;
    for (int32_t row = -1; row < rows; row++) {
        if (row + 1 < rows)
            weigh_line(sums + (size_t)(row + 1) * line, columns, padded, lines[(row + 1) % 3]);
        if (row < 0)
            continue;
        const int32_t *restrict here = lines[row % 3];
        const int32_t *restrict above = row ? lines[(row - 1) % 3] : here;
        const int32_t *restrict below = row + 1 < rows ? lines[(row + 1) % 3] : here;
        float *restrict to = error + (size_t)row * line;
        for (int32_t i = 0; i < columns; i++) {
            const int32_t sum =
                4 * here[i] + (above[i] < 0 ? here[i] : above[i]) + (below[i] < 0 ? here[i] : below[i]);
            to[i] = here[i] < 0 ? INFINITY : (float)sum * (1.0f / (36 * 4 * CELL * CELL));
        }
    }
}

void cvsr_errors_of_sums(const int32_t *sums, int32_t rows, int32_t columns, float *error, int32_t *scratch)
{
    weigh(sums, rows, columns, error, scratch);
}

int32_t cvsr_matching_error(const uint8_t *current, const uint8_t *other, const float *field, int32_t rows,
                            int32_t columns, float *error)
{
    if (sizes_are_wrong(rows, columns) || !current || !other || !field || !error)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    int32_t *keys = malloc((2 * plane + cvsr_match_scratch(columns)) * sizeof *keys);
    if (!keys)
        return -2;
    cvsr_find_keys(field, plane, keys, keys + plane);
    cvsr_sum_differences(current, other, keys, rows, columns, keys + plane, keys + 2 * plane);
    cvsr_errors_of_sums(keys + plane, rows, columns, error, keys + 2 * plane);
    free(keys);
    return 0;
}
