/* cvsr_rasterise on pseudo-random vectors, and cvsr_resize on pictures, meant to be built with -fsanitize=address,undefined.
 *
 *   field_fuzz COUNT SEED
 *
 * Every buffer is exactly as large as promised, so that the sanitizer sees a step outside. Each cell is also worked out a
 * second implementation, from the definition: the last block of a list that covers the cell, in units of a pixel. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cvsr_field.h"

static uint64_t state;

static uint32_t draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

/* Mostly near the picture, where the interesting mistakes are; sometimes any value at all. */
static int16_t draw_centre(int32_t extent)
{
    return draw() % 4 ? (int16_t)((int32_t)(draw() % (uint32_t)(extent + 80)) - 40) : (int16_t)draw();
}

static void draw_vector(uint8_t *vector, int32_t height, int32_t width)
{
    for (int i = 0; i < CVSR_VECTOR_BYTES; i++)
        vector[i] = (uint8_t)draw();
    const int16_t x = draw_centre(width), y = draw_centre(height);
    memcpy(vector + 6, &x, 2);
    memcpy(vector + 8, &y, 2);
    if (draw() % 2) {
        vector[4] = (uint8_t)(8 + draw() % 2 * 8);
        vector[5] = (uint8_t)(8 + draw() % 2 * 8);
    }
    if (draw() % 2) {
        const uint16_t quarter_pels = draw() % 8 ? 4 : 0;
        memcpy(vector + 18, &quarter_pels, 2);
    }
}

static long floor_division(long value, long by)
{
    long quotient = value / by;
    return value % by && (value < 0) != (by < 0) ? quotient - 1 : quotient;
}

static int covers(const uint8_t *vector, long row, long column)
{
    int16_t x, y;
    memcpy(&x, vector + 6, 2);
    memcpy(&y, vector + 8, 2);
    const long half_width = vector[4] / 2, half_height = vector[5] / 2;
    return column >= floor_division(x - half_width, 4) && column < floor_division(x + half_width, 4) &&
           row >= floor_division(y - half_height, 4) && row < floor_division(y + half_height, 4);
}

static int same(float a, float b)
{
    return isnan(a) ? isnan(b) : a == b;
}

static int cell_is_right(const uint8_t *vectors, size_t count, long row, long column, float px, float py, float fx,
                         float fy, uint8_t partition)
{
    float past[2] = {NAN, NAN}, future[2] = {NAN, NAN};
    uint8_t shape = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *vector = vectors + i * CVSR_VECTOR_BYTES;
        if (!covers(vector, row, column))
            continue;
        int32_t source, motion_x, motion_y;
        uint16_t scale;
        memcpy(&source, vector, 4);
        memcpy(&motion_x, vector + 10, 4);
        memcpy(&motion_y, vector + 14, 4);
        memcpy(&scale, vector + 18, 2);
        float *field = source < 0 ? past : future;
        field[0] = (float)motion_x / (float)(scale ? scale : 1);
        field[1] = (float)motion_y / (float)(scale ? scale : 1);
        if (fabsf(field[0]) > 4096.0f || fabsf(field[1]) > 4096.0f)
            field[0] = field[1] = NAN;
        shape = (uint8_t)((vector[4] >> 3) * 4 + (vector[5] >> 3));
    }
    return same(px, past[0]) && same(py, past[1]) && same(fx, future[0]) && same(fy, future[1]) && partition == shape;
}

/* malloc(0) may be NULL, which is no failure here. */
static void *allocate(size_t bytes)
{
    return malloc(bytes ? bytes : 1);
}

static int one_input(void)
{
    const int32_t height = (int32_t)(draw() % 50), width = (int32_t)(draw() % 50);
    const size_t count = draw() % 24, rows = (size_t)(height + 3) / 4, columns = (size_t)(width + 3) / 4;
    const size_t cells = rows * columns;
    uint8_t *vectors = allocate(count * CVSR_VECTOR_BYTES), *partition = allocate(cells);
    float *past = allocate(2 * cells * sizeof *past), *future = allocate(2 * cells * sizeof *future);
    int wrong = !vectors || !partition || !past || !future;

    for (size_t i = 0; !wrong && i < count; i++)
        draw_vector(vectors + i * CVSR_VECTOR_BYTES, height, width);
    if (!wrong)
        wrong = cvsr_rasterise(vectors, count, height, width, past, future, partition) != 0;
    for (size_t row = 0; !wrong && row < rows; row++)
        for (size_t column = 0; !wrong && column < columns; column++) {
            const size_t at = row * columns + column;
            wrong = !cell_is_right(vectors, count, (long)row, (long)column, past[at], past[cells + at], future[at],
                                   future[cells + at], partition[at]);
        }
    free(vectors);
    free(partition);
    free(past);
    free(future);
    return wrong;
}

