/* The best reference and the best candidate of each cell, and the carrying and filling of fields. See cvsr_motion.h. */
#include "internal.h"

/* Replaces error and vectors where `match` is below `must_win_by` times `error`; vectors are divided by `divisor`. */
CVSR_CLONES
static void select_better(const float *restrict match, const float *restrict tried, float divisor, float must_win_by,
                        size_t plane, float *restrict field, float *restrict error)
{
    for (size_t i = 0; i < plane; i++) {
        const int better = match[i] < error[i] * must_win_by;
        error[i] = better ? match[i] : error[i];
        field[i] = better ? tried[i] / divisor : field[i];
        field[plane + i] = better ? tried[plane + i] / divisor : field[plane + i];
    }
}

int32_t cvsr_best_reference(const uint8_t *current, const uint8_t *const *others, const float *distances, int32_t count,
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
    int32_t *keys = malloc((4 * plane + cvsr_match_scratch(columns)) * sizeof *keys);
    if (!keys)
        return -2;
    int32_t *wanted = keys + plane, *sums = wanted + plane, *scratch = sums + plane;
    float *match = (float *)(void *)(scratch + cvsr_match_scratch(columns));
    for (size_t i = 0; i < plane; i++) {
        error[i] = INFINITY;
        velocity[i] = velocity[plane + i] = NAN;
    }
    cvsr_find_keys(raw, plane, keys, wanted);
    for (int32_t k = 0; k < count; k++) {
        memcpy(sums, wanted, plane * sizeof *sums);
        cvsr_sum_differences(current, others[k], keys, rows, columns, sums, scratch);
        cvsr_errors_of_sums(sums, rows, columns, match, scratch);
        select_better(match, raw, distances[k], must_win_by, plane, velocity, error);
    }
    free(keys);
    return 0;
}

/* --------------------------------------------------------------------------------------------- carrying and filling */

/* best, winner: planes of scratch; target: a line. */
CVSR_CLONES
static void splat(const float *restrict field, float sign, const float *restrict priority, int32_t rows,
                  int32_t columns, float *restrict landed, float *restrict best, int32_t *restrict winner,
                  int32_t *restrict target)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    const float *restrict field_x = field, *restrict field_y = field + plane;
    for (size_t i = 0; i < plane; i++) {
        best[i] = INFINITY;
        winner[i] = -1;
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
            const int32_t at = (int32_t)line + i, to = target[i] < 0 ? 0 : target[i];
            const float rank = priority[at] == priority[at] ? priority[at] : INFINITY;
            const int wins = (target[i] >= 0) & (rank <= best[to]);
            best[to] = wins ? rank : best[to];
            winner[to] = wins ? at : winner[to];
        }
    }
    for (size_t i = 0; i < plane; i++) {
        const size_t from = winner[i] < 0 ? 0 : (size_t)winner[i];
        const float x = sign * field_x[from], y = sign * field_y[from];
        landed[i] = winner[i] < 0 ? NAN : x;
        landed[plane + i] = winner[i] < 0 ? NAN : y;
    }
}

int32_t cvsr_splat(const float *field, float sign, const float *priority, int32_t rows, int32_t columns, float *landed)
{
    if (sizes_are_wrong(rows, columns) || !field || !priority || !landed)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    float *best = floats(2 * plane + (size_t)columns);
    if (!best)
        return -2;
    int32_t *winner = (int32_t *)(void *)(best + plane);
    splat(field, sign, priority, rows, columns, landed, best, winner, winner + plane);
    free(best);
    return 0;
}

/* Writes 1 into `known` where there is a vector; returns how many there are. */
CVSR_CLONES
static int32_t find_known(const float *restrict field_x, const float *restrict field_y, int32_t rows, int32_t columns,
                          unsigned char *restrict known)
{
    int32_t count = 0;
    for (int32_t row = 0; row < rows; row++) {
        const size_t line = (size_t)row * (size_t)columns;
        unsigned char *restrict to = known + (size_t)(row + 1) * ((size_t)columns + 2) + 1;
        for (int32_t i = 0; i < columns; i++) {
            const int there = is_finite(field_x[line + i]) & is_finite(field_y[line + i]);
            to[i] = (unsigned char)there;
            count += there;
        }
    }
    return count;
}

/* Fills the cells of `field` in place. holes: a plane of places; known: a bordered plane, (rows + 2) * (columns + 2).
 * Returns 0 where nothing is known. */
