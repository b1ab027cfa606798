/* Smoothness where the codec saw no motion, see cvsr_motion.h. */
#include "internal.h"

static const float HALF_WEIGHT = 0.03f; /* pixels: a vector so far from its surroundings' counts half in their mean */
static const float FARTHEST_DEVIATION = 0.1f; /* pixels: more counts as that in the mean deviation */
static const float NOTHING = 1e-6f;     /* lest nothing be divided by nothing */
enum { ROUNDS = 2 };

CVSR_INLINE float squared_distance(float x, float y, float mean_x, float mean_y)
{
    const float dx = x - mean_x, dy = y - mean_y;
    return dx * dx + dy * dy;
}

/* The weighted means around each cell: `sums` of weights and of weighted vectors, filtered. */
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
    const float falloff = 1.0f / (HALF_WEIGHT * HALF_WEIGHT);
    for (size_t i = 0; i < plane; i++) {
        const float one = 1.0f / (sums[i] + NOTHING);
        mean[i] = sums[plane + i] * one;
        mean[plane + i] = sums[2 * plane + i] * one;
        const float apart = squared_distance(field[i], field[plane + i], mean[i], mean[plane + i]);
        weights[i] = share[i] > 0.0f ? share[i] / (1.0f + apart * falloff) : 0.0f;
    }
}

CVSR_CLONES
static void pull(const float *field, const float *share, const float *mean, size_t plane, float tolerance, float *evened)
{
    const float squared = tolerance * tolerance;
    for (size_t i = 0; i < plane; i++) {
        const float apart = squared_distance(field[i], field[plane + i], mean[i], mean[plane + i]);
        const float bound = squared * share[i], kept = bound > 0.0f ? apart / (apart + bound) : 1.0f;
        evened[i] = share[i] > 0.0f ? mean[i] + (field[i] - mean[i]) * kept : field[i];
        evened[plane + i] =
            share[i] > 0.0f ? mean[plane + i] + (field[plane + i] - mean[plane + i]) * kept : field[plane + i];
    }
}

int32_t cvsr_even(const float *field, const float *shares, const float *taps, int32_t radius, float strength,
                  float most_tolerance, int32_t rows, int32_t columns, float *evened)
{
    if (sizes_are_wrong(rows, columns) || !field || !shares || !taps || radius < 0 || radius > CVSR_MOST_RADIUS ||
        !evened)
        return -1;
    const size_t plane = (size_t)rows * (size_t)columns;
    float *memory = floats(10 * plane);
    if (!memory)
        return -2;
    float *share = memory, *weights = share + plane, *mean = weights + plane, *sums = mean + 2 * plane;
    float *blurred = sums + 3 * plane;
    double total = 0.0, deviation = 0.0;
    for (size_t i = 0; i < plane; i++) {
        const int counts = shares[i] > 0.0f && shares[i] <= 1.0f && fabsf(field[i]) <= FARTHEST &&
                           fabsf(field[plane + i]) <= FARTHEST;
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
            deviation += share[i] * least(sqrtf(squared_distance(field[i], field[plane + i], mean[i], mean[plane + i])),
                                          FARTHEST_DEVIATION);
    if (!status && total > 0.0) {
        const float usual = (float)(deviation / (total > 1.0 ? total : 1.0));
        pull(field, share, mean, plane, least(strength * usual, most_tolerance), evened);
    }
    if (!status && !(total > 0.0))
        memcpy(evened, field, 2 * plane * sizeof *field);
    free(memory);
    return status;
}
