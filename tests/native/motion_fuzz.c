/* The functions of cvsr_motion.h on pseudo-random pictures and fields, hostile ones among them; meant to be built with
 * -fsanitize=address,undefined.
 *
 *   motion_fuzz COUNT SEED
 *
 * Every buffer has the size that the header states, so that the sanitizer sees an access outside. Matching errors and prepared
 * pictures are also computed from their definition. Prints a checksum of all outputs, which must not depend on compiler
 * options. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cvsr_motion.h"
#include "fuzz_draw.h"
#include "motion_definitions.h"

/* Whether a search finds the same with and without the sums of its field. */
static int known_sums_change_nothing(const uint8_t *current, const uint8_t *other, const float *field, const float *error,
                                     const int32_t *sums, int32_t rows, int32_t columns)
{
    const size_t plane = (size_t)rows * (size_t)columns;
    float *found = allocate(6 * plane), *again = found + 3 * plane;
    int32_t count = -1, count_again = -2;
    const int status =
        cvsr_block_search(current, other, field, error, sums, rows, columns, 1.0f, 0.9f, found, found + 2 * plane, &count) |
        cvsr_block_search(current, other, field, error, NULL, rows, columns, 1.0f, 0.9f, again, again + 2 * plane, &count_again);
    const int is_same = !status && count == count_again && !memcmp(found, again, 3 * plane * sizeof *found);
    free(found);
    return is_same;
}

static int one_input(void)
{
    const int32_t rows = (int32_t)(draw() % 7), columns = (int32_t)(draw() % 9);
    const size_t plane = (size_t)rows * (size_t)columns, pixels = 16 * plane;
    const int hostile = draw() % 2, count = (int)(draw() % 4);
    uint8_t *current = malloc(pixels ? pixels : 1), *other = malloc(pixels ? pixels : 1);
    int16_t *here = malloc((plane ? plane : 1) * CVSR_PREPARED_CHANNELS * sizeof *here);
    int16_t *there = malloc((plane ? plane : 1) * CVSR_PREPARED_CHANNELS * sizeof *there);
    int32_t *sums = malloc((plane ? plane : 1) * sizeof *sums);
    if (!current || !other || !here || !there || !sums)
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
    wrong |= cvsr_best_candidate(current, other, candidates, 5, rows, columns, out, error, sums) != 0;
    note(out, 2 * plane);
    note(error, plane);
    wrong |= !known_sums_change_nothing(current, other, out, error, sums, rows, columns);
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
    const float shares[CVSR_MAX_OTHERS] = {0.8f, -1.0f, 0.4f}, tolerance = draw_share();
    const float *parts[4] = {second, field, out, second};
    float *average = allocate(2 * plane);
    struct cvsr_temporal_window window = {.field = field, .filtered = average};
    struct cvsr_sum_with_mean sum = {.field = field, .corrected = average};
    for (int i = 0; i < 3; i++)
        window.others[i] = draw() % 4 ? parts[i] : NULL;
    for (int i = 0; i <= count; i++)
        sum.parts[i] = parts[i];
    wrong |= cvsr_temporal_filter(&window, 1, shares, &tolerance, rows, columns) != 0;
    note(average, 2 * plane);
    for (size_t i = 0; i < 2 * plane; i++)
        wrong |= isfinite(field[i]) && fabsf(field[i]) < 1e9f && !isfinite(average[i]);
    for (size_t i = 0; i < plane; i++)
        priority[i] = draw() % 3 ? draw_share() : 0.0f;
    wrong |= cvsr_static_smoothing(field, priority, taps, radius, 2.5f, 0.15f, rows, columns, average) != 0;
    note(average, 2 * plane);
    for (size_t i = 0; i < plane; i++) {
        const int is_bounded = isfinite(field[i]) && isfinite(field[plane + i]) && fabsf(field[i]) < 1e4f;
        wrong |= !(priority[i] > 0) && isfinite(field[i]) && average[i] != field[i];
        wrong |= !hostile && is_bounded && !isfinite(average[i]);
    }
    wrong |= cvsr_add_mean(&sum, 1, 0.3f, rows, columns) != 0;
    note(average, 2 * plane);
    float *composed = allocate(2 * plane), *refined = allocate(2 * plane);
    const struct cvsr_composed_match corrections[2] = {{here, there, field, second, &how, refined},
                                                   {here, there, field, second, &how, average}};
    wrong |= cvsr_correct_composed(corrections, 2, rows, columns) != 0;
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
    free(sums);
    free(field);
    free(second);
    free(error);
    free(priority);
    free(out);
    free(taps);
    free(smooth);
    return wrong;
}

