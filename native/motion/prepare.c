/* Prepares a picture for sub-pixel steps, once for all matches that it is part of, see cvsr_motion.h. */
#include "internal.h"

enum {
    RADIUS = 2, /* of the blur, in pixels */
    SHIFT = 7, /* its weights sum to 128 */
    MEAN_RADIUS = 7,  /* pixels on each side in the mean */
    SIDE = 2 * MEAN_RADIUS + 1,
    SHARE = 23302, /* of their sum, in 2^-16: five eighths of the mean in 1/128 */
};

CVSR_INLINE int32_t blur_of(int32_t here, int32_t near, int32_t far)
{
    return 72 * here + 27 * near + far;
}

CVSR_INLINE const uint8_t *line_of(const uint8_t *picture, int32_t y, int32_t height, int32_t width)
{
    return picture + (size_t)within(y, height) * (size_t)width;
}

/* Updates `sums`, of SIDE lines around line y, from those around the line before. They have MEAN_RADIUS numbers of border on
 * each side. */
CVSR_INLINE void sum_down(const uint8_t *picture, int32_t y, int32_t height, int32_t width, uint16_t *restrict sums)
{
    if (!y) {
        memset(sums + MEAN_RADIUS, 0, (size_t)width * sizeof *sums);
        for (int k = -MEAN_RADIUS - 1; k < MEAN_RADIUS; k++) {
            const uint8_t *restrict from = line_of(picture, k, height, width);
            for (int32_t x = 0; x < width; x++)
                sums[MEAN_RADIUS + x] = (uint16_t)(sums[MEAN_RADIUS + x] + from[x]);
        }
    }
    const uint8_t *restrict enters = line_of(picture, y + MEAN_RADIUS, height, width);
    const uint8_t *restrict leaves = line_of(picture, y - MEAN_RADIUS - 1, height, width);
    for (int32_t x = 0; x < width; x++)
        sums[MEAN_RADIUS + x] = (uint16_t)(sums[MEAN_RADIUS + x] + enters[x] - leaves[x]);
    for (int k = 0; k < MEAN_RADIUS; k++) {
        sums[k] = sums[MEAN_RADIUS];
        sums[MEAN_RADIUS + width + k] = sums[MEAN_RADIUS + width - 1];
    }
}

/* Subtracts the share of the mean around each pixel from `blurred`. pairs, fours: width + SIDE numbers of scratch. */
CVSR_INLINE void subtract_mean(const uint16_t *restrict sums, int32_t width, uint16_t *restrict pairs,
                           uint16_t *restrict fours, int16_t *restrict blurred)
{
    const int32_t all = width + 2 * MEAN_RADIUS;
    for (int32_t x = 0; x + 1 < all; x++)
        pairs[x] = (uint16_t)(sums[x] + sums[x + 1]);
    for (int32_t x = 0; x + 3 < all; x++)
        fours[x] = (uint16_t)(pairs[x] + pairs[x + 2]);
    for (int32_t x = 0; x < width; x++) {
        const uint16_t sum = (uint16_t)(fours[x] + fours[x + 4] + fours[x + 8] + pairs[x + 12] + sums[x + 14]);
        blurred[x] = (int16_t)(blurred[x] - (int16_t)((uint32_t)sum * SHARE >> 16));
    }
}

/* blurred: a line of a picture in 1/128. line: width + 2 * RADIUS numbers of scratch. */
CVSR_INLINE void blur_line(const uint8_t *picture, int32_t y, int32_t height, int32_t width, uint16_t *restrict line,
                           int16_t *restrict blurred)
{
    const uint8_t *from[2 * RADIUS + 1];
    for (int k = 0; k <= 2 * RADIUS; k++)
        from[k] = line_of(picture, y + k - RADIUS, height, width);
    for (int32_t x = 0; x < width; x++)
        line[x + RADIUS] = (uint16_t)blur_of(from[2][x], from[1][x] + from[3][x], from[0][x] + from[4][x]);
    for (int k = 0; k < RADIUS; k++) {
        line[k] = line[RADIUS];
        line[width + RADIUS + k] = line[width + RADIUS - 1];
    }
    for (int32_t x = 0; x < width; x++)
        blurred[x] = (int16_t)((blur_of(line[x + 2], line[x + 1] + line[x + 3], line[x] + line[x + 4]) + (1 << (SHIFT - 1))) >>
                               SHIFT);
}

