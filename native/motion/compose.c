/* Fields put together: one after the other, for motion over more frames than a vector spans, and averaged over time. And
 * a picture sampled along a field. */
#include "internal.h"

enum { TILE = 128 }; /* cells done at once */

/* Of up to TILE cells of a row: the pairs of vectors left and right, x and y in turn, above and below where they point, and
 * the shares of the right and lower ones. */
struct tile {
    float above[4 * TILE], below[4 * TILE], part_x[TILE], part_y[TILE];
    int32_t at[TILE];
};

/* The cells that the vectors of some cells of a row point between, in a field with a border of one cell on the right and
 * below. */
CVSR_INLINE void find_corners(const float *restrict first_x, const float *restrict first_y, int32_t row,
                              int32_t column, int32_t rows, int32_t columns, int32_t count, struct tile *restrict tile)
{
    for (int32_t i = 0; i < count; i++) {
        const float x = first_x[i] == first_x[i] ? first_x[i] * (1.0f / CELL) : 0.0f;
        const float y = first_y[i] == first_y[i] ? first_y[i] * (1.0f / CELL) : 0.0f;
        const float dx = least(most(x, (float)-(column + i)), (float)(columns - 1 - column - i));
        const float dy = least(most(y, (float)-row), (float)(rows - 1 - row));
        const int32_t left = (int32_t)((float)(column + i) + dx), top = (int32_t)((float)row + dy);
        tile->part_x[i] = dx - (float)(left - column - i);
        tile->part_y[i] = dy - (float)(top - row);
        tile->at[i] = 2 * (top * (columns + 1) + left);
    }
}

/* A field with x and y in turn, its last column and row repeated: (rows + 1) * (columns + 1) * 2. */
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

enum { MOST_AT_ONCE = 256 }; /* cells averaged at once */

CVSR_CLONES
static void steady(const float *restrict field, const float *const *others, const float *shares, int32_t count,
                   float falloff, size_t plane, float *restrict steadied)
{
    float sum_x[MOST_AT_ONCE], sum_y[MOST_AT_ONCE], weights[MOST_AT_ONCE];
    for (size_t begin = 0; begin < plane; begin += MOST_AT_ONCE) {
        const size_t cells = plane - begin < MOST_AT_ONCE ? plane - begin : MOST_AT_ONCE;
        const float *restrict field_x = field + begin, *restrict field_y = field_x + plane;
        for (size_t i = 0; i < cells; i++) {
            sum_x[i] = field_x[i];
            sum_y[i] = field_y[i];
            weights[i] = 1.0f;
        }
        for (int32_t k = 0; k < count; k++) {
            const float *restrict other_x = others[k] + begin, *restrict other_y = other_x + plane;
            const float sign = shares[k] < 0.0f ? -1.0f : 1.0f, share = fabsf(shares[k]);
            for (size_t i = 0; i < cells; i++) {
                const float x = sign * other_x[i], y = sign * other_y[i];
                const float apart_x = x - field_x[i], apart_y = y - field_y[i];
                const float far = (apart_x * apart_x + apart_y * apart_y) * falloff;
                const int counts = far <= FLT_MAX; /* no NaN does */
                const float weight = counts ? share / (1.0f + far) : 0.0f;
                sum_x[i] += counts ? weight * x : 0.0f;
                sum_y[i] += counts ? weight * y : 0.0f;
                weights[i] += weight;
            }
        }
        for (size_t i = 0; i < cells; i++) {
            steadied[begin + i] = sum_x[i] / weights[i];
            steadied[plane + begin + i] = sum_y[i] / weights[i];
        }
    }
}

