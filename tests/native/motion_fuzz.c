/* The functions of cvsr_motion.h on pseudo-random pictures and fields, hostile ones among them; meant to be built with
 * -fsanitize=address,undefined.
 *
 *   motion_fuzz COUNT SEED
 *
 * Every buffer is exactly as large as promised, so that the sanitizer sees a step outside. The matching error is also
 * worked out a second way, from its definition. Prints a checksum
 * of all outputs, which must not depend on compiler options. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cvsr_motion.h"

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
            bits = 0x7fc00000; /* which NaN it is means nothing */
        checksum = (checksum ^ bits) * 1099511628211u;
    }
}

/* malloc(0) may be NULL, which is no failure here. */
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

/* Vectors come in groups, as blocks do; some are whole, most are short. */
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

static long at_border(long value, long size)
{
    return value < 0 ? 0 : value >= size ? size - 1 : value;
}

static long to_sixteenths(float value)
{
    const double longest = 32767, sixteenths = (double)value * 16;
    return lrint(sixteenths < -longest ? -longest : sixteenths > longest ? longest : sixteenths);
}

/* The sum of |current - other| over a cell, in quarters of a luma step; -1 where it has no vector. */
static long sum_at(const uint8_t *current, const uint8_t *other, const float *field, long rows, long columns, long row,
                   long column)
{
    const long width = 4 * columns, height = 4 * rows;
    const size_t at = (size_t)(row * columns + column);
    if (!isfinite(field[at]) || !isfinite(field[(size_t)(rows * columns) + at]))
        return -1;
    const long vx = to_sixteenths(field[at]), vy = to_sixteenths(field[(size_t)(rows * columns) + at]);
    const long part[2] = {vx & 15, vy & 15};
    long sum = 0;
    for (long k = 0; k < 16; k++) {
        const long x = 4 * column + k % 4, y = 4 * row + k / 4;
        long mixed = 0;
        for (int corner = 0; corner < 4; corner++) {
            const long from_x = at_border(x + (vx - part[0]) / 16 + corner % 2, width);
            const long from_y = at_border(y + (vy - part[1]) / 16 + corner / 2, height);
            mixed += (corner % 2 ? part[0] : 16 - part[0]) * (corner / 2 ? part[1] : 16 - part[1]) *
                     other[from_y * width + from_x];
        }
        sum += labs(4 * current[y * width + x] - (mixed + 32) / 64);
    }
    return sum;
}

/* 1 4 1 along; what is empty or outside counts like the cell itself. */
static long weighed(const uint8_t *current, const uint8_t *other, const float *field, long rows, long columns, long row,
                    long column)
{
    if (row < 0 || row >= rows)
        return -1;
    const long here = sum_at(current, other, field, rows, columns, row, column);
    long sum = 4 * here;
    for (long k = -1; k <= 1; k += 2) {
        const int inside = column + k >= 0 && column + k < columns;
        const long side = inside ? sum_at(current, other, field, rows, columns, row, column + k) : -1;
        sum += side < 0 ? here : side;
    }
    return here < 0 ? -1 : sum;
}

static int error_is_right(const uint8_t *current, const uint8_t *other, const float *field, long rows, long columns,
                          long row, long column, float error)
{
    const long here = weighed(current, other, field, rows, columns, row, column);
    if (here < 0)
        return isinf(error) && error > 0;
    const long above = weighed(current, other, field, rows, columns, row - 1, column);
    const long below = weighed(current, other, field, rows, columns, row + 1, column);
    const long sum = 4 * here + (above < 0 ? here : above) + (below < 0 ? here : below);
    return fabs((double)sum / (36 * 64) - error) < 1e-4;
}

/* The prepared picture from its definition. */
static long blurred_at(const uint8_t *picture, long width, long height, long x, long y)
{
    static const long weights[5] = {1, 27, 72, 27, 1};
    long sum = 0;
    for (long j = -2; j <= 2; j++)
        for (long i = -2; i <= 2; i++)
            sum += weights[j + 2] * weights[i + 2] *
                   picture[at_border(at_border(y, height) + j, height) * width + at_border(at_border(x, width) + i, width)];
    long wide = 0;
    for (long j = -7; j <= 7; j++)
        for (long i = -7; i <= 7; i++)
            wide += picture[at_border(at_border(y, height) + j, height) * width +
                            at_border(at_border(x, width) + i, width)];
    return ((sum + 64) >> 7) - (wide * 23302 >> 16);
}

