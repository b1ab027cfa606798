/* One way of computing, by the instruction set this file is compiled for; CVSR_WAY is its name. */
#include "isa.h"

#include "conv_tmpl.h"
#include "finish_tmpl.h"
#include "load_tmpl.h"
#include "gather_tmpl.h"
#include "sample_tmpl.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b)  JOIN_(a, b)

/* A function of a record and rows of pixels as one of rows of tiles. */
#define OF_ROWS(name, type)                                                                  \
    static void name##_rows(const void *record, int32_t first, int32_t last, float *scratch) \
    {                                                                                        \
        const type *told = record;                                                           \
        (void)scratch;                                                                       \
        name(told, first * CVSR_TILE, at_most(last * CVSR_TILE, told->height));                \
    }
OF_ROWS(load, cvsr_load)
OF_ROWS(warp, cvsr_warp)
OF_ROWS(flow_input, cvsr_flow_input)
OF_ROWS(flow_output, cvsr_flow_output)
OF_ROWS(look, cvsr_look)
OF_ROWS(halve, cvsr_change)
OF_ROWS(widen, cvsr_change)
OF_ROWS(finish, cvsr_finish)

const cvsr_way JOIN(cvsr_net, CVSR_WAY) = {
    scratch_bytes,
    pack,
    {
        [CVSR_CONV3X3] = conv3x3,
        [CVSR_CONV3X3_BF16] = conv3x3_bf16,
        [CVSR_CONV1X1] = conv1x1,
        [CVSR_LOAD] = load_rows,
        [CVSR_WARP] = warp_rows,
        [CVSR_FLOW_INPUT] = flow_input_rows,
        [CVSR_FLOW_OUTPUT] = flow_output_rows,
        [CVSR_LOOK] = look_rows,
        [CVSR_HALVE] = halve_rows,
        [CVSR_WIDEN] = widen_rows,
        [CVSR_FINISH] = finish_rows,
    },
};