static int fill_holes(float *field, int32_t rows, int32_t columns, int32_t *holes, unsigned char *known)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    const int32_t stride = columns + 2;
    float *field_x = field, *field_y = field + plane;
    memset(known, 0, (size_t)(rows + 2) * (size_t)stride);
    const int32_t there = find_known(field_x, field_y, rows, columns, known);
    if (there == 0) {
        for (size_t i = 0; i < 2 * plane; i++)
            field[i] = 0.0f;
        return 0;
    }
    int32_t left = 0;
    for (int32_t row = 0; row < rows && (size_t)there < plane; row++)
        for (int32_t column = 0; column < columns; column++)
            if (!known[(row + 1) * stride + column + 1])
                holes[left++] = row << 16 | column;
    while (left) { /* one ring: its cells become known when it is complete */
        int32_t remaining = 0, filled = 0;
        for (int32_t i = 0; i < left; i++) {
            const int32_t row = holes[i] >> 16, column = holes[i] & 0xffff, at = row * columns + column;
            unsigned char *here = known + (row + 1) * stride + column + 1;
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
                *here = 2;
                filled++;
            } else {
                holes[remaining++] = holes[i];
            }
        }
        if (!filled)
            break;
        for (size_t i = 0; i < (size_t)(rows + 2) * (size_t)stride; i++)
            known[i] = known[i] != 0;
        left = remaining;
    }
    return 1;
}

static size_t fill_scratch(int32_t rows, int32_t columns) /* in floats, for holes and known */
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

/* The candidate as a field without holes; 0 where it is empty. best: two planes of scratch; holes: fill_scratch(). */
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
        splat(candidate->field, candidate->sign, candidate->priority, rows, columns, field, best,
              (int32_t *)(void *)(best + plane), holes);
    else
        for (size_t i = 0; i < 2 * plane; i++)
            field[i] = candidate->sign * candidate->field[i];
    return fill_holes(field, rows, columns, holes, (unsigned char *)(holes + plane));
}

/* Copies the sums of differences of an earlier candidate wherever that has the same vector. */
CVSR_CLONES
static void reuse_known(const int32_t *restrict earlier_keys, const int32_t *restrict earlier_sums,
                       const int32_t *restrict keys, size_t plane, int32_t *restrict sums)
{
    for (size_t i = 0; i < plane; i++) {
        const int is_known = (earlier_keys[i] == keys[i]) & (earlier_sums[i] >= 0) & (sums[i] == CVSR_WANTED);
        sums[i] = is_known ? earlier_sums[i] : sums[i];
    }
}

/* Copies the sums of the candidate that was found to be the best so far. */
CVSR_CLONES
static void select_sums(const float *restrict match, const float *restrict error, const int32_t *restrict tried, size_t plane,
                        int32_t *restrict sums)
{
    for (size_t i = 0; i < plane; i++)
        sums[i] = match[i] < error[i] ? tried[i] : sums[i];
}

int32_t cvsr_best_candidate(const uint8_t *current, const uint8_t *other, const struct cvsr_candidate *candidates,
                            int32_t count, int32_t rows, int32_t columns, float *field, float *error, int32_t *best_sums)
{
    if (sizes_are_wrong(rows, columns) || count < 0 || count > CVSR_MAX_CANDIDATES || !current || !other ||
        (count && !candidates) || !field || !error || !best_sums)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns, all = (size_t)count * plane;
    float *tried = floats(5 * plane + cvsr_match_scratch(columns) + fill_scratch(rows, columns) + 2 * all);
    if (!tried)
        return -2;
    float *match = tried + 2 * plane, *best = match + plane;
    int32_t *scratch = (int32_t *)(void *)(best + 2 * plane), *holes = scratch + cvsr_match_scratch(columns);
    int32_t *all_keys = holes + fill_scratch(rows, columns), *all_sums = all_keys + all;
    int32_t known = 0;
    for (size_t i = 0; i < plane; i++) {
        error[i] = INFINITY;
        field[i] = field[plane + i] = 0.0f;
        best_sums[i] = CVSR_WANTED;
    }
    for (int32_t k = 0; k < count; k++) {
        if (!prepare(candidates + k, rows, columns, tried, holes, best))
            continue;
        int32_t *keys = all_keys + (size_t)known * plane, *sums = all_sums + (size_t)known * plane;
        cvsr_find_keys(tried, plane, keys, sums);
        for (size_t i = 0; i < (size_t)known; i++)
            reuse_known(all_keys + i * plane, all_sums + i * plane, keys, plane, sums);
        known++;
        cvsr_sum_differences(current, other, keys, rows, columns, sums, scratch);
        cvsr_errors_of_sums(sums, rows, columns, match, scratch);
        select_sums(match, error, sums, plane, best_sums);
        select_better(match, tried, 1.0f, 1.0f, plane, field, error);
    }
    free(tried);
    return 0;
}
