/* Coarse block search: on means of cells, shrunk until the picture is small, see cvsr_motion.h. */
#include "internal.h"

enum {
    RADIUS = 8,       /* samples on each side of the full search, in the smallest picture */
    MAX_SAMPLES = 96, /* a picture is shrunk until it is at most so high or wide */
    STEP_COST = 3,    /* added per sample of distance to a sum of 9 samples */
    SIDE = 3,         /* of the squares of samples that are compared */
    SPAN = SIDE + 2 * RADIUS,
    LANES = 32, /* sums made at once; the radius needs 17 */
};

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

static void shrink(const uint16_t *from, int32_t rows, int32_t columns, uint16_t *to)
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

int cvsr_pyramid_sizes(int32_t rows, int32_t columns, struct cvsr_level *levels)
{
    int count = 0;
    for (;; rows = (rows + 1) / 2, columns = (columns + 1) / 2) {
        levels[count].rows = rows;
        levels[count++].columns = columns;
        if ((rows < columns ? rows : columns) <= MAX_SAMPLES)
            return count;
    }
}

size_t cvsr_level_size(const struct cvsr_level *level)
{
    return (size_t)level->rows * (size_t)level->columns;
}

void cvsr_fill_pyramid(const uint8_t *current, const uint8_t *other, struct cvsr_level *levels, int count,
                        uint16_t *memory)
{
    for (int k = 0; k < count; k++) {
        levels[k].current = memory;
        levels[k].other = memory + cvsr_level_size(levels + k);
        memory += 2 * cvsr_level_size(levels + k);
    }
    sum_cells(current, levels->rows, levels->columns, levels->current);
    sum_cells(other, levels->rows, levels->columns, levels->other);
    for (int k = 1; k < count; k++) {
        shrink(levels[k - 1].current, levels[k - 1].rows, levels[k - 1].columns, levels[k].current);
        shrink(levels[k - 1].other, levels[k - 1].rows, levels[k - 1].columns, levels[k].other);
    }
}

/* Returns the vector within `radius` of `start` with the smallest differences of SIDE x SIDE samples around one. */
CVSR_CLONES
static struct cvsr_vector search_samples(const struct cvsr_level *level, int32_t row, int32_t column,
                                         struct cvsr_vector start, int32_t radius, int32_t step_cost)
{
    uint16_t here[SIDE][SIDE], there[SPAN][LANES + SIDE];
    const int32_t span = SIDE + 2 * radius, width = level->columns;
    const int32_t x = column - 1, y = row - 1, from_x = x + start.x - radius, from_y = y + start.y - radius;
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
    for (int32_t line = 0; line <= 2 * radius; line++) {
        uint16_t sums[LANES] = {0};
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++) {
                const uint16_t *restrict from = there[line + i] + j, value = here[i][j];
                for (int k = 0; k < LANES; k++)
                    sums[k] = (uint16_t)(sums[k] + abs_difference(from[k], value));
            }
        const uint16_t cost = (uint16_t)(step_cost * abs(line - radius)), at = (uint16_t)line;
        for (int k = 0; k < LANES; k++) {
            const uint16_t sum = (uint16_t)(sums[k] + cost);
            line_of[k] = sum < least[k] ? at : line_of[k];
            least[k] = sum < least[k] ? sum : least[k];
        }
    }
    int32_t found = INT32_MAX, found_x = 0, found_y = 0;
    for (int32_t k = 0; k <= 2 * radius; k++) {
        const int32_t sum = least[k] + step_cost * abs(k - radius);
        if (sum < found || (sum == found && line_of[k] < found_y)) {
            found = sum;
            found_x = k;
            found_y = line_of[k];
        }
    }
    const struct cvsr_vector best = {start.x + found_x - radius, start.y + found_y - radius};
    return best;
}

struct cvsr_vector cvsr_search_pyramid(const struct cvsr_level *levels, int count, int32_t row, int32_t column)
{
    struct cvsr_vector vector = {0, 0};
    for (int k = count - 1; k >= 0; k--) {
        const int is_first = k == count - 1;
        vector.x *= 2;
        vector.y *= 2;
        vector = search_samples(levels + k, row >> k, column >> k, vector, is_first ? RADIUS : 1,
                                is_first ? STEP_COST : 0);
    }
    return vector;
}