static int is_prepared(const uint8_t *picture, long rows, long columns, const int16_t *prepared)
{
    static const int order[8] = {0, 3, 2, 1, 2, 1, 0, 3};
    const long width = 4 * columns, height = 4 * rows, plane = rows * columns;
    int right = 1;
    for (long i = 0; i < 16 * plane; i++) {
        const long x = i % width, y = i / width;
        right &= prepared[2 * i] == blurred_at(picture, width, height, x, y);
        right &= prepared[2 * i + 1] == blurred_at(picture, width, height, x, y + 1);
    }
    for (long i = 0; i < 8 * plane; i++) {
        const long k = i / plane, x = i % plane % columns * 4 + order[k], y = i % plane / columns * 4 + k % 4;
        const int16_t *sample = prepared + 32 * plane + i;
        right &= sample[0] == blurred_at(picture, width, height, x, y);
        right &= sample[8 * plane] ==
                 blurred_at(picture, width, height, x + 1, y) - blurred_at(picture, width, height, x - 1, y);
        right &= sample[16 * plane] ==
                 blurred_at(picture, width, height, x, y + 1) - blurred_at(picture, width, height, x, y - 1);
    }
    return right;
}

static int one_input(void)
{
    const int32_t rows = (int32_t)(draw() % 7), columns = (int32_t)(draw() % 9);
    const size_t plane = (size_t)rows * (size_t)columns, pixels = 16 * plane;
    const int hostile = draw() % 2, count = (int)(draw() % 4);
    uint8_t *current = malloc(pixels ? pixels : 1), *other = malloc(pixels ? pixels : 1);
    int16_t *here = malloc((plane ? plane : 1) * CVSR_PREPARED * sizeof *here);
    int16_t *there = malloc((plane ? plane : 1) * CVSR_PREPARED * sizeof *there);
    if (!current || !other || !here || !there)
        abort();
    float *field = allocate(2 * plane), *second = allocate(2 * plane), *out = allocate(2 * plane);
    float *error = allocate(plane), *priority = allocate(plane);
    float *taps = allocate(9), *smooth = allocate(9);
    const int32_t radius = (int32_t)(draw() % 9), smooth_radius = (int32_t)(draw() % 9);
    const uint8_t *others[3] = {other, current, other};
    const float distances[3] = {1.0f, 2.0f, 3.0f};
    int wrong = 0;

    draw_picture(current, pixels);
    draw_picture(other, pixels);
    draw_field(field, plane, hostile);
    draw_field(second, plane, hostile);
    for (int i = 0; i < 9; i++) {
        taps[i] = 1.0f / (float)(2 * radius + 1);
        smooth[i] = 1.0f / (float)(2 * smooth_radius + 1);
    }

    wrong |= cvsr_matching_error(current, other, field, rows, columns, error) != 0;
    note(error, plane);
    for (long row = 0; !wrong && row < rows; row++)
        for (long column = 0; !wrong && column < columns; column++)
            wrong = !error_is_right(current, other, field, rows, columns, row, column, error[row * columns + column]);

    draw_priority(priority, plane, hostile);
    wrong |= cvsr_best_reference(current, others, distances, count, field, rows, columns, 0.92f, out, error) != 0;
    note(out, 2 * plane);
    note(error, plane);
    wrong |= cvsr_splat(field, -1.0f, priority, rows, columns, out) != 0;
    note(out, 2 * plane);
    wrong |= cvsr_fill_holes(field, rows, columns, out) != 0;
    note(out, 2 * plane);
    if (!hostile)
        for (size_t i = 0; i < 2 * plane; i++)
            wrong |= !isfinite(out[i]);
    const struct cvsr_candidate candidates[5] = {{field, NULL, 1.0f},
                                                 {second, priority, -1.0f},
                                                 {field, priority, 1.0f},
                                                 {field, NULL, 1.0f},
                                                 {NULL, NULL, 1.0f}};
    wrong |= cvsr_best_candidate(current, other, candidates, 5, rows, columns, out, error) != 0;
    note(out, 2 * plane);
    note(error, plane);
    for (size_t i = 0; i < 2 * plane; i++)
        wrong |= !hostile && !isfinite(out[i]);
    wrong |= cvsr_prepare(current, rows, columns, here) != 0 || cvsr_prepare(other, rows, columns, there) != 0;
    wrong |= !is_prepared(current, rows, columns, here);
    const float *smoothing = draw() % 2 ? smooth : NULL;
    const int32_t steps = (int32_t)(draw() % 4);
    const struct cvsr_refinement how = {taps, smoothing, radius, smooth_radius, steps, 6.0f, 20.0f, 1.0f};
    wrong |= cvsr_refine(here, there, draw() % 2 ? field : out, rows, columns, &how, second) != 0;
    note(second, 2 * plane);
    const struct cvsr_composition composition = {field, second, out};
    wrong |= cvsr_compose(&composition, 1, rows, columns) != 0;
    note(out, 2 * plane);
    const float shares[CVSR_OTHERS] = {0.8f, -1.0f, 0.4f}, tolerance = draw_share();
    const float *parts[4] = {second, field, out, second};
    float *average = allocate(2 * plane);
    struct cvsr_steadying steadying = {.field = field, .steadied = average};
    struct cvsr_spreading spreading = {.field = field, .corrected = average};
    for (int i = 0; i < 3; i++)
        steadying.others[i] = draw() % 4 ? parts[i] : NULL;
    for (int i = 0; i <= count; i++)
        spreading.parts[i] = parts[i];
    wrong |= cvsr_steady(&steadying, 1, shares, &tolerance, rows, columns) != 0;
    note(average, 2 * plane);
    for (size_t i = 0; i < 2 * plane; i++)
        wrong |= isfinite(field[i]) && fabsf(field[i]) < 1e9f && !isfinite(average[i]);
    for (size_t i = 0; i < plane; i++)
        priority[i] = draw() % 3 ? draw_share() : 0.0f;
    wrong |= cvsr_even(field, priority, taps, radius, 2.5f, 0.15f, rows, columns, average) != 0;
    note(average, 2 * plane);
    for (size_t i = 0; i < plane; i++) {
        const int is_bounded = isfinite(field[i]) && isfinite(field[plane + i]) && fabsf(field[i]) < 1e4f;
        wrong |= !(priority[i] > 0) && isfinite(field[i]) && average[i] != field[i];
        wrong |= !hostile && is_bounded && !isfinite(average[i]);
    }
    wrong |= cvsr_spread(&spreading, 1, 0.3f, rows, columns) != 0;
    note(average, 2 * plane);
    float *composed = allocate(2 * plane), *refined = allocate(2 * plane);
    const struct cvsr_correction corrections[2] = {{here, there, field, second, &how, refined},
                                                   {here, there, field, second, &how, average}};
    wrong |= cvsr_correct(corrections, 2, rows, columns) != 0;
    note(average, 2 * plane);
    const struct cvsr_composition again = {field, second, composed}, none = {field, NULL, composed};
    wrong |= cvsr_compose(&again, 1, rows, columns) != 0 || cvsr_compose(&none, 1, rows, columns) != -1;
    wrong |= cvsr_refine(here, there, composed, rows, columns, &how, refined) != 0;
    for (size_t i = 0; i < 2 * plane; i++)
        wrong |= isfinite(average[i]) && average[i] != refined[i] - composed[i];
    free(composed);
    free(refined);
    free(average);
    wrong |= cvsr_warp(priority, field, rows, columns, error) != 0; /* a picture of the size of the field */
    note(error, plane);

    free(current);
    free(other);
    free(here);
    free(there);
    free(field);
    free(second);
    free(error);
    free(priority);
    free(out);
    free(taps);
    free(smooth);
    return wrong;
}

