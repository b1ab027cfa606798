/* The best reference and the best candidate of each cell, and the carrying and filling of fields on the way there. */
#include "cvsr_motion_internal.h"

/* Where `match` is below `must_win_by` times `error`, it and the vectors divided by `divisor` take their place. */
CVSR_CLONES
static void take_better(const float *restrict match, const float *restrict tried, float divisor, float must_win_by,
                        size_t plane, float *restrict field, float *restrict error)
{
    for (size_t i = 0; i < plane; i++) {
        const int better = match[i] < error[i] * must_win_by;
        error[i] = better ? match[i] : error[i];
        field[i] = better ? tried[i] / divisor : field[i];
        field[plane + i] = better ? tried[plane + i] / divisor : field[plane + i];
    }
}

int32_t cvsr_best_reference(const float *current, const float *const *others, const float *distances, int32_t count,
                            const float *raw, int32_t rows, int32_t columns, float must_win_by, float *velocity,
                            float *error)
{
    if (sizes_are_wrong(rows, columns) || count < 0 || !current || (count && (!others || !distances)) || !raw ||
        !velocity || !error)
        return -1;
    for (int32_t i = 0; i < count; i++)
        if (!others[i])
            return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    float *match = floats(plane + cvsr_match_scratch(columns));
    if (!match)
        return -2;
    for (size_t i = 0; i < plane; i++) {
        error[i] = INFINITY;
        velocity[i] = velocity[plane + i] = NAN;
    }
    for (int32_t k = 0; k < count; k++) {
        cvsr_match(current, others[k], raw, rows, columns, match, match + plane);
        take_better(match, raw, distances[k], must_win_by, plane, velocity, error);
    }
    free(match);
    return 0;
}

/* --------------------------------------------------------------------------------------------- carrying and filling */

/* To the nearest whole number, ties to even, for |value| < 2^22. */
CVSR_INLINE float rounded(float value)
{
    return (value + 12582912.0f) - 12582912.0f;
}

/* best: a plane of scratch; target: a line. */
static void splat(const float *restrict field, float sign, const float *restrict priority, int32_t rows,
                  int32_t columns, float *restrict landed, float *restrict best, int32_t *restrict target)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    const float *restrict field_x = field, *restrict field_y = field + plane;
    for (size_t i = 0; i < plane; i++) {
        landed[i] = landed[plane + i] = NAN;
        best[i] = INFINITY;
    }
    for (int32_t row = 0; row < rows; row++) {
        const size_t line = (size_t)row * (size_t)columns;
        for (int32_t i = 0; i < columns; i++) {
            const float x = (float)i + field_x[line + i] / CELL, y = (float)row + field_y[line + i] / CELL;
            const int near = (x > -1.0f) & (y > -1.0f) & (x < (float)columns) & (y < (float)rows); /* no NaN is */
            const int32_t to_x = (int32_t)rounded(near ? x : 0.0f), to_y = (int32_t)rounded(near ? y : 0.0f);
            const int inside = near & (to_x >= 0) & (to_y >= 0) & (to_x < columns) & (to_y < rows);
            target[i] = inside ? to_y * columns + to_x : -1;
        }
        for (int32_t i = 0; i < columns; i++) {
            const size_t at = line + (size_t)i;
            const float rank = priority[at] == priority[at] ? priority[at] : INFINITY;
            if (target[i] < 0 || rank > best[target[i]])
                continue;
            best[target[i]] = rank;
            landed[target[i]] = sign * field_x[at];
            landed[plane + (size_t)target[i]] = sign * field_y[at];
        }
    }
}

int32_t cvsr_splat(const float *field, float sign, const float *priority, int32_t rows, int32_t columns, float *landed)
{
    if (sizes_are_wrong(rows, columns) || !field || !priority || !landed)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    float *best = floats(plane + (size_t)columns);
    if (!best)
        return -2;
    splat(field, sign, priority, rows, columns, landed, best, (int32_t *)(void *)(best + plane));
    free(best);
    return 0;
}

/* Fill the cells of `field` in place. holes: a plane of indices; known: a bordered plane, (rows + 2) * (columns + 2).
 * Returns 0 where nothing is known. */