int32_t cvsr_steady(const struct cvsr_steadying *jobs, int32_t count, const float *shares, const float *tolerances,
                    int32_t rows, int32_t columns)
{
    if (sizes_are_wrong(rows, columns) || count < 0 || (count && (!jobs || !tolerances)) || !shares)
        return -1;
    for (int32_t i = 0; i < count; i++)
        if (!jobs[i].field || !jobs[i].steadied)
            return -1;
    for (int32_t i = 0; i < count; i++) {
        const float *others[CVSR_OTHERS];
        float own_shares[CVSR_OTHERS];
        int32_t given = 0;
        for (int k = 0; k < CVSR_OTHERS; k++) {
            others[given] = jobs[i].others[k];
            own_shares[given] = shares[k];
            given += jobs[i].others[k] != NULL;
        }
        steady(jobs[i].field, others, own_shares, given, 1.0f / (tolerances[i] * tolerances[i]),
               (size_t)rows * (size_t)columns, jobs[i].steadied);
    }
    return 0;
}

/* The number of parts is a constant in each call, so that they are added up in one go. */
CVSR_INLINE void spread_parts(const struct cvsr_spreading *job, int parts, float gain, size_t size)
{
    const float share = gain / (float)parts;
    const float *restrict field = job->field;
    const float *restrict a = job->parts[0], *restrict b = job->parts[parts > 1];
    const float *restrict c = job->parts[parts > 2 ? 2 : 0], *restrict d = job->parts[parts > 3 ? 3 : 0];
    float *restrict corrected = job->corrected;
    for (size_t i = 0; i < size; i++) {
        float sum = a[i];
        if (parts > 1)
            sum += b[i];
        if (parts > 2)
            sum += c[i];
        if (parts > 3)
            sum += d[i];
        corrected[i] = sum * share + field[i];
    }
}

CVSR_CLONES
static void spread(const struct cvsr_spreading *job, float gain, size_t size)
{
    if (job->parts[3])
        spread_parts(job, 4, gain, size);
    else if (job->parts[2])
        spread_parts(job, 3, gain, size);
    else if (job->parts[1])
        spread_parts(job, 2, gain, size);
    else
        spread_parts(job, 1, gain, size);
}

int32_t cvsr_spread(const struct cvsr_spreading *jobs, int32_t count, float gain, int32_t rows, int32_t columns)
{
    if (sizes_are_wrong(rows, columns) || count < 0 || (count && !jobs))
        return -1;
    for (int32_t i = 0; i < count; i++) {
        const struct cvsr_spreading *job = jobs + i;
        if (!job->field || !job->parts[0] || (job->parts[2] && !job->parts[1]) || (job->parts[3] && !job->parts[2]) ||
            !job->corrected)
            return -1;
    }
    for (int32_t i = 0; i < count; i++)
        spread(jobs + i, gain, 2 * (size_t)rows * (size_t)columns);
    return 0;
}

CVSR_CLONES
static void warp(const float *restrict picture, const float *restrict flow, int32_t height, int32_t width,
                 float *restrict warped)
{
    const size_t plane = (size_t)height * (size_t)width;
    for (int32_t row = 0; row < height; row++) {
        const size_t line = (size_t)row * (size_t)width;
        for (int32_t column = 0; column < width; column++) {
            const size_t at = line + (size_t)column;
            const float x = bounded(flow[at]), y = bounded(flow[plane + at]);
            const int32_t ix = whole(x), iy = whole(y);
            const float part_x = x - (float)ix, part_y = y - (float)iy;
            const float *above = picture + (size_t)within(row + iy, height) * (size_t)width;
            const float *below = picture + (size_t)within(row + iy + 1, height) * (size_t)width;
            const int32_t left = within(column + ix, width), right = within(column + ix + 1, width);
            warped[at] = mix(mix(above[left], above[right], part_x), mix(below[left], below[right], part_x), part_y);
        }
    }
}

int32_t cvsr_warp(const float *picture, const float *flow, int32_t height, int32_t width, float *warped)
{
    if (height < 0 || width < 0 || height > CELL * CVSR_MOST_CELLS || width > CELL * CVSR_MOST_CELLS || !picture ||
        !flow || !warped)
        return -1;
    warp(picture, flow, height, width, warped);
    return 0;
}
