/* Shared by the motion functions: arithmetic on single values, and the loops that several files use. */
#ifndef CVSR_MOTION_INTERNAL_H
#define CVSR_MOTION_INTERNAL_H

#include "cvsr_motion.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Instruction sets: the compiler clones the loops over pixels for each, and the loader picks one by processor. Sources and
 * results are the same for all of them, as no operation is fused or reordered (-ffp-contract=off, no -ffast-math). native/net
 * has a second scheme, one object per instruction set, because its code differs between them (tile sizes, bfloat16, fused
 * sums) and tests choose the instruction set by name; neither is needed here. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(CVSR_NO_CLONES)
#if __GNUC__ >= 12 && !defined(__clang__)
#define CVSR_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default"))) /* AVX-512, on 16-bit numbers too */
#else
#define CVSR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#else
#define CVSR_CLONES
#endif
#if defined(__GNUC__)
#define CVSR_INLINE static inline __attribute__((always_inline))
#else
#define CVSR_INLINE static inline
#endif
/* Before a short loop that should become one vector operation instead of being unrolled. */
#if defined(__GNUC__) && !defined(__clang__)
#define CVSR_AS_VECTOR _Pragma("GCC unroll 1")
#else
#define CVSR_AS_VECTOR
#endif
#if defined(_MSC_VER)
#define restrict __restrict
#endif

#if defined(__BYTE_ORDER__) && defined(__ORDER_BIG_ENDIAN__)
#define CVSR_BIG_ENDIAN (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
#else
#define CVSR_BIG_ENDIAN 0
#endif

enum { CELL = CVSR_CELL };

#define MAX_VECTOR 1048576.0f /* pixels; longer vectors are clamped, beyond there is only border */

CVSR_INLINE int is_finite(float value)
{
    return fabsf(value) <= FLT_MAX;
}

/* Rounds a bounded value down, without a call or a branch. */
CVSR_INLINE int32_t whole(float value)
{
    const int32_t towards_zero = (int32_t)value;
    return towards_zero - ((float)towards_zero > value);
}

CVSR_INLINE int32_t within(int32_t value, int32_t size)
{
    return value < 0 ? 0 : value >= size ? size - 1 : value;
}

CVSR_INLINE float mix(float from, float to, float share)
{
    return from + (to - from) * share;
}

CVSR_INLINE float min_of(float a, float b)
{
    return a < b ? a : b;
}

CVSR_INLINE float max_of(float a, float b)
{
    return a > b ? a : b;
}

CVSR_INLINE float bounded(float value)
{
    return value == value ? min_of(max_of(value, -MAX_VECTOR), MAX_VECTOR) : 0.0f;
}

CVSR_INLINE int sizes_are_wrong(int32_t rows, int32_t columns)
{
    return rows < 0 || columns < 0 || rows > CVSR_MAX_CELLS || columns > CVSR_MAX_CELLS ||
           (int64_t)rows * columns > INT32_MAX / (CELL * CELL); /* pixels are counted in 32 bits */
}

CVSR_INLINE float *floats(size_t count)
{
    return malloc((count ? count : 1) * sizeof(float));
}

/* Rounds to the nearest integer, as rintf does, for |value| < 2^22. */
CVSR_INLINE float rounded(float value)
{
    return (value + 12582912.0f) - 12582912.0f;
}

/* Keys: vectors in sixteenths of a pixel, x in the lower and y in the upper 16 bits. */
enum { SIXTEENTHS = 16, MAX_MATCHED = 32767 /* sixteenths; H.264 has no longer vectors */ };

CVSR_INLINE int32_t key_of(int32_t x, int32_t y)
{
    return (int32_t)((uint32_t)y << 16 | ((uint32_t)x & 0xffff));
}

CVSR_INLINE int32_t x_of(int32_t key)
{
    return (int16_t)(uint16_t)((uint32_t)key & 0xffff);
}

CVSR_INLINE int32_t y_of(int32_t key)
{
    return (int16_t)(uint16_t)((uint32_t)key >> 16);
}

/* In place of a cell's sum of differences: it must be computed, or the cell has no vector. */
enum { CVSR_WANTED = -1, CVSR_EMPTY = -2 };

