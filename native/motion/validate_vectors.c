/* Validates vectors found for single cells among those around them: a field is bilinear between cells. */
#include "internal.h"

enum {
    SIDE = 3, /* cells on a side of the compared square */
    ROUNDS = 3,
    UNKNOWN = -1,
};

/* Returns the index of a cell, of one at the border where it is outside. */
CVSR_INLINE size_t index_of(int32_t rows, int32_t columns, int32_t row, int32_t column)
{
    return (size_t)within(row, rows) * (size_t)columns + (size_t)within(column, columns);
}

/* The weights of the vectors of the 3x3 cells around in that of each pixel of a cell, in 64ths: 3 1 0 0 of the cell to one
 * side, 5 7 7 5 of its own and 0 0 1 3 of that to the other, along and down. */
static const int32_t SHARES[SIDE * SIDE][CELL * CELL] = {
    {9, 3, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {15, 21, 21, 15, 5, 7, 7, 5, 0, 0, 0, 0, 0, 0, 0, 0},
    {0, 0, 3, 9, 0, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0},
    {15, 5, 0, 0, 21, 7, 0, 0, 21, 7, 0, 0, 15, 5, 0, 0},
    {25, 35, 35, 25, 35, 49, 49, 35, 35, 49, 49, 35, 25, 35, 35, 25},
    {0, 0, 5, 15, 0, 0, 7, 21, 0, 0, 7, 21, 0, 0, 5, 15},
    {0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 9, 3, 0, 0},
    {0, 0, 0, 0, 0, 0, 0, 0, 5, 7, 7, 5, 15, 21, 21, 15},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 3, 9},
};

/* Returns the sum of differences of a cell, in quarters of a luma step, with a vector for every pixel. */
CVSR_CLONES
static int32_t cell_differences(const uint8_t *current, const uint8_t *other, const int32_t *keys, int32_t rows,
                                int32_t columns, int32_t row, int32_t column)
{
    enum { PIXELS = CELL * CELL };
    const int32_t height = rows * CELL, width = columns * CELL;
    int32_t near_x[SIDE * SIDE], near_y[SIDE * SIDE], sum = 0;
    int32_t move_x[PIXELS], move_y[PIXELS], to_x[PIXELS], to_y[PIXELS];
    int32_t here[PIXELS], a[PIXELS], b[PIXELS], c[PIXELS], d[PIXELS]; /* above left and right, below left and right */
    for (int k = 0; k < SIDE * SIDE; k++) {
        const int32_t key = keys[index_of(rows, columns, row - 1 + k / SIDE, column - 1 + k % SIDE)];
        near_x[k] = x_of(key);
        near_y[k] = y_of(key);
    }
    CVSR_AS_VECTOR
    for (int i = 0; i < PIXELS; i++) {
        int32_t x = 32, y = 32;
        for (int k = 0; k < SIDE * SIDE; k++) {
            x += SHARES[k][i] * near_x[k];
            y += SHARES[k][i] * near_y[k];
        }
        move_x[i] = x >> 6;
        move_y[i] = y >> 6;
        to_x[i] = column * CELL + i % CELL + (move_x[i] >> 4);
        to_y[i] = row * CELL + i / CELL + (move_y[i] >> 4);
    }
    for (int i = 0; i < PIXELS; i++) {
        const int32_t left = within(to_x[i], width), right = within(to_x[i] + 1, width);
        const uint8_t *above = other + (size_t)within(to_y[i], height) * (size_t)width;
        const uint8_t *below = other + (size_t)within(to_y[i] + 1, height) * (size_t)width;
        a[i] = above[left];
        b[i] = above[right];
        c[i] = below[left];
        d[i] = below[right];
        here[i] = current[(size_t)(row * CELL + i / CELL) * (size_t)width + (size_t)(column * CELL + i % CELL)];
    }
    CVSR_AS_VECTOR
    for (int i = 0; i < PIXELS; i++) {
        const int32_t part_x = move_x[i] & (SIXTEENTHS - 1), part_y = move_y[i] & (SIXTEENTHS - 1);
        const int32_t upper = a[i] * (SIXTEENTHS - part_x) + b[i] * part_x;
        const int32_t lower = c[i] * (SIXTEENTHS - part_x) + d[i] * part_x;
        sum += abs(4 * here[i] - ((upper * (SIXTEENTHS - part_y) + lower * part_y + 32) >> 6));
    }
    return sum;
}

/* Returns the same of the 3x3 cells around one; `known` stores the sums of single cells. */
static int32_t differences_around(const uint8_t *current, const uint8_t *other, const int32_t *keys, int32_t rows,
                                  int32_t columns, int32_t row, int32_t column, int32_t *known)
{
    int32_t sum = 0;
    for (int i = -1; i <= 1; i++)
        for (int j = -1; j <= 1; j++) {
            const int32_t y = within(row + i, rows), x = within(column + j, columns);
            int32_t *at = known + (size_t)y * (size_t)columns + (size_t)x;
            if (*at == UNKNOWN)
                *at = cell_differences(current, other, keys, rows, columns, y, x);
            sum += *at;
        }
    return sum;
}

/* Writes a vector into the field and marks the sums of the cells around as unknown. */
static void put(int32_t *mixed, int32_t *known, int32_t rows, int32_t columns, const struct cvsr_found *cell,
                int32_t key)
{
    mixed[index_of(rows, columns, cell->row, cell->column)] = key;
    for (int32_t i = -1; i <= 1; i++)
        for (int32_t j = -1; j <= 1; j++)
            known[index_of(rows, columns, cell->row + i, cell->column + j)] = UNKNOWN;
}

void cvsr_validate_vectors(const uint8_t *current, const uint8_t *other, int32_t rows, int32_t columns, struct cvsr_found *cells,
               size_t count, float max_ratio, int32_t *memory)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    int32_t *keys = memory, *mixed = keys + plane, *before = mixed + plane, *after = before + plane;
    memcpy(mixed, keys, plane * sizeof *keys);
    for (size_t i = 0; i < plane; i++)
        before[i] = after[i] = UNKNOWN;
    for (size_t n = 0; n < count; n++)
        if (cells[n].accepted)
            put(mixed, after, rows, columns, cells + n,
                key_of(SIXTEENTHS * cells[n].found.x, SIXTEENTHS * cells[n].found.y));
    for (int round = 0, rejected = 1; round < ROUNDS && rejected; round++) {
        rejected = 0;
        for (struct cvsr_found *cell = cells; cell < cells + count; cell++) {
            if (!cell->accepted)
                continue;
            const int32_t row = cell->row, column = cell->column;
            const int32_t now = differences_around(current, other, mixed, rows, columns, row, column, after);
            const int32_t then = differences_around(current, other, keys, rows, columns, row, column, before);
            cell->rejected = !((float)now < (float)then * max_ratio);
            rejected |= cell->rejected;
        }
        for (struct cvsr_found *cell = cells; cell < cells + count; cell++)
            if (cell->accepted && cell->rejected) {
                cell->accepted = 0;
                put(mixed, after, rows, columns, cell, keys[index_of(rows, columns, cell->row, cell->column)]);
            }
    }
}
