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

static void draw_picture(float *picture, size_t count, int hostile)
{
    for (size_t i = 0; i < count; i++)
        picture[i] = hostile && draw() % 50 == 0 ? draw_hostile() : (float)(draw() % 256);
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

static double cut(double value)
{
    return value < -1e6 ? -1e6 : value > 1e6 ? 1e6 : value;
}

/* |current - other| at a pixel, which may lie outside: there it is that of the border. */
static double difference_at(const float *current, const float *other, const float *field, long rows, long columns,
                            long x, long y)
{
    const long width = 4 * columns, height = 4 * rows;
    x = at_border(x, width);
    y = at_border(y, height);
    const float *vector = field + y / 4 * columns + x / 4;
    double vx = vector[0], vy = vector[rows * columns];
    if (!isfinite(vx) || !isfinite(vy))
        vx = vy = 0;
    vx = cut(vx);
    vy = cut(vy);
    const double px = vx - floor(vx), py = vy - floor(vy);
    double sum = 0;
    for (int k = 0; k < 4; k++) {
        const long from_x = at_border(x + (long)floor(vx) + k % 2, width);
        const long from_y = at_border(y + (long)floor(vy) + k / 2, height);
        sum += (k % 2 ? px : 1 - px) * (k / 2 ? py : 1 - py) * other[from_y * width + from_x];
    }
    return fabs(current[y * width + x] - sum);
}

static int error_is_right(const float *current, const float *other, const float *field, long rows, long columns,
                          long row, long column, float error)
{
    const size_t at = (size_t)(row * columns + column);
    if (!isfinite(field[at]) || !isfinite(field[(size_t)(rows * columns) + at]))
        return isinf(error) && error > 0;
    double sum = 0;
    for (long y = 0; y < 4; y++)
        for (long x = 0; x < 4; x++)
            for (long j = -2; j <= 2; j++)
                for (long i = -2; i <= 2; i++) {
                    /* the mean of 5x5 is taken of the differences inside, whose border is repeated */
                    sum += difference_at(current, other, field, rows, columns, 4 * column + x + i, 4 * row + y + j);
                }
    return fabs(sum / 400 - error) < 1e-3;
}

static int one_input(void)
{
    const int32_t rows = (int32_t)(draw() % 7), columns = (int32_t)(draw() % 9);
    const size_t plane = (size_t)rows * (size_t)columns, pixels = 16 * plane;
    const int hostile = draw() % 2, count = (int)(draw() % 4);
    float *current = allocate(pixels), *other = allocate(pixels), *picture = allocate(pixels);
    float *field = allocate(2 * plane), *second = allocate(2 * plane), *out = allocate(2 * plane);
    float *error = allocate(plane), *priority = allocate(plane);
    float *taps = allocate(9), *smooth = allocate(9);
    const int32_t radius = (int32_t)(draw() % 9), smooth_radius = (int32_t)(draw() % 9);
    const float *others[3] = {other, current, other}, distances[3] = {1.0f, 2.0f, 3.0f};
    int wrong = 0;

    draw_picture(current, pixels, 0);
    draw_picture(other, pixels, 0);
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

    if (hostile) { /* pictures too, from here on */
        draw_picture(current, pixels, 1);
        draw_picture(other, pixels, 1);
    }
    draw_picture(priority, plane, hostile);
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
    const struct cvsr_candidate candidates[4] = {
        {field, NULL, 1.0f}, {second, priority, -1.0f}, {field, priority, 1.0f}, {NULL, NULL, 1.0f}};
    wrong |= cvsr_best_candidate(current, other, candidates, 4, rows, columns, out, error) != 0;
    note(out, 2 * plane);
    note(error, plane);
    for (size_t i = 0; i < 2 * plane; i++)
        wrong |= !hostile && !isfinite(out[i]);
    wrong |= cvsr_blur(current, 4 * rows, 4 * columns, taps, radius, picture) != 0;
    note(picture, pixels);
    const float *smoothing = draw() % 2 ? smooth : NULL;
    const int32_t steps = (int32_t)(draw() % 4);
    const struct cvsr_refinement how = {taps, smoothing, radius, smooth_radius, steps, 6.0f, 20.0f, 1.0f};
    wrong |= cvsr_refine(current, other, draw() % 2 ? field : out, rows, columns, &how, second) != 0;
    note(second, 2 * plane);
    wrong |= cvsr_compose(field, second, rows, columns, out) != 0;
    note(out, 2 * plane);
    const float *fields[3] = {second, field, out}, shares[3] = {0.8f, -1.0f, 0.4f};
    float *average = allocate(2 * plane);
    wrong |= cvsr_steady(field, fields, shares, count, draw_share(), rows, columns, average) != 0;
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
    if (count) {
        wrong |= cvsr_spread(field, fields, count, 0.3f, rows, columns, average) != 0;
        note(average, 2 * plane);
    }
    float *composed = allocate(2 * plane), *refined = allocate(2 * plane);
    wrong |= cvsr_correct(current, other, field, second, rows, columns, &how, average) != 0;
    note(average, 2 * plane);
    wrong |= cvsr_compose(field, second, rows, columns, composed) != 0;
    wrong |= cvsr_refine(current, other, composed, rows, columns, &how, refined) != 0;
    for (size_t i = 0; i < 2 * plane; i++)
        wrong |= isfinite(average[i]) && average[i] != refined[i] - composed[i];
    free(composed);
    free(refined);
    free(average);
    wrong |= cvsr_compose(field, NULL, rows, columns, out) != -1;
    wrong |= cvsr_warp(current, field, rows, columns, error) != 0; /* a picture of the size of the field */
    note(error, plane);

    free(current);
    free(other);
    free(picture);
    free(field);
    free(second);
    free(error);
    free(priority);
    free(out);
    free(taps);
    free(smooth);
    return wrong;
}

static int refuses_nonsense(void)
{
    float some[32] = {0};
    const float *others[1] = {NULL};
    const struct cvsr_refinement wide = {some, NULL, CVSR_MOST_RADIUS + 1, 0, 1, 6, 20, 1};
    const struct cvsr_refinement one = {some, NULL, 0, 0, 1, 6, 20, 1};
    const struct cvsr_refinement none = {NULL, NULL, 1, 0, 1, 6, 20, 1};
    return cvsr_matching_error(some, some, some, -1, 1, some) == -1 &&
           cvsr_matching_error(some, some, some, INT32_MAX, INT32_MAX, some) == -1 &&
           cvsr_matching_error(NULL, some, some, 1, 1, some) == -1 &&
           cvsr_best_reference(some, others, some, 1, some, 1, 1, 1.0f, some, some) == -1 &&
           cvsr_best_candidate(some, some, NULL, 1, 1, 1, some, some) == -1 &&
           cvsr_splat(some, 1.0f, NULL, 1, 1, some) == -1 && cvsr_fill_holes(some, 1, INT32_MIN, some) == -1 &&
           cvsr_blur(some, 4, 4, some, CVSR_MOST_RADIUS + 1, some) == -1 &&
           cvsr_steady(some, others, some, 1, 1.0f, 1, 1, some) == -1 &&
           cvsr_steady(some, others, some, -1, 1.0f, 1, 1, some) == -1 &&
           cvsr_even(some, some, some, CVSR_MOST_RADIUS + 1, 1.0f, 1.0f, 1, 1, some) == -1 &&
           cvsr_even(some, NULL, some, 1, 1.0f, 1.0f, 1, 1, some) == -1 &&
           cvsr_warp(some, some, -1, 1, some) == -1 && cvsr_warp(some, NULL, 1, 1, some) == -1 &&
           cvsr_refine(some, some, some, 1, 1, &wide, some) == -1 &&
           cvsr_correct(some, some, some, some, 1, 1, &wide, some) == -1 &&
           cvsr_correct(some, some, some, NULL, 1, 1, &one, some) == -1 &&
           cvsr_spread(some, others, 1, 1.0f, 1, 1, some) == -1 &&
           cvsr_spread(some, others, 0, 1.0f, 1, 1, some) == -1 &&
           cvsr_refine(some, some, some, 1, 1, &none, some) == -1;
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
        if (one_input()) {
            printf("input %ld goes wrong\n", i);
            return EXIT_FAILURE;
        }
    printf("%ld inputs, checksum %016llx\n", count, (unsigned long long)checksum);
    return EXIT_SUCCESS;
}
