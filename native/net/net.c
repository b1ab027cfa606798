/* Chooses the instruction set, and runs the steps of a frame. */
#include <sched.h>
#include <string.h>

#include "isa.h"

enum { SPINS = 100 }; /* checks before a waiting thread yields the processor */

static const cvsr_isa *chosen = &cvsr_net_plain;

int32_t cvsr_net_abi(void)
{
    return CVSR_NET_ABI;
}

int32_t cvsr_net_choose(int32_t max_isa)
{
    /* Assigned once at the end: another thread may be computing with `chosen` now. */
    const cvsr_isa *isa = &cvsr_net_plain;
    int32_t number = 0;
#ifdef CVSR_NET_X86
    __builtin_cpu_init();
#ifdef CVSR_NET_BF16
    if (max_isa >= 3 && __builtin_cpu_supports("avx512bf16")) {
        isa = &cvsr_net_avx512bf16;
        number = 3;
    } else
#endif
    if (max_isa >= 2 && __builtin_cpu_supports("avx512f")) {
        isa = &cvsr_net_avx512;
        number = 2;
    } else if (max_isa >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        isa = &cvsr_net_avx2;
        number = 1;
    }
#else
    (void)max_isa;
#endif
    chosen = isa;
    return number;
}

size_t cvsr_net_scratch_bytes(int32_t input_channels, int32_t output_channels)
{
    return chosen->scratch_bytes(input_channels, output_channels);
}

size_t cvsr_net_finish_bytes(int32_t width, int32_t scale)
{
    return chosen->finish_bytes(width, scale);
}

int32_t cvsr_net_pack(const float *weights, int32_t input_channels, int32_t output_channels, int32_t kind, void *packed)
{
    const int is_conv = kind == CVSR_CONV3X3 || kind == CVSR_CONV3X3_BF16 || kind == CVSR_CONV1X1;
    if (input_channels % CVSR_GROUP || input_channels > CVSR_MAX_CHANNELS || output_channels % CVSR_GROUP || !is_conv)
        return -1;
    chosen->pack(weights, input_channels, output_channels, kind, packed);
    return 0;
}

size_t cvsr_net_gradient_scratch_bytes(int32_t input_channels, int32_t output_channels)
{
    return chosen->gradient_scratch_bytes(input_channels, output_channels);
}

void cvsr_net_weight_gradient(const cvsr_weight_gradient *work, void *scratch)
{
    chosen->weight_gradient(work, scratch);
}

void cvsr_net_changes(const uint8_t *before, const uint8_t *after, int32_t height, int32_t width, uint8_t *tiles)
{
    const int32_t columns = (width + CVSR_TILE - 1) / CVSR_TILE;
    const size_t line = 3 * (size_t)width;
    for (int32_t y = 0; y < height; y += CVSR_TILE, tiles += columns) {
        memset(tiles, 0, (size_t)columns);
        for (int32_t i = y; i < y + CVSR_TILE && i < height; i++) {
            const uint8_t *a = before + (size_t)i * line, *b = after + (size_t)i * line;
            if (memcmp(a, b, line) == 0)
                continue;
            for (int32_t c = 0; c < columns; c++) {
                const size_t at = 3 * CVSR_TILE * (size_t)c, rest = line - at;
                tiles[c] |= memcmp(a + at, b + at, rest < 3 * CVSR_TILE ? rest : 3 * CVSR_TILE) != 0;
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------- running */

/* Whether a step has finished `row` and the rows above and below it. */
static int is_done(const int32_t *done, int32_t rows, int32_t row)
{
    const int32_t last = row + 1 < rows ? row + 1 : row;
    for (int32_t r = row > 0 ? row - 1 : row; r <= last; r++)
        if (!__atomic_load_n(done + r, __ATOMIC_ACQUIRE))
            return 0;
    return 1;
}

/* Waits for another thread, which may need this processor. */
static void wait_for(const int32_t *done, int32_t rows, int32_t row)
{
    for (int spins = 0; !is_done(done, rows, row); spins++)
        if (spins > SPINS)
            sched_yield();
}

void cvsr_net_run(const cvsr_step *steps, int32_t count, int32_t rows, int32_t threads, int32_t *progress,
                  void *scratch)
{
    const cvsr_isa *isa = chosen;
    const int is_shared = threads > 1;
    /* Rows between one step and the next. One is enough; more let a thread go on while another has not finished. */
    const int32_t lag = is_shared ? 2 + threads / count : 1;
    /* Tasks run diagonal by diagonal of (step, row). A task depends only on tasks with lower numbers. */
    const int32_t tasks = (rows + lag * (count - 1)) * count;
    for (int32_t next = 0;; next++) {
        const int32_t task = is_shared ? __atomic_fetch_add(progress, 1, __ATOMIC_RELAXED) : next;
        if (task >= tasks)
            return;
        const int32_t k = task % count, row = task / count - lag * k;
        if (row < 0 || row >= rows)
            continue;
        int32_t *done = is_shared ? progress + 1 + k * rows : NULL;
        if (done && k > 0)
            wait_for(done - rows, rows, row);
        const uint8_t *tiles = steps[k].tiles ? steps[k].tiles + (size_t)row * (size_t)steps[k].columns : NULL;
        isa->steps[steps[k].kind](steps[k].params, row, tiles, scratch);
        if (done)
            __atomic_store_n(done + row, 1, __ATOMIC_RELEASE);
    }
}
