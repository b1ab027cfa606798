/* Fields averaged: over time, and with the corrections of composed matches, see cvsr_motion.h. */
#include "internal.h"

enum { MAX_AT_ONCE = 256 }; /* cells at a time */

CVSR_CLONES
static void average(const float *restrict field, const float *const *others, const float *shares, int32_t count,
                   float falloff, size_t plane, float *restrict filtered)
{
    float sum_x[MAX_AT_ONCE], sum_y[MAX_AT_ONCE], weights[MAX_AT_ONCE];
    for (size_t begin = 0; begin < plane; begin += MAX_AT_ONCE) {
        const size_t cells = plane - begin < MAX_AT_ONCE ? plane - begin : MAX_AT_ONCE;
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
            filtered[begin + i] = sum_x[i] / weights[i];
            filtered[plane + begin + i] = sum_y[i] / weights[i];
        }
    }
}

int32_t cvsr_temporal_filter(const struct cvsr_temporal_window *jobs, int32_t count, const float *shares, const float *tolerances,
                    int32_t rows, int32_t columns)
{
    if (sizes_are_wrong(rows, columns) || count < 0 || (count && (!jobs || !tolerances)) || !shares)
        return -1;
    for (int32_t i = 0; i < count; i++)
        if (!jobs[i].field || !jobs[i].filtered)
            return -1;
    for (int32_t i = 0; i < count; i++) {
        const float *others[CVSR_MAX_OTHERS];
        float own_shares[CVSR_MAX_OTHERS];
        int32_t present = 0;
        for (int k = 0; k < CVSR_MAX_OTHERS; k++) {
            others[present] = jobs[i].others[k];
            own_shares[present] = shares[k];
            present += jobs[i].others[k] != NULL;
        }
        average(jobs[i].field, others, own_shares, present, 1.0f / (tolerances[i] * tolerances[i]),
               (size_t)rows * (size_t)columns, jobs[i].filtered);
    }
    return 0;
}

/* The number of parts is a constant in each call, so that one loop adds them all. */
CVSR_INLINE void add_mean_of(const struct cvsr_sum_with_mean *job, int parts, float gain, size_t size)
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
static void add_mean(const struct cvsr_sum_with_mean *job, float gain, size_t size)
{
    if (job->parts[3])
        add_mean_of(job, 4, gain, size);
    else if (job->parts[2])
        add_mean_of(job, 3, gain, size);
    else if (job->parts[1])
        add_mean_of(job, 2, gain, size);
    else
        add_mean_of(job, 1, gain, size);
}

int32_t cvsr_add_mean(const struct cvsr_sum_with_mean *jobs, int32_t count, float gain, int32_t rows, int32_t columns)
{
    if (sizes_are_wrong(rows, columns) || count < 0 || (count && !jobs))
        return -1;
    for (int32_t i = 0; i < count; i++) {
        const struct cvsr_sum_with_mean *job = jobs + i;
        if (!job->field || !job->parts[0] || (job->parts[2] && !job->parts[1]) || (job->parts[3] && !job->parts[2]) ||
            !job->corrected)
            return -1;
    }
    for (int32_t i = 0; i < count; i++)
        add_mean(jobs + i, gain, 2 * (size_t)rows * (size_t)columns);
    return 0;
}