/* The search on small pictures, and sometimes on such that are shrunk for it; one is often the other, moved. */
static int one_search(void)
{
    const int is_large = draw() % 500 == 0, hostile = draw() % 2;
    const int32_t rows = (int32_t)(is_large ? 97 + draw() % 3 : draw() % 9);
    const int32_t columns = (int32_t)(is_large ? 97 + draw() % 9 : draw() % 11);
    const size_t plane = (size_t)rows * (size_t)columns, pixels = 16 * plane;
    uint8_t *current = malloc(pixels ? pixels : 1), *other = malloc(pixels ? pixels : 1);
    if (!current || !other)
        abort();
    float *field = allocate(2 * plane), *found = allocate(2 * plane), *error = allocate(plane);
    int32_t taken = -1, changed = 0;
    const float bad_error = hostile && draw() % 8 == 0 ? draw_hostile() : (float)(draw() % 40);
    const float better = hostile && draw() % 8 == 0 ? draw_hostile() : draw_share();
    draw_picture(current, pixels);
    draw_picture(other, pixels);
    const size_t by = pixels ? draw() % pixels : 0;
    if (draw() % 3)
        for (size_t i = by; i < pixels; i++)
            other[i] = current[i - by];
    draw_field(field, plane, hostile);
    int wrong = cvsr_matching_error(current, other, field, rows, columns, error) != 0;
    for (size_t i = 0; hostile && i < plane; i++)
        error[i] = draw() % 20 ? error[i] : draw_hostile();
    wrong |= cvsr_search(current, other, field, error, rows, columns, bad_error, better, found, &taken) != 0;
    note(found, 2 * plane);
    for (size_t i = 0; i < plane; i++) {
        const int same_x = found[i] == field[i] || (found[i] != found[i] && field[i] != field[i]);
        const int same_y = found[plane + i] == field[plane + i] ||
                           (found[plane + i] != found[plane + i] && field[plane + i] != field[plane + i]);
        const int is_other = !same_x || !same_y;
        changed += is_other;
        wrong |= is_other && (!(error[i] > bad_error) || found[i] != floorf(found[i]) || fabsf(found[i]) > 2047);
    }
    wrong |= taken < changed || (size_t)taken > plane;
    free(current);
    free(other);
    free(field);
    free(found);
    free(error);
    return wrong;
}