/* The search on small pictures, and sometimes on larger ones that it shrinks; one is often the other, shifted. */
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
    float *found_error = allocate(plane), *again = allocate(plane);
    int32_t *sums = malloc((plane ? plane : 1) * sizeof *sums);
    if (!sums)
        abort();
    for (size_t i = 0; i < plane; i++)
        sums[i] = -1;
    int32_t accepted = -1, changed = 0;
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
    wrong |= cvsr_block_search(current, other, field, error, draw() % 2 ? sums : NULL, rows, columns, bad_error, better, found,
                               found_error, &accepted) != 0;
    note(found, 2 * plane);
    if (accepted > 0) {
        wrong |= cvsr_matching_error(current, other, found, rows, columns, again) != 0;
        wrong |= memcmp(again, found_error, plane * sizeof *again) != 0;
    }
    for (size_t i = 0; i < plane; i++) {
        const int same_x = found[i] == field[i] || (found[i] != found[i] && field[i] != field[i]);
        const int same_y = found[plane + i] == field[plane + i] ||
                           (found[plane + i] != found[plane + i] && field[plane + i] != field[plane + i]);
        const int is_other = !same_x || !same_y;
        changed += is_other;
        wrong |= is_other && (!(error[i] > bad_error) || found[i] != floorf(found[i]) || fabsf(found[i]) > 2047);
    }
    wrong |= accepted < changed || (size_t)accepted > plane;
    free(current);
    free(other);
    free(field);
    free(found);
    free(error);
    free(found_error);
    free(again);
    free(sums);
    return wrong;
}

static int refuses_bad_arguments(void)
{
    float some[32] = {0};
    uint8_t bytes[64] = {0};
    int16_t prepared[CVSR_PREPARED_CHANNELS] = {0};
    const uint8_t *pictures[1] = {NULL};
    const struct cvsr_refinement wide = {some, NULL, CVSR_MAX_RADIUS + 1, 0, 1, 6, 20, 1};
    const struct cvsr_refinement one = {some, NULL, 0, 0, 1, 6, 20, 1};
    const struct cvsr_refinement none = {NULL, NULL, 1, 0, 1, 6, 20, 1};
    const struct cvsr_refinement too_robust = {some, NULL, 0, 0, 1, 0.001f, 20, 1};
    const struct cvsr_composed_match corrections[2] = {{prepared, prepared, some, some, &wide, some},
                                                   {prepared, prepared, some, NULL, &one, some}};
    const struct cvsr_sum_with_mean sums[2] = {{some, {NULL}, some}, {some, {some, NULL, some}, some}};
    const struct cvsr_temporal_window window = {.filtered = some};
    int32_t accepted;
    return cvsr_block_search(bytes, bytes, some, some, NULL, 1, -1, 1.0f, 0.8f, some, some, &accepted) == -1 &&
           cvsr_block_search(bytes, bytes, some, NULL, NULL, 1, 1, 1.0f, 0.8f, some, some, &accepted) == -1 &&
           cvsr_block_search(bytes, bytes, some, some, NULL, 1, 1, 1.0f, 0.8f, some, some, NULL) == -1 &&
           cvsr_matching_error(bytes, bytes, some, -1, 1, some) == -1 &&
           cvsr_matching_error(bytes, bytes, some, INT32_MAX, INT32_MAX, some) == -1 &&
           cvsr_matching_error(NULL, bytes, some, 1, 1, some) == -1 &&
           cvsr_best_reference(bytes, pictures, some, 1, some, 1, 1, 1.0f, some, some) == -1 &&
           cvsr_best_candidate(bytes, bytes, NULL, 1, 1, 1, some, some, &accepted) == -1 &&
           cvsr_best_candidate(bytes, bytes, NULL, CVSR_MAX_CANDIDATES + 1, 1, 1, some, some, &accepted) == -1 &&
           cvsr_splat(some, 1.0f, NULL, 1, 1, some) == -1 && cvsr_fill_holes(some, 1, INT32_MIN, some) == -1 &&
           cvsr_prepare(bytes, 1, -1, prepared) == -1 && cvsr_prepare(NULL, 1, 1, prepared) == -1 &&
           cvsr_temporal_filter(&window, 1, some, some, 1, 1) == -1 && cvsr_temporal_filter(NULL, -1, some, some, 1, 1) == -1 &&
           cvsr_static_smoothing(some, some, some, CVSR_MAX_RADIUS + 1, 1.0f, 1.0f, 1, 1, some) == -1 &&
           cvsr_static_smoothing(some, NULL, some, 1, 1.0f, 1.0f, 1, 1, some) == -1 &&
           cvsr_warp(some, some, -1, 1, some) == -1 && cvsr_warp(some, NULL, 1, 1, some) == -1 &&
           cvsr_refine(prepared, prepared, some, 1, 1, &wide, some) == -1 &&
           cvsr_refine(prepared, prepared, some, 1, 1, &too_robust, some) == -1 &&
           cvsr_correct_composed(corrections, 1, 1, 1) == -1 && cvsr_correct_composed(corrections + 1, 1, 1, 1) == -1 &&
           cvsr_add_mean(sums, 1, 1.0f, 1, 1) == -1 && cvsr_add_mean(sums + 1, 1, 1.0f, 1, 1) == -1 &&
           cvsr_add_mean(NULL, 1, 1.0f, 1, 1) == -1 && cvsr_compose(NULL, 1, 1, 1) == -1 &&
           cvsr_refine(prepared, prepared, some, 1, 1, &none, some) == -1;
}

int main(int argc, char **argv)
{
    const long count = argc > 1 ? atol(argv[1]) : 2000;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    if (!refuses_bad_arguments()) {
        printf("a bad size, radius or pointer is not refused\n");
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
