/* What the programs that test cvsr_net.h on pseudo-random input have in common. Define _POSIX_C_SOURCE as 200809L before. */
#ifndef CVSR_NET_DRAW_H
#define CVSR_NET_DRAW_H

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cvsr_net.h"

static uint64_t state;

static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32) % below;
}

static float draw_share(void)
{
    return (float)draw(1 << 20) / (1 << 20);
}

static inline float draw_motion(void)
{
    static const float hostile[] = {NAN, INFINITY, -INFINITY, 1e38f, -1e9f, 0.5f, -0.5f, 0};
    return draw(5) ? draw_share() * 12 - 6 : hostile[draw(8)];
}

static float *floats(size_t count, float (*value)(void))
{
    float *made = malloc(count * sizeof(float) + (count == 0));
    if (!made)
        exit(3);
    for (size_t i = 0; i < count; i++)
        made[i] = value();
    return made;
}

static int failed(const char *what, int32_t height, int32_t width)
{
    printf("%s is wrong, %d x %d\n", what, (int)height, (int)width);
    return 1;
}

enum { MAX_THREADS = 4 };

typedef struct {
    const cvsr_step *steps;
    int32_t count, rows, threads, *progress;
    void *scratch;
} job;

static void *work(void *argument)
{
    const job *mine = argument;
    cvsr_net_run(mine->steps, mine->count, mine->rows, mine->threads, mine->progress, mine->scratch);
    return NULL;
}

/* Runs steps on `threads` threads. */
static void run(const cvsr_step *steps, int32_t count, int32_t height, int32_t threads, size_t scratch)
{
    const int32_t rows = (height + 3) / 4;
    int32_t *progress = calloc(1 + (size_t)count * rows, sizeof(int32_t));
    pthread_t others[MAX_THREADS];
    job jobs[MAX_THREADS];
    for (int32_t i = 0; i < threads; i++) {
        jobs[i] = (job){steps, count, rows, threads, threads > 1 ? progress : NULL, malloc(scratch + 1)};
        if (i > 0 && pthread_create(&others[i], NULL, work, &jobs[i]) != 0)
            exit(3);
    }
    work(&jobs[0]);
    for (int32_t i = 0; i < threads; i++) {
        if (i > 0)
            pthread_join(others[i], NULL);
        free(jobs[i].scratch);
    }
    free(progress);
}

static int32_t draw_threads(void)
{
    return 1 + (int32_t)draw(MAX_THREADS);
}

#endif