/* Computes the keys of a field; equal keys have equal sums. `sums` becomes CVSR_WANTED or CVSR_EMPTY. */
void cvsr_find_keys(const float *field, size_t plane, int32_t *keys, int32_t *sums);

/* Computes the sums of differences of cells that are CVSR_WANTED. scratch: cvsr_match_scratch(columns) numbers. */
void cvsr_sum_differences(const uint8_t *current, const uint8_t *other, const int32_t *keys, int32_t rows,
                          int32_t columns, int32_t *sums, int32_t *scratch);

/* Turns sums into matching errors, weighted with those of the cells around. scratch: as above. */
void cvsr_errors_of_sums(const int32_t *sums, int32_t rows, int32_t columns, float *error, int32_t *scratch);
size_t cvsr_match_scratch(int32_t columns);

struct cvsr_vector {
    int32_t x, y;
};

CVSR_INLINE uint16_t abs_difference(uint16_t a, uint16_t b)
{
    const uint16_t more = a > b ? a : b, less = a > b ? b : a;
    return (uint16_t)(more - less);
}

/* Means of cells of both pictures, or means of 2x2 samples of the level before. */
struct cvsr_level {
    uint16_t *current, *other;
    int32_t rows, columns;
};

enum { CVSR_MAX_LEVELS = 16 };

/* Finds the sizes of all levels; returns how many there are. */
int cvsr_pyramid_sizes(int32_t rows, int32_t columns, struct cvsr_level *levels);

/* Returns the number of samples of one picture of a level. */
size_t cvsr_level_size(const struct cvsr_level *level);

/* Fills all levels. memory: room for both pictures of each. */
void cvsr_fill_pyramid(const uint8_t *current, const uint8_t *other, struct cvsr_level *levels, int count,
                       uint16_t *memory);

/* Returns the vector of a cell, in cells, from the smallest level to the largest. */
struct cvsr_vector cvsr_search_pyramid(const struct cvsr_level *levels, int count, int32_t row, int32_t column);

/* A cell that was searched for, and the vector found. */
struct cvsr_found {
    int32_t row, column, least; /* sum of differences of the 12x12 pixels in and around it */
    float error_before;
    struct cvsr_vector found, theirs; /* theirs: of a neighbour, where that matches better */
    int accepted, rejected;
};

/* Clears `accepted` of cells whose vectors leave more than `max_ratio` times the differences without them. memory: four
 * planes, the first of them the keys of the field. */
void cvsr_validate_vectors(const uint8_t *current, const uint8_t *other, int32_t rows, int32_t columns,
                           struct cvsr_found *cells, size_t count, float max_ratio, int32_t *memory);

/* `parts` pictures side by side, `stride` samples apart, whose last `stored` lines are in memory, line i at i % stored. */
struct cvsr_lines {
    const float *values;
    int32_t stored, height, width;
    int parts;
    size_t stride;
};

/* Filters line y; taps[0] is the middle one. Each part has CVSR_MAX_RADIUS samples of border in `line` and `blurred`, and in
 * `lines` too where there are several. */
void cvsr_blur_line(const struct cvsr_lines *lines, const float *taps, int32_t radius, int32_t y, float *line,
                    float *blurred);

/* A symmetric separable filter on a plane. scratch: columns + 2 * CVSR_MAX_RADIUS floats. */
void cvsr_blur_with_scratch(const float *plane, int32_t rows, int32_t columns, const float *taps, int32_t radius,
                            float *scratch, float *blurred);

/* The same with scratch of its own. Returns 0, or -2 where memory ran out. */
int32_t cvsr_blur_plane(const float *plane, int32_t rows, int32_t columns, const float *taps, int32_t radius,
                        float *blurred);

/* One job of cvsr_compose without its checks. scratch: cvsr_compose_scratch(rows, columns) floats. */
void cvsr_compose_fields(const float *first, const float *second, int32_t rows, int32_t columns, float *composed,
                         float *scratch);
size_t cvsr_compose_scratch(int32_t rows, int32_t columns);

#endif
