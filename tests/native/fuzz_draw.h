/* Pseudo-random pictures and fields, hostile ones among them, and a checksum of results. Included by motion_fuzz.c alone. */
#ifndef CVSR_FUZZ_DRAW_H
#define CVSR_FUZZ_DRAW_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state, checksum = 14695981039346656037u;

static uint32_t draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

static float draw_share(void)
{
    return (float)(draw() >> 8) / 16777216.0f;
}

static void note(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        if (values[i] != values[i])
            bits = 0x7fc00000; /* all NaNs are equal */
        checksum = (checksum ^ bits) * 1099511628211u;
    }
}

/* malloc(0) may return NULL. */
static float *allocate(size_t count)
{
    float *memory = malloc((count ? count : 1) * sizeof *memory);
    if (!memory)
        abort();
    return memory;
}

static float draw_hostile(void)
{
    static const float values[] = {NAN,  INFINITY, -INFINITY,     FLT_MAX, -FLT_MAX,
                                   1e9f, -3e9f,    2147483648.0f, FLT_MIN, -1e-30f};
    return values[draw() % (sizeof values / sizeof *values)];
}

static void draw_picture(uint8_t *picture, size_t count)
{
    const int is_flat = draw() % 4 == 0; /* with steep edges, too */
    for (size_t i = 0; i < count; i++)
        picture[i] = (uint8_t)(is_flat ? draw() % 9 ? 255 : 0 : draw() % 256);
}

static void draw_priority(float *priority, size_t count, int hostile)
{
    for (size_t i = 0; i < count; i++)
        priority[i] = hostile && draw() % 50 == 0 ? draw_hostile() : (float)(draw() % 256);
}

/* Vectors come in groups, as blocks do; some are integers, most are short. */
static void draw_field(float *field, size_t plane, int hostile)
{
    float x = 0.0f, y = 0.0f;
    for (size_t i = 0; i < plane; i++) {
        if (draw() % 3 == 0) {
            const float range = draw() % 8 ? 6.0f : 100.0f;
            x = (draw_share() - 0.5f) * range;
            y = (draw_share() - 0.5f) * range;
            if (draw() % 4 == 0) {
                x = (float)(int)x;
                y = (float)(int)y;
            }
            if (draw() % 8 == 0)
                x = y = NAN;
        }
        field[i] = hostile && draw() % 20 == 0 ? draw_hostile() : x;
        field[plane + i] = hostile && draw() % 20 == 0 ? draw_hostile() : y;
    }
}

#endif
