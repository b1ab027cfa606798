#include "cvsr_field.h"

#include <math.h>
#include <string.h>

struct span {
    int32_t begin, end;
};

static int32_t clamp(int32_t value, int32_t high)
{
    return value < 0 ? 0 : value > high ? high : value;
}

/* The cells a block of `size` pixels around `centre` covers, cut to a grid of `cells`. The grid starts at 0, so
 * the rounding of negative quotients in C does not matter. */
static struct span cells_of(int16_t centre, uint8_t size, int32_t cells)
{
    struct span span;
    span.begin = clamp((centre - size / 2) / CVSR_CELL, cells);
    span.end = clamp((centre + size / 2) / CVSR_CELL, cells);
    return span;
}

int32_t cvsr_field_abi(void)
{
    return CVSR_FIELD_ABI;
}

int32_t cvsr_rasterise(const uint8_t *vectors, size_t count, int32_t height, int32_t width, float *past, float *future,
                       uint8_t *partition)
{
    if (height < 0 || width < 0 || (count && !vectors) || !past || !future || !partition)
        return -1;

    const int32_t rows = height / CVSR_CELL + (height % CVSR_CELL != 0);
    const int32_t columns = width / CVSR_CELL + (width % CVSR_CELL != 0);
    const size_t plane = (size_t)rows * (size_t)columns;

    for (size_t i = 0; i < 2 * plane; i++)
        past[i] = future[i] = NAN;
    if (plane)
        memset(partition, 0, plane);

    for (size_t i = 0; i < count; i++) {
        const uint8_t *packed = vectors + i * CVSR_VECTOR_BYTES;
        const uint8_t block_width = packed[4], block_height = packed[5];
        int32_t source, motion_x, motion_y;
        int16_t centre_x, centre_y;
        uint16_t motion_scale;
        memcpy(&source, packed, sizeof source);
        memcpy(&centre_x, packed + 6, sizeof centre_x);
        memcpy(&centre_y, packed + 8, sizeof centre_y);
        memcpy(&motion_x, packed + 10, sizeof motion_x);
        memcpy(&motion_y, packed + 14, sizeof motion_y);
        memcpy(&motion_scale, packed + 18, sizeof motion_scale);

        const struct span x = cells_of(centre_x, block_width, columns);
        const struct span y = cells_of(centre_y, block_height, rows);
        const float scale = motion_scale ? (float)motion_scale : 1.0f;
        float dx = (float)motion_x / scale, dy = (float)motion_y / scale;
        if (fabsf(dx) > CVSR_LONGEST || fabsf(dy) > CVSR_LONGEST)
            dx = dy = NAN;
        const uint8_t shape = (uint8_t)(block_width / 8 * 4 + block_height / 8);
        float *field = source < 0 ? past : future;

        for (int32_t row = y.begin; row < y.end; row++) {
            const size_t line = (size_t)row * (size_t)columns;
            for (int32_t column = x.begin; column < x.end; column++) {
                field[line + column] = dx;
                field[plane + line + column] = dy;
                partition[line + column] = shape;
            }
        }
    }
    return 0;
}
