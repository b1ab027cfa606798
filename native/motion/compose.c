/* Fields composed: one after the other, for motion over several frames, see cvsr_motion.h. */
#include "internal.h"

enum { TILE = 128 }; /* cells at a time */

/* For up to TILE cells of a row: the left and right vectors, x and y alternating, above and below the point that each vector
 * points at, and the shares of the right and lower ones. */
struct tile {
    float above[4 * TILE], below[4 * TILE], part_x[TILE], part_y[TILE];
    int32_t at[TILE];
};

/* Finds the cells that the vectors of some cells of a row point between, in a field with a border of one cell on the right
 * and below. */
CVSR_INLINE void find_corners(const float *restrict first_x, const float *restrict first_y, int32_t row,
                              int32_t column, int32_t rows, int32_t columns, int32_t count, struct tile *restrict tile)
{
    for (int32_t i = 0; i < count; i++) {
        const float x = first_x[i] == first_x[i] ? first_x[i] * (1.0f / CELL) : 0.0f;
        const float y = first_y[i] == first_y[i] ? first_y[i] * (1.0f / CELL) : 0.0f;
        const float dx = min_of(max_of(x, (float)-(column + i)), (float)(columns - 1 - column - i));
        const float dy = min_of(max_of(y, (float)-row), (float)(rows - 1 - row));
        const int32_t left = (int32_t)((float)(column + i) + dx), top = (int32_t)((float)row + dy);
        tile->part_x[i] = dx - (float)(left - column - i);
        tile->part_y[i] = dy - (float)(top - row);
        tile->at[i] = 2 * (top * (columns + 1) + left);
    }
}

/* Writes a field with x and y alternating, its last column and row repeated: (rows + 1) * (columns + 1) * 2. */
CVSR_INLINE void interleave(const float *restrict field, int32_t rows, int32_t columns, float *restrict both)
{
    const size_t plane = (size_t)rows * (size_t)columns, line = 2 * ((size_t)columns + 1);
    for (int32_t row = 0; row < rows; row++) {
        const float *restrict from = field + (size_t)row * (size_t)columns;
        float *restrict to = both + (size_t)row * line;
        for (int32_t i = 0; i < columns; i++) {
            to[2 * i] = from[i];
            to[2 * i + 1] = from[plane + (size_t)i];
        }
        to[2 * columns] = from[columns - 1];
        to[2 * columns + 1] = from[plane + (size_t)columns - 1];
    }
    memcpy(both + (size_t)rows * line, both + (size_t)(rows - 1) * line, line * sizeof *both);
}

/* composed = first + second where first points, bilinear between cell centres, the border repeated. */
CVSR_CLONES
static void compose(const float *restrict first, const float *restrict second, int32_t rows, int32_t columns,
                    float *restrict composed, float *restrict both)
{
    const size_t plane = (size_t)rows * (size_t)columns, line = 2 * ((size_t)columns + 1);
    struct tile tile;
    if (!plane)
        return;
    interleave(second, rows, columns, both);
    for (int32_t row = 0; row < rows; row++)
        for (int32_t column = 0; column < columns; column += TILE) {
            const int32_t count = columns - column < TILE ? columns - column : TILE;
            const size_t at = (size_t)row * (size_t)columns + (size_t)column;
            find_corners(first + at, first + plane + at, row, column, rows, columns, count, &tile);
            for (int32_t i = 0; i < count; i++) {
                memcpy(tile.above + 4 * i, both + tile.at[i], 4 * sizeof *both);
                memcpy(tile.below + 4 * i, both + (size_t)tile.at[i] + line, 4 * sizeof *both);
            }
            const float *restrict here = first + at, *restrict above = tile.above, *restrict below = tile.below;
            float *restrict to = composed + at;
            for (int32_t i = 0; i < count; i++) {
                const float x = mix(mix(above[4 * i], above[4 * i + 2], tile.part_x[i]),
                                    mix(below[4 * i], below[4 * i + 2], tile.part_x[i]), tile.part_y[i]);
                const float y = mix(mix(above[4 * i + 1], above[4 * i + 3], tile.part_x[i]),
                                    mix(below[4 * i + 1], below[4 * i + 3], tile.part_x[i]), tile.part_y[i]);
                to[i] = here[i] + x;
                to[plane + (size_t)i] = here[plane + (size_t)i] + y;
            }
        }
}

void cvsr_compose_fields(const float *first, const float *second, int32_t rows, int32_t columns, float *composed,
                         float *scratch)
{
    compose(first, second, rows, columns, composed, scratch);
}

size_t cvsr_compose_scratch(int32_t rows, int32_t columns)
{
    return 2 * ((size_t)rows + 1) * ((size_t)columns + 1);
}

int32_t cvsr_compose(const struct cvsr_composition *jobs, int32_t count, int32_t rows, int32_t columns)
{
    if (sizes_are_wrong(rows, columns) || count < 0 || (count && !jobs))
        return -1;
    for (int32_t i = 0; i < count; i++)
        if (!jobs[i].first || !jobs[i].second || !jobs[i].composed)
            return -1;
    float *scratch = floats(cvsr_compose_scratch(rows, columns));
    if (!scratch)
        return -2;
    for (int32_t i = 0; i < count; i++)
        compose(jobs[i].first, jobs[i].second, rows, columns, jobs[i].composed, scratch);
    free(scratch);
    return 0;
}
