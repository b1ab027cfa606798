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

/* Writes weights and weighted vectors, which the filter turns into weighted means. */
CVSR_CLONES
static void weigh(const float *field, const float *weights, size_t plane, float *sums)
{
    for (size_t i = 0; i < plane; i++) {
        const float weight = weights[i];
        sums[i] = weight;
        sums[plane + i] = weight > 0.0f ? field[i] * weight : 0.0f;
        sums[2 * plane + i] = weight > 0.0f ? field[plane + i] * weight : 0.0f;
    }
}

CVSR_CLONES
static void compare(const float *field, const float *share, const float *sums, size_t plane, float *weights, float *mean)
{
    const float falloff = 1.0f / (ROBUST * ROBUST);
    for (size_t i = 0; i < plane; i++) {
        const float one = 1.0f / (sums[i] + EPSILON);
        mean[i] = sums[plane + i] * one;
        mean[plane + i] = sums[2 * plane + i] * one;
        const float apart = squared_distance(field[i], field[plane + i], mean[i], mean[plane + i]);
        weights[i] = share[i] > 0.0f ? share[i] / (1.0f + apart * falloff) : 0.0f;
    }
}

CVSR_CLONES
static void draw_to_mean(const float *field, const float *share, const float *mean, size_t plane, float tolerance, float *smoothed)
{
    const float squared = tolerance * tolerance;
    for (size_t i = 0; i < plane; i++) {
        const float apart = squared_distance(field[i], field[plane + i], mean[i], mean[plane + i]);
        const float bound = squared * share[i], remaining = bound > 0.0f ? apart / (apart + bound) : 1.0f;
        smoothed[i] = share[i] > 0.0f ? mean[i] + (field[i] - mean[i]) * remaining : field[i];
        smoothed[plane + i] =
            share[i] > 0.0f ? mean[plane + i] + (field[plane + i] - mean[plane + i]) * remaining : field[plane + i];
    }
}

int32_t cvsr_static_smoothing(const float *field, const float *shares, const float *taps, int32_t radius, float strength,
                  float max_tolerance, int32_t rows, int32_t columns, float *smoothed)
{
    if (sizes_are_wrong(rows, columns) || !field || !shares || !taps || radius < 0 || radius > CVSR_MAX_RADIUS ||
        !smoothed)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    float *memory = floats(10 * plane);
    if (!memory)
        return -2;
    float *share = memory, *weights = share + plane, *mean = weights + plane, *sums = mean + 2 * plane;
    float *blurred = sums + 3 * plane;
    double total = 0.0, deviation = 0.0;
    for (size_t i = 0; i < plane; i++) {
        const int counts = shares[i] > 0.0f && shares[i] <= 1.0f && fabsf(field[i]) <= MAX_VECTOR &&
                           fabsf(field[plane + i]) <= MAX_VECTOR;
        weights[i] = share[i] = counts ? shares[i] : 0.0f;
        total += share[i];
    }
    int32_t status = 0;
    for (int round = 0; round < ROUNDS && total > 0.0 && !status; round++) {
        weigh(field, weights, plane, sums);
        for (size_t k = 0; k < 3 && !status; k++)
            status = cvsr_blur_plane(sums + k * plane, rows, columns, taps, radius, blurred + k * plane);
        compare(field, share, blurred, plane, weights, mean);
    }
    for (size_t i = 0; i < plane && total > 0.0; i++)
        if (share[i] > 0.0f)
            deviation += share[i] * min_of(sqrtf(squared_distance(field[i], field[plane + i], mean[i], mean[plane + i])),
                                          MAX_DEVIATION);
    if (!status && total > 0.0) {
        const float usual = (float)(deviation / (total > 1.0 ? total : 1.0));
        draw_to_mean(field, share, mean, plane, min_of(strength * usual, max_tolerance), smoothed);
    }
    if (!status && !(total > 0.0))
        memcpy(smoothed, field, 2 * plane * sizeof *field);
    free(memory);
    return status;
}
