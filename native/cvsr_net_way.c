/* One way of computing, by the instruction set this file is compiled for. */
#include "cvsr_net_conv.h"
#include "cvsr_net_finish.h"
#include "cvsr_net_sample.h"

extern const cvsr_way OF_THIS_WAY(cvsr_net);

const cvsr_way OF_THIS_WAY(cvsr_net) = {scratch_bytes, pack, conv3x3, conv1x1, warp, flow_input, look, finish};
