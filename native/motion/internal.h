/* What the files of the motion functions share: arithmetic on single values, and one another's loops. */
#ifndef CVSR_MOTION_INTERNAL_H
#define CVSR_MOTION_INTERNAL_H

#include "cvsr_motion.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The loops over pixels are compiled three times on x86-64; the loader picks by processor. No operation is fused or
 * reordered (-ffp-contract=off, no -ffast-math), so all give the same bits. */
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
/* Before a short loop that is to become one vector operation rather than so many single ones. */
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

#define FARTHEST 1048576.0f /* pixels; vectors are cut to it, beyond there is only border */

CVSR_INLINE int is_finite(float value)
{
    return fabsf(value) <= FLT_MAX;
}

/* The largest integer that is not above a bounded value; without a call or a branch. */
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

CVSR_INLINE float least(float a, float b)
{
    return a < b ? a : b;
}

CVSR_INLINE float most(float a, float b)
{
    return a > b ? a : b;
}

CVSR_INLINE float bounded(float value)
{
    return value == value ? least(most(value, -FARTHEST), FARTHEST) : 0.0f;
}

CVSR_INLINE int sizes_are_wrong(int32_t rows, int32_t columns)
{
    return rows < 0 || columns < 0 || rows > CVSR_MOST_CELLS || columns > CVSR_MOST_CELLS ||
           (int64_t)rows * columns > INT32_MAX / (CELL * CELL); /* pixels are counted in 32 bits */
}

CVSR_INLINE float *floats(size_t count)
{
    return malloc((count ? count : 1) * sizeof(float));
}

/* The nearest whole number, ties to even, for |value| < 2^22. */
CVSR_INLINE float rounded(float value)
{
    return (value + 12582912.0f) - 12582912.0f;
}

/* Vectors as pictures are matched with them, in sixteenths of a pixel: x in the lower and y in the upper half of a number. */
enum { SIXTEENTHS = 16, LONGEST = 32767 /* sixteenths; H.264 has no longer vectors */ };

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

/* What a cell's sum of differences says where there is none: it is to be made, or the cell has no vector. */
enum { CVSR_WANTED = -1, CVSR_EMPTY = -2 };

/* The keys of the vectors of a field: where two are equal, so are the sums. `sums` becomes CVSR_WANTED or CVSR_EMPTY. */
void cvsr_find_keys(const float *field, size_t plane, int32_t *keys, int32_t *sums);

/* Makes those sums of differences of cells that are wanted. scratch: cvsr_match_scratch(columns) numbers. */
void cvsr_sum_differences(const uint8_t *current, const uint8_t *other, const int32_t *keys, int32_t rows,
                          int32_t columns, int32_t *sums, int32_t *scratch);

/* Sums to errors, weighed with those of the cells around. scratch: as above. */
void cvsr_weigh(const int32_t *sums, int32_t rows, int32_t columns, float *error, int32_t *scratch);
size_t cvsr_match_scratch(int32_t columns);

struct cvsr_vector {
    int32_t x, y;
};

/* A cell that is looked for, and what was found. */
struct cvsr_found {
    int32_t row, column, least; /* what the pixels in and around it differ by */
    float is_now;
    struct cvsr_vector found, theirs; /* and what a neighbour found that fits better */
    int takes, drops;
};

/* Clears `takes` of cells whose vectors leave more than `better` times the differences that there were without them. memory:
 * four planes, the first of them the keys of the field. */
void cvsr_drop(const uint8_t *current, const uint8_t *other, int32_t rows, int32_t columns, struct cvsr_found *cells,
               size_t count, float better, int32_t *memory);

/* A symmetric separable filter on a plane; taps[0] is the middle one. Returns -2 where memory ran out, or 0. */
int32_t cvsr_blur_plane(const float *plane, int32_t rows, int32_t columns, const float *taps, int32_t radius,
                        float *blurred);

/* One job of cvsr_compose without its checks. scratch: cvsr_compose_scratch(rows, columns) floats. */
void cvsr_compose_fields(const float *first, const float *second, int32_t rows, int32_t columns, float *composed,
                         float *scratch);
size_t cvsr_compose_scratch(int32_t rows, int32_t columns);

#endif