/* Copies value `first` of each cell of a line. */
CVSR_INLINE void pick(const int16_t *restrict line, int32_t first, int32_t columns, int16_t *restrict to)
{
#if CVSR_BIG_ENDIAN
    first = CELL - 1 - first;
#endif
    for (int32_t i = 0; i < columns; i++) {
        uint64_t cell; /* its four values */
        memcpy(&cell, line + CELL * i, sizeof cell);
        to[i] = (int16_t)(uint16_t)(cell >> (16 * first) & 0xffff);
    }
}

/* Writes the numbers of line y. lines: three lines of width + 2, the one above first, with a border of one pixel. */
CVSR_INLINE void store_line(const int16_t *const *lines, int32_t y, int32_t columns, size_t plane,
                           int16_t *restrict along, int16_t *restrict down, int16_t *restrict prepared)
{
    const int32_t width = columns * CELL, k = y % CELL;
    const int16_t *restrict above = lines[0], *restrict here = lines[1], *restrict below = lines[2];
    int16_t *restrict pairs = prepared + (size_t)y * (size_t)width * 2;
    int16_t *samples = prepared + 2 * CELL * CELL * plane + (size_t)(y / CELL) * (size_t)columns;
    for (int32_t x = 0; x < width; x++) {
        pairs[2 * x] = here[x];
        pairs[2 * x + 1] = below[x];
    }
    for (int32_t x = 0; x < width; x++) {
        along[x] = (int16_t)(here[x + 1] - here[x - 1]);
        down[x] = (int16_t)(below[x] - above[x]);
    }
    for (int group = 0; group < 2; group++) {
        const int32_t first = (2 * CELL - k + 2 * group) % CELL;
        int16_t *to = samples + (size_t)(CELL * group + k) * plane;
        pick(here, first, columns, to);
        pick(along, first, columns, to + 2 * CELL * plane);
        pick(down, first, columns, to + 4 * CELL * plane);
    }
}

CVSR_CLONES
static void prepare(const uint8_t *picture, int32_t rows, int32_t columns, int16_t *scratch, int16_t *prepared)
{
    const int32_t height = rows * CELL, width = columns * CELL;
    const size_t plane = (size_t)rows * (size_t)columns, stride = (size_t)width + 2;
    int16_t *ring = scratch + 1, *along = scratch + 3 * stride, *down = along + width;
    uint16_t *line = (uint16_t *)(void *)(down + width), *sums = line + width + 2 * RADIUS;
    uint16_t *pairs = sums + width + SIDE, *fours = pairs + width + SIDE;
    for (int32_t y = 0; y <= height; y++) {
        if (y < height) {
            int16_t *newest = ring + (size_t)(y % 3) * stride;
            blur_line(picture, y, height, width, line, newest);
            sum_down(picture, y, height, width, sums);
            subtract_mean(sums, width, pairs, fours, newest);
            newest[-1] = newest[0];
            newest[width] = newest[width - 1];
        }
        if (y) {
            const int16_t *lines[3];
            for (int k = 0; k < 3; k++)
                lines[k] = ring + (size_t)(within(y - 2 + k, height) % 3) * stride;
            store_line(lines, y - 1, columns, plane, along, down, prepared);
        }
    }
}

int32_t cvsr_prepare(const uint8_t *picture, int32_t rows, int32_t columns, int16_t *prepared)
{
    if (sizes_are_wrong(rows, columns) || !picture || !prepared)
        return -1;
    if (!rows || !columns)
        return 0;
    const size_t width = (size_t)columns * CELL;
    int16_t *scratch = malloc((3 * (width + 2) + 3 * width + 2 * RADIUS + 3 * (width + SIDE)) * sizeof *scratch);
    if (!scratch)
        return -2;
    prepare(picture, rows, columns, scratch, prepared);
    free(scratch);
    return 0;
}
