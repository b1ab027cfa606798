/* Resizing pictures of bytes: the sums of codecvsr/video/resize.py, one line of the result at a time. */
#include <stdlib.h>
#include <string.h>

#include "cvsr_field.h"

/* Far above rounding errors of sums: what lies so near to a half counts as one. */
static const double tie = 1e-9;

/* Adds a line of bytes, weighted. */
static void add_line(const uint8_t *line, double weight, double *sums, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sums[i] += weight * line[i];
}

static uint8_t rounded(double value)
{
    value += 0.5 + tie;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

int32_t cvsr_resize(const uint8_t *from, int32_t width, int32_t channels, const cvsr_taps *down, int32_t new_height,
                    const cvsr_taps *across, int32_t new_width, uint8_t *to)
{
    const size_t depth = (size_t)channels, line = (size_t)width * depth;
    double *sums = malloc((line + 1) * sizeof *sums);
    if (!sums)
        return -1;
    for (int32_t y = 0; y < new_height; y++) {
        memset(sums, 0, line * sizeof *sums);
        for (int32_t k = 0; k < down[y].count; k++)
            add_line(from + (size_t)(down[y].first + k) * line, down[y].weights[k], sums, line);
        for (int32_t x = 0; x < new_width; x++) {
            for (size_t c = 0; c < depth; c++, to++) {
                const double *values = sums + (size_t)across[x].first * depth + c;
                double sum = 0;
                for (int32_t k = 0; k < across[x].count; k++, values += depth)
                    sum += across[x].weights[k] * *values;
                *to = rounded(sum);
            }
        }
    }
    free(sums);
    return 0;
}