static int fill_holes(float *field, int32_t rows, int32_t columns, int32_t *holes, unsigned char *known)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    const int32_t stride = columns + 2;
    float *field_x = field, *field_y = field + plane;
    int32_t left = 0;
    memset(known, 0, (size_t)(rows + 2) * (size_t)stride);
    for (int32_t row = 0; row < rows; row++)
        for (int32_t column = 0; column < columns; column++) {
            const int32_t at = row * columns + column;
            if (is_finite(field_x[at]) && is_finite(field_y[at]))
                known[(row + 1) * stride + column + 1] = 1;
            else
                holes[left++] = at;
        }
    if ((size_t)left == plane) {
        for (size_t i = 0; i < 2 * plane; i++)
            field[i] = 0.0f;
        return 0;
    }
    while (left) { /* one ring: cells reached in it go to the end of the list and become known when it is complete */
        int32_t keep = 0, reached = 0;
        for (int32_t i = 0; i < left; i++) {
            const int32_t at = holes[i], row = at / columns, column = at % columns;
            const unsigned char *here = known + (row + 1) * stride + column + 1;
            float sum_x = 0.0f, sum_y = 0.0f, count = 0.0f;
            for (int32_t y = -1; y <= 1; y++)
                for (int32_t x = -1; x <= 1; x++)
                    if (here[y * stride + x] == 1) {
                        sum_x += field_x[at + y * columns + x];
                        sum_y += field_y[at + y * columns + x];
                        count += 1.0f;
                    }
            if (count > 0.0f) {
                field_x[at] = sum_x / count;
                field_y[at] = sum_y / count;
                known[(row + 1) * stride + column + 1] = 2;
                reached++;
            } else {
                holes[keep++] = at;
            }
        }
        if (!reached)
            break;
        for (size_t i = 0; i < (size_t)(rows + 2) * (size_t)stride; i++)
            known[i] = known[i] != 0;
        left = keep;
    }
    return 1;
}

static size_t fill_scratch(int32_t rows, int32_t columns) /* in floats, for holes and known together */
{
    return (size_t)rows * (size_t)columns + ((size_t)rows + 2) * ((size_t)columns + 2) / sizeof(float) + 1;
}

int32_t cvsr_fill_holes(const float *field, int32_t rows, int32_t columns, float *filled)
{
    if (sizes_are_wrong(rows, columns) || !field || !filled)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    int32_t *holes = malloc(fill_scratch(rows, columns) * sizeof(float));
    if (!holes)
        return -2;
    memcpy(filled, field, 2 * plane * sizeof *field);
    fill_holes(filled, rows, columns, holes, (unsigned char *)(holes + plane));
    free(holes);
    return 0;
}

/* --------------------------------------------------------------------------------------------------- best candidate */

/* The candidate as a field without holes; 0 where it is empty. best: a plane of scratch; holes: fill_scratch(). */
static int prepare(const struct cvsr_candidate *candidate, int32_t rows, int32_t columns, float *field, int32_t *holes,
                   float *best)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    if (!candidate->field) {
        for (size_t i = 0; i < 2 * plane; i++)
            field[i] = 0.0f;
        return 1;
    }
    if (candidate->priority)
        splat(candidate->field, candidate->sign, candidate->priority, rows, columns, field, best, holes);
    else
        for (size_t i = 0; i < 2 * plane; i++)
            field[i] = candidate->sign * candidate->field[i];
    return fill_holes(field, rows, columns, holes, (unsigned char *)(holes + plane));
}

int32_t cvsr_best_candidate(const float *current, const float *other, const struct cvsr_candidate *candidates,
                            int32_t count, int32_t rows, int32_t columns, float *field, float *error)
{
    if (sizes_are_wrong(rows, columns) || count < 0 || !current || !other || (count && !candidates) || !field || !error)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    float *tried = floats(4 * plane + cvsr_match_scratch(columns) + fill_scratch(rows, columns));
    if (!tried)
        return -2;
    float *match = tried + 2 * plane, *best = match + plane, *scratch = best + plane;
    int32_t *holes = (int32_t *)(void *)(scratch + cvsr_match_scratch(columns));
    for (size_t i = 0; i < plane; i++) {
        error[i] = INFINITY;
        field[i] = field[plane + i] = 0.0f;
    }
    for (int32_t k = 0; k < count; k++) {
        if (!prepare(candidates + k, rows, columns, tried, holes, best))
            continue;
        cvsr_match(current, other, tried, rows, columns, match, scratch);
        take_better(match, tried, 1.0f, 1.0f, plane, field, error);
    }
    free(tried);
    return 0;
}