static int refuses_nonsense(void)
{
    float some[32] = {0};
    uint8_t bytes[64] = {0};
    int16_t prepared[CVSR_PREPARED] = {0};
    const uint8_t *pictures[1] = {NULL};
    const struct cvsr_refinement wide = {some, NULL, CVSR_MOST_RADIUS + 1, 0, 1, 6, 20, 1};
    const struct cvsr_refinement one = {some, NULL, 0, 0, 1, 6, 20, 1};
    const struct cvsr_refinement none = {NULL, NULL, 1, 0, 1, 6, 20, 1};
    const struct cvsr_refinement keen = {some, NULL, 0, 0, 1, 0.001f, 20, 1};
    const struct cvsr_correction corrections[2] = {{prepared, prepared, some, some, &wide, some},
                                                   {prepared, prepared, some, NULL, &one, some}};
    const struct cvsr_spreading spreadings[2] = {{some, {NULL}, some}, {some, {some, NULL, some}, some}};
    const struct cvsr_steadying steadying = {.steadied = some};
    int32_t taken;
    return cvsr_search(bytes, bytes, some, some, 1, -1, 1.0f, 0.8f, some, &taken) == -1 &&
           cvsr_search(bytes, bytes, some, NULL, 1, 1, 1.0f, 0.8f, some, &taken) == -1 &&
           cvsr_search(bytes, bytes, some, some, 1, 1, 1.0f, 0.8f, some, NULL) == -1 &&
           cvsr_matching_error(bytes, bytes, some, -1, 1, some) == -1 &&
           cvsr_matching_error(bytes, bytes, some, INT32_MAX, INT32_MAX, some) == -1 &&
           cvsr_matching_error(NULL, bytes, some, 1, 1, some) == -1 &&
           cvsr_best_reference(bytes, pictures, some, 1, some, 1, 1, 1.0f, some, some) == -1 &&
           cvsr_best_candidate(bytes, bytes, NULL, 1, 1, 1, some, some) == -1 &&
           cvsr_best_candidate(bytes, bytes, NULL, CVSR_MOST_CANDIDATES + 1, 1, 1, some, some) == -1 &&
           cvsr_splat(some, 1.0f, NULL, 1, 1, some) == -1 && cvsr_fill_holes(some, 1, INT32_MIN, some) == -1 &&
           cvsr_prepare(bytes, 1, -1, prepared) == -1 && cvsr_prepare(NULL, 1, 1, prepared) == -1 &&
           cvsr_steady(&steadying, 1, some, some, 1, 1) == -1 && cvsr_steady(NULL, -1, some, some, 1, 1) == -1 &&
           cvsr_even(some, some, some, CVSR_MOST_RADIUS + 1, 1.0f, 1.0f, 1, 1, some) == -1 &&
           cvsr_even(some, NULL, some, 1, 1.0f, 1.0f, 1, 1, some) == -1 &&
           cvsr_warp(some, some, -1, 1, some) == -1 && cvsr_warp(some, NULL, 1, 1, some) == -1 &&
           cvsr_refine(prepared, prepared, some, 1, 1, &wide, some) == -1 &&
           cvsr_refine(prepared, prepared, some, 1, 1, &keen, some) == -1 &&
           cvsr_correct(corrections, 1, 1, 1) == -1 && cvsr_correct(corrections + 1, 1, 1, 1) == -1 &&
           cvsr_spread(spreadings, 1, 1.0f, 1, 1) == -1 && cvsr_spread(spreadings + 1, 1, 1.0f, 1, 1) == -1 &&
           cvsr_spread(NULL, 1, 1.0f, 1, 1) == -1 && cvsr_compose(NULL, 1, 1, 1) == -1 &&
           cvsr_refine(prepared, prepared, some, 1, 1, &none, some) == -1;
}

int main(int argc, char **argv)
{
    const long count = argc > 1 ? atol(argv[1]) : 2000;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    if (!refuses_nonsense()) {
        printf("a senseless size, radius or pointer is not refused\n");
        return EXIT_FAILURE;
    }
    for (long i = 0; i < count; i++)
        if (one_input() || one_search()) {
            printf("input %ld goes wrong\n", i);
            return EXIT_FAILURE;
        }
    printf("%ld inputs, checksum %016llx\n", count, (unsigned long long)checksum);
    return EXIT_SUCCESS;
}
