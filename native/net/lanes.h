/* Vectors as wide as the way of computing that the parts of the network library are compiled for. */
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

/* A register of floats; loads and stores need no alignment. */
typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t lane_bits __attribute__((vector_size(4 * LANES)));
typedef float loose_lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float four __attribute__((vector_size(16)));
typedef int32_t loose_lane_bits __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint16_t half_lanes __attribute__((vector_size(2 * LANES)));
typedef uint16_t loose_half_lanes __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
typedef float loose_four __attribute__((vector_size(16), aligned(4), may_alias));
/* Sixteen values, whatever the width of registers is. */
typedef float sixteen __attribute__((vector_size(64)));
typedef int32_t sixteen_bits __attribute__((vector_size(64)));
typedef uint8_t sixteen_bytes __attribute__((vector_size(16)));
typedef float loose_sixteen __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint8_t loose_sixteen_bytes __attribute__((vector_size(16), aligned(1), may_alias));

#define LOAD(type, from)       (*(const loose_##type *)(from))
#define STORE(type, to, value) (*(loose_##type *)(to) = (value))

/* ---------------------------------------------------------------------------------------------------------- bfloat16 */

/* To the nearest of 8 bits of mantissa, halves to even ones. NaN may become anything. */
INLINE uint16_t half_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

INLINE void store_halves(uint16_t *to, lanes value)
{
#ifdef __AVX512BF16__
    const __m256bh halves = _mm512_cvtneps_pbh((__m512)value);
    memcpy(to, &halves, sizeof halves);
#else
    for (int i = 0; i < LANES; i++)
        to[i] = half_of(value[i]);
#endif
}

/* sum + the products of a pair of values with a register of pairs, each pair two bfloat16. */
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

/* `a` where `which` is all ones, `b` where it is 0. */
INLINE sixteen choose(sixteen_bits which, sixteen a, sixteen b)
{
    return (sixteen)((which & (sixteen_bits)a) | (~which & (sixteen_bits)b));
}

/* The nearest value within bounds; the lower one for NaN. */
INLINE sixteen all_within(sixteen value, float low, float high)
{
    const sixteen bottom = low - (sixteen){0}, top = high - (sixteen){0};
    value = choose(value > bottom, value, bottom);
    return choose(value < top, value, top);
}

/* To whole numbers, halves to even ones; for values less than 2^22. */
INLINE sixteen rounded(sixteen value)
{
    return value + 12582912.0f - 12582912.0f;
}

#endif
