/* Two fields one after the other: motion over more frames than a vector spans. */
#include "cvsr_motion_internal.h"

/* composed = first + second where first points, bilinear between cell centres, the border repeated. */
CVSR_CLONES
static void compose(const float *restrict first, const float *restrict second, int32_t rows, int32_t columns,
                    float *restrict composed)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    for (int32_t row = 0; row < rows; row++) {
        const size_t line = (size_t)row * (size_t)columns;
        for (int32_t column = 0; column < columns; column++) {
            const size_t at = line + (size_t)column;
            const float x = bounded(first[at] / CELL), y = bounded(first[plane + at] / CELL);
            const int32_t ix = whole(x), iy = whole(y);
            const float part_x = x - (float)ix, part_y = y - (float)iy;
            const float *above = second + (size_t)within(row + iy, rows) * (size_t)columns;
            const float *below = second + (size_t)within(row + iy + 1, rows) * (size_t)columns;
            const int32_t left = within(column + ix, columns), right = within(column + ix + 1, columns);
            composed[at] = first[at] + mix(mix(above[left], above[right], part_x),
                                           mix(below[left], below[right], part_x), part_y);
            above += plane;
            below += plane;
            composed[plane + at] = first[plane + at] + mix(mix(above[left], above[right], part_x),
                                                           mix(below[left], below[right], part_x), part_y);
        }
    }
}

int32_t cvsr_compose(const float *first, const float *second, int32_t rows, int32_t columns, float *composed)
{
    if (sizes_are_wrong(rows, columns) || !first || !second || !composed)
        return -1;
    compose(first, second, rows, columns, composed);
    return 0;
}