/* cvsr_resize with random taps inside the picture, against one pixel after the other. */
static int resizes_right(void)
{
    enum { MOST = 5, SIDE = 12 };
    const int32_t height = 1 + (int32_t)(draw() % SIDE), width = 1 + (int32_t)(draw() % SIDE);
    const int32_t sizes[2] = {height, width}, channels = 1 + (int32_t)(draw() % 4);
    const int32_t made[2] = {1 + (int32_t)(draw() % SIDE), 1 + (int32_t)(draw() % SIDE)};
    double weights[2][SIDE][MOST];
    cvsr_taps taps[2][SIDE];
    const size_t size = (size_t)height * (size_t)width * (size_t)channels;
    const size_t count = (size_t)made[0] * (size_t)made[1] * (size_t)channels;
    uint8_t *from = allocate(size), *to = allocate(count);
    int right = from && to;
    for (size_t i = 0; right && i < size; i++)
        from[i] = (uint8_t)draw();
    for (int axis = 0; axis < 2; axis++) {
        for (int32_t i = 0; i < made[axis]; i++) {
            const int32_t most = sizes[axis] < MOST ? sizes[axis] : MOST, used = 1 + (int32_t)(draw() % (uint32_t)most);
            for (int k = 0; k < used; k++)
                weights[axis][i][k] = (double)(draw() % 256) / 128 - 0.75;
            taps[axis][i] = (cvsr_taps){(int32_t)(draw() % (uint32_t)(sizes[axis] - used + 1)), used, weights[axis][i]};
        }
    }
    right = right && cvsr_resize(from, width, channels, taps[0], made[0], taps[1], made[1], to) == 0;
    for (size_t i = 0; right && i < count; i++) {
        const cvsr_taps down = taps[0][i / (size_t)channels / (size_t)made[1]];
        const cvsr_taps across = taps[1][i / (size_t)channels % (size_t)made[1]];
        double sum = 0;
        for (int32_t y = 0; y < down.count; y++)
            for (int32_t x = 0; x < across.count; x++)
                sum += down.weights[y] * across.weights[x] *
                       from[((size_t)(down.first + y) * (size_t)width + (size_t)(across.first + x)) * (size_t)channels +
                            i % (size_t)channels];
        const double expected = floor((sum < 0 ? 0 : sum > 255 ? 255 : sum) + 0.5);
        right = to[i] == (uint8_t)(expected > 255 ? 255 : expected);
    }
    free(from);
    free(to);
    return right;
}

static int refuses_nonsense(void)
{
    float planes[2];
    uint8_t partition[1], vector[CVSR_VECTOR_BYTES] = {0};
    return cvsr_rasterise(vector, 1, -1, 4, planes, planes, partition) == -1 &&
           cvsr_rasterise(vector, 1, 4, INT32_MIN, planes, planes, partition) == -1 &&
           cvsr_rasterise(NULL, 1, 4, 4, planes, planes, partition) == -1 &&
           cvsr_rasterise(vector, 1, 4, 4, NULL, planes, partition) == -1;
}

int main(int argc, char **argv)
{
    const long count = argc > 1 ? atol(argv[1]) : 20000;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    if (cvsr_field_abi() != CVSR_FIELD_ABI || !refuses_nonsense()) {
        printf("the ABI number or the refusal of senseless sizes is wrong\n");
        return EXIT_FAILURE;
    }
    for (long i = 0; i < count; i++)
        if (one_input()) {
            printf("input %ld is painted wrong\n", i);
            return EXIT_FAILURE;
        }
    for (long i = 0; i < count / 100; i++)
        if (!resizes_right()) {
            printf("picture %ld is resized wrong\n", i);
            return EXIT_FAILURE;
        }
    printf("%ld inputs\n", count);
    return EXIT_SUCCESS;
}
