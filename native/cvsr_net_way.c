/* One way of computing, by the instruction set this file is compiled for; CVSR_WAY is its name. */
#include "cvsr_net_way.h"

#include "cvsr_net_conv.h"
#include "cvsr_net_finish.h"
#include "cvsr_net_look.h"
#include "cvsr_net_sample.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b)  JOIN_(a, b)

const cvsr_way JOIN(cvsr_net, CVSR_WAY) = {scratch_bytes, pack, conv3x3, conv1x1, warp, flow_input, look, finish};
