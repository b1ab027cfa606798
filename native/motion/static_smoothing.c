/* Smooth motion where the codec saw none, see cvsr_motion.h. */
#include "internal.h"

static const float ROBUST = 0.03f; /* pixels: a vector so far from the mean gets the weight 0.5 in it */
static const float MAX_DEVIATION = 0.1f; /* pixels: more counts as that in the mean deviation */
static const float EPSILON = 1e-6f;     /* against a division by zero */
enum { ROUNDS = 2 };

CVSR_INLINE float squared_distance(float x, float y, float mean_x, float mean_y)
{
    const float dx = x - mean_x, dy = y - mean_y;
    return dx * dx + dy * dy;
}

/* The cells of the rows that take part, and their vectors. */
struct band {
    const float *x, *y;
    size_t count;
};

/* Writes weights and weighted vectors, which the filter turns into weighted means. */
CVSR_CLONES
static void weigh(struct band band, const float *restrict weights, float *restrict sums)
{
    const size_t count = band.count;
    for (size_t i = 0; i < count; i++) {
        const float weight = weights[i];
        sums[i] = weight;
        sums[count + i] = weight > 0.0f ? band.x[i] * weight : 0.0f;
        sums[2 * count + i] = weight > 0.0f ? band.y[i] * weight : 0.0f;
    }
}

CVSR_CLONES
static void compare(struct band band, const float *restrict share, const float *restrict sums, float *restrict weights,
                    float *restrict mean)
{
    const float falloff = 1.0f / (ROBUST * ROBUST);
    const size_t count = band.count;
    for (size_t i = 0; i < count; i++) {
        const float one = 1.0f / (sums[i] + EPSILON);
        const float x = sums[count + i] * one, y = sums[2 * count + i] * one;
        const float apart = squared_distance(band.x[i], band.y[i], x, y);
        mean[i] = x;
        mean[count + i] = y;
        weights[i] = share[i] > 0.0f ? share[i] / (1.0f + apart * falloff) : 0.0f;
    }
}

CVSR_CLONES
static void draw_to_mean(struct band band, const float *restrict share, const float *restrict mean, float tolerance,
                         float *restrict smoothed_x, float *restrict smoothed_y)
{
    const float squared = tolerance * tolerance;
    const size_t count = band.count;
    for (size_t i = 0; i < count; i++) {
        const float x = band.x[i], y = band.y[i], mean_x = mean[i], mean_y = mean[count + i];
        const float apart = squared_distance(x, y, mean_x, mean_y);
        const float bound = squared * share[i], remaining = bound > 0.0f ? apart / (apart + bound) : 1.0f;
        smoothed_x[i] = share[i] > 0.0f ? mean_x + (x - mean_x) * remaining : x;
        smoothed_y[i] = share[i] > 0.0f ? mean_y + (y - mean_y) * remaining : y;
    }
}

/* Writes the shares that count, and adds them up; first, last: rows that have some. */
static double find_shares(const float *field, const float *shares, int32_t rows, int32_t columns, float *share, int32_t *first,
                          int32_t *last)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    double total = 0.0;
    *first = *last = -1;
    for (int32_t row = 0; row < rows; row++) {
        int takes_part = 0;
        const size_t begin = (size_t)row * (size_t)columns;
        for (size_t i = begin; i < begin + (size_t)columns; i++) {
            const int counts = shares[i] > 0.0f && shares[i] <= 1.0f && fabsf(field[i]) <= MAX_VECTOR &&
                               fabsf(field[plane + i]) <= MAX_VECTOR;
            share[i] = counts ? shares[i] : 0.0f;
            total += share[i];
            takes_part |= counts;
        }
        if (takes_part) {
            *first = *first < 0 ? row : *first;
            *last = row;
        }
    }
    return total;
}

int32_t cvsr_static_smoothing(const float *field, const float *shares, const float *taps, int32_t radius, float strength,
                              float max_tolerance, int32_t rows, int32_t columns, float *smoothed)
{
    if (sizes_are_wrong(rows, columns) || !field || !shares || !taps || radius < 0 || radius > CVSR_MAX_RADIUS ||
        !smoothed)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    int32_t first, last, status = 0;
    float *memory = floats(10 * plane);
    if (!memory)
        return -2;
    memcpy(smoothed, field, 2 * plane * sizeof *field);
    const double total = find_shares(field, shares, rows, columns, memory, &first, &last);
    if (total > 0.0) {
        const int32_t top = within(first - radius, rows), bottom = within(last + radius, rows); /* others have no influence */
        const size_t begin = (size_t)top * (size_t)columns, count = (size_t)(bottom + 1 - top) * (size_t)columns;
        const struct band band = {field + begin, field + plane + begin, count};
        const float *share = memory + begin;
        float *weights = memory + plane, *mean = weights + count, *sums = mean + 2 * count, *blurred = sums + 3 * count;
        double deviation = 0.0;
        memcpy(weights, share, count * sizeof *share);
        for (int round = 0; round < ROUNDS && !status; round++) {
            weigh(band, weights, sums);
            for (size_t k = 0; k < 3 && !status; k++)
                status = cvsr_blur_plane(sums + k * count, bottom + 1 - top, columns, taps, radius, blurred + k * count);
            compare(band, share, blurred, weights, mean);
        }
        for (size_t i = 0; i < count; i++)
            if (share[i] > 0.0f)
                deviation += share[i] * min_of(sqrtf(squared_distance(band.x[i], band.y[i], mean[i], mean[count + i])),
                                               MAX_DEVIATION);
        const float usual = (float)(deviation / (total > 1.0 ? total : 1.0));
        if (!status)
            draw_to_mean(band, share, mean, min_of(strength * usual, max_tolerance), smoothed + begin, smoothed + plane + begin);
    }
    free(memory);
    return status;
}
