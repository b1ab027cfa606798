/* Vector types as wide as the registers of the instruction set that isa.c is compiled for, and helpers for them. */
#ifndef CVSR_NET_LANES_H
#define CVSR_NET_LANES_H

#include <string.h>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include "cvsr_net.h"

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

#define INLINE static inline __attribute__((always_inline))

/* `lanes` is a register of floats. Loads and stores go through the loose_ types and need no alignment. */
typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t lane_bits __attribute__((vector_size(4 * LANES)));
typedef float loose_lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float four __attribute__((vector_size(16)));
typedef int32_t loose_lane_bits __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint16_t bf16_lanes __attribute__((vector_size(2 * LANES)));
typedef uint16_t loose_bf16_lanes __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
typedef float loose_four __attribute__((vector_size(16), aligned(4), may_alias));
typedef double four_doubles __attribute__((vector_size(32)));
typedef double loose_four_doubles __attribute__((vector_size(32), aligned(8), may_alias));
/* Sixteen values, independent of the width of registers. */
typedef float sixteen __attribute__((vector_size(64)));
typedef int32_t sixteen_bits __attribute__((vector_size(64)));
typedef uint8_t sixteen_bytes __attribute__((vector_size(16)));
typedef float loose_sixteen __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint8_t loose_sixteen_bytes __attribute__((vector_size(16), aligned(1), may_alias));

#define LOAD(type, from)       (*(const loose_##type *)(from))
#define STORE(type, to, value) (*(loose_##type *)(to) = (value))

/* ------------------------------------------------------------------------------------------------ minimum and bounds */

INLINE int32_t min_int(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

INLINE int32_t clamp_int(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : min_int(value, high);
}

/* NaN becomes `low`. */
INLINE float clamp_float(float value, float low, float high)
{
    return value > low ? (value < high ? value : high) : low;
}

INLINE lanes max_lanes(lanes a, lanes b)
{
    const lane_bits is_a = a > b;
    return (lanes)((is_a & (lane_bits)a) | (~is_a & (lane_bits)b));
}

/* Columns of pixels, `begin` to `end` - 1, of neighbouring tiles of a row that are not left out. */
typedef struct {
    int32_t begin, end;
} span;

/* Moves `part`, {0, 0} at first, to the next one, and returns whether there is one. `tiles` has 0 for a tile that is left out, and
 * is NULL if none is. */
INLINE int next_span(const uint8_t *tiles, int32_t width, span *part)
{
    const int32_t columns = (width + CVSR_TILE - 1) / CVSR_TILE;
    int32_t column = (part->end + CVSR_TILE - 1) / CVSR_TILE;
    while (tiles && column < columns && !tiles[column])
        column++;
    part->begin = min_int(column * CVSR_TILE, width);
    while (column < columns && (!tiles || tiles[column]))
        column++;
    part->end = min_int(column * CVSR_TILE, width);
    return part->begin < part->end;
}

/* `a` where `mask` is all ones, `b` where it is 0. */
INLINE sixteen select_sixteen(sixteen_bits mask, sixteen a, sixteen b)
{
    return (sixteen)((mask & (sixteen_bits)a) | (~mask & (sixteen_bits)b));
}

/* NaN becomes `low`. */
INLINE sixteen clamp_sixteen(sixteen value, float low, float high)
{
    const sixteen bottom = low - (sixteen){0}, top = high - (sixteen){0};
    value = select_sixteen(value > bottom, value, bottom);
    return select_sixteen(value < top, value, top);
}

/* Rounds to integers, ties to even; for magnitudes below 2^22. */
INLINE sixteen round_sixteen(sixteen value)
{
    return value + 12582912.0f - 12582912.0f;
}

/* ---------------------------------------------------------------------------------------------------------- bfloat16 */

/* Rounds to 8 bits of mantissa, ties to even. The result for NaN is unspecified. */
INLINE uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

INLINE void store_bf16(uint16_t *to, lanes value)
{
#ifdef __AVX512BF16__
    const __m256bh rounded = _mm512_cvtneps_pbh((__m512)value);
    memcpy(to, &rounded, sizeof rounded);
#else
    for (int i = 0; i < LANES; i++)
        to[i] = bf16_of(value[i]);
#endif
}

/* Returns sum + pair[0] * first + pair[1] * second, with (first, second) the two bfloat16 in every lane of `pairs`. */
INLINE lanes add_pairs(lanes sum, const uint16_t *pair, lane_bits pairs)
{
#ifdef __AVX512BF16__
    typedef struct {
        uint16_t both[2];
    } two;
    __asm__("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(pairs), "m"(*(const two *)pair));
    return sum;
#else
    const lane_bits top = (lane_bits){0} - 65536; /* the upper 16 bits */
    const lane_bits a = (int32_t)((uint32_t)pair[0] << 16) - (lane_bits){0};
    const lane_bits b = (int32_t)((uint32_t)pair[1] << 16) - (lane_bits){0};
    sum += (lanes)a * (lanes)(pairs << 16);
    return sum + (lanes)b * (lanes)(pairs & top);
#endif
}

#endif
