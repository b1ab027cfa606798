/* Runs the functions of cvsr_net.h on pseudo-random pictures and flows, hostile ones included; build with
 * -fsanitize=address,undefined.
 *
 *   net_fuzz COUNT SEED
 *
 * Every buffer has the size stated in cvsr_net.h and no more, so that the sanitizer sees an access outside. Convolutions are
 * compared with their definition, and a batch of steps on several threads with the same steps one by one on one thread. */
#define _POSIX_C_SOURCE 200809L
#include "net_draw.h"

static int check_conv(int32_t height, int32_t width, int32_t kind)
{
    const int32_t size = kind == CVSR_CONV1X1 ? 1 : 3;
    const double tolerance = kind == CVSR_CONV3X3_BF16 ? 0.05 : 1e-4;
    const int32_t cells_down = (height + 3) / 4, cells_across = (width + 3) / 4, radius = size / 2;
    int32_t total = 0, wrong = 0;
    cvsr_conv conv = {.height = height, .width = width, .slope = draw(2) ? 0.1f : 1};
    float *inputs[CVSR_MAX_INPUTS] = {NULL};
    conv.output_channels = 16 * (1 + (int32_t)draw(3));
    for (int i = 0; i < CVSR_MAX_INPUTS; i++) {
        conv.input_channels[i] = i > 0 && draw(2) ? 0 : 16 * (1 + (int32_t)draw(2));
        if (conv.input_channels[i] && (i == 0 || draw(3)))
            conv.inputs[i] = inputs[i] = floats((size_t)height * width * conv.input_channels[i], draw_share);
        total += conv.input_channels[i];
    }
    const size_t outputs = (size_t)conv.output_channels, pixels = (size_t)height * width;
    float *weights = floats(outputs * total * size * size, draw_share);
    float *packed = floats(outputs * total * (size == 3 ? 36 : 1), draw_share);
    float *bias = floats(outputs, draw_share), *cells = floats(outputs * cells_down * cells_across, draw_share);
    float *residual = floats(pixels * outputs, draw_share), *output = floats(pixels * outputs, draw_share);
    if (cvsr_net_pack(weights, total, conv.output_channels, kind, packed) != 0 ||
        cvsr_net_pack(weights, total - 1, conv.output_channels, kind, packed) == 0 ||
        cvsr_net_pack(weights, total, conv.output_channels, CVSR_GATHER, packed) == 0) {
        wrong = failed("pack", height, width);
    }
    conv.weights = packed;
    conv.bias = bias;
    conv.cells = size == 3 && draw(2) ? cells : NULL;
    conv.residual = draw(2) ? residual : NULL;
    conv.output = output;
    const cvsr_step step = {.kind = kind, .params = &conv};
    run(&step, 1, height, draw_threads(), cvsr_net_scratch_bytes(total, conv.output_channels));
    for (int32_t y = 0; y < height; y++) {
        for (int32_t x = 0; x < width; x++) {
            const size_t o = draw((uint32_t)outputs), at = ((size_t)y * width + x) * outputs + o;
            double sum = bias[o] + (conv.cells ? cells[((size_t)(y / 4) * cells_across + x / 4) * outputs + o] : 0);
            for (int32_t i = 0, c = 0; i < CVSR_MAX_INPUTS; i++) {
                for (int32_t k = 0; k < conv.input_channels[i]; k++, c++) {
                    for (int32_t t = 0; inputs[i] && t < size * size; t++) {
                        const int32_t yy = y + t / size - radius, xx = x + t % size - radius;
                        if (yy >= 0 && yy < height && xx >= 0 && xx < width) {
                            sum += (double)inputs[i][((size_t)yy * width + xx) * conv.input_channels[i] + k] *
                                   (double)weights[(o * total + c) * size * size + t];
                        }
                    }
                }
            }
            sum = (sum > conv.slope * sum ? sum : conv.slope * sum) + (conv.residual ? residual[at] : 0);
            if (fabs(sum - output[at]) > tolerance * (1 + fabs(sum)))
                wrong = failed("conv", height, width);
        }
    }
    for (int i = 0; i < CVSR_MAX_INPUTS; i++)
        free(inputs[i]);
    free(weights), free(packed), free(bias), free(cells), free(residual), free(output);
    return wrong;
}

/* The gradient of weights of two equal pictures, one after the other, against its definition. */
static int check_weight_gradient(int32_t height, int32_t width)
{
    static const double to_weights[3][6] = {{1. / 4, -1. / 6, -1. / 6, 1. / 24, 1. / 24, 0},
                                            {0, -1. / 6, 1. / 6, 1. / 12, -1. / 12, 0},
                                            {0, -1. / 6, -1. / 6, 1. / 6, 1. / 6, 1}};
    const int32_t inputs = 16 * (1 + (int32_t)draw(3)), outputs = 16 * (1 + (int32_t)draw(3));
    const size_t pixels = (size_t)height * width, kernels = (size_t)inputs * outputs;
    float *input = floats(pixels * inputs, draw_share), *gradient = floats(pixels * outputs, draw_share);
    float *points = floats(36 * kernels, draw_share);
    void *scratch = NULL;
    const cvsr_weight_gradient both = {input, gradient, points, inputs, outputs, height, width};
    int32_t wrong = 0;
    for (size_t i = 0; i < 36 * kernels; i++)
        points[i] = 0;
    if (posix_memalign(&scratch, 64, cvsr_net_gradient_scratch_bytes(inputs, outputs)) != 0)
        return failed("memory", height, width);
    for (int picture = 0; picture < 2; picture++)
        cvsr_net_weight_gradient(&both, scratch);
    for (int check = 0; check < 40; check++) {
        const size_t o = draw((uint32_t)outputs), i = draw((uint32_t)inputs);
        const int32_t t = (int32_t)draw(9);
        double sum = 0, weight = 0;
        for (int32_t y = 0; y < height; y++) {
            for (int32_t x = 0; x < width; x++) {
                const int32_t yy = y + t / 3 - 1, xx = x + t % 3 - 1;
                if (yy >= 0 && yy < height && xx >= 0 && xx < width)
                    sum += 2 * (double)input[((size_t)yy * width + xx) * inputs + i] *
                           (double)gradient[((size_t)y * width + x) * outputs + o];
            }
        }
        for (int p = 0; p < 36; p++)
            weight += to_weights[t / 3][p / 6] * to_weights[t % 3][p % 6] * points[p * kernels + o * inputs + i];
        if (fabs(sum - weight) > 1e-4 * (1 + fabs(sum) + (double)pixels))
            wrong = failed("weight gradient", height, width);
    }
    free(input), free(gradient), free(points), free(scratch);
    return wrong;
}

static int check_sampling(int32_t height, int32_t width)
{
    const size_t pixels = (size_t)height * width, cells = (size_t)((height + 3) / 4) * ((width + 3) / 4);
    const size_t luma = (size_t)(height + 4) * CVSR_LUMA_STEP(width);
    const int32_t depth = (int32_t[]){2, 3, 16, 32}[draw(4)];
    cvsr_picture pictures[5];
    float *flows[4], *features = floats(pixels * depth, draw_share), *warped = floats(pixels * depth, draw_share);
    float *field = floats(2 * cells, draw_motion), *flow = floats(2 * pixels, draw_share);
    float *sampled = floats(pixels * 16, draw_share), *gathered = floats(pixels * CVSR_GATHER_CHANNELS, draw_share);
    float *residual = floats(pixels * 48, draw_share), *values = floats(pixels * 48, draw_share);
    uint8_t *rgb = malloc(pixels * 3), *bytes = malloc(pixels * 48);
    for (size_t i = 0; i < pixels * 3; i++)
        rgb[i] = (uint8_t)draw(256);
    for (int i = 0; i < 5; i++) {
        pictures[i] = (cvsr_picture){floats(pixels * 4, draw_share), floats(luma, draw_share)};
        const cvsr_load load = {rgb, pictures[i], height, width};
        run(&(cvsr_step){.kind = CVSR_LOAD, .params = &load}, 1, height, draw_threads(), 0);
        if (i < 4)
            flows[i] = floats(pixels * 2, draw_motion);
    }
    cvsr_gather gather = {.here = pictures[4], .output = gathered, .height = height, .width = width, .gain = 4};
    for (int i = 0; i < 4; i++) {
        gather.others[i] = pictures[i];
        gather.flows[i] = draw(4) ? flows[i] : NULL;
    }
    const cvsr_warp warp = {features, flows[0], depth == 2 ? flows[1] : NULL, warped, depth, height, width};
    const cvsr_flow_input input = {pictures[0], pictures[1], field, flow, draw(3) ? sampled : NULL, height, width};
    const cvsr_flow_output output = {sampled, flow, height, width};
    const cvsr_finish coarse = {pictures[0], residual, bytes, NULL, 4, height, width};
    const cvsr_finish fine = {pictures[0], residual, NULL, values, 4, height, width};
    const size_t values_of_16 = pixels * 16;
    uint16_t *bf16 = malloc(values_of_16 * sizeof *bf16);
    float *restored = floats(values_of_16, draw_share);
    const cvsr_convert to_bf16 = {sampled, bf16, 16, height, width}, from_bf16 = {bf16, restored, 16, height, width};
#define STEP(name, from) {.kind = CVSR_##name, .params = &(from)}
    const cvsr_step steps[] = {STEP(WARP, warp),     STEP(FLOW_INPUT, input), STEP(FLOW_OUTPUT, output),
                               STEP(GATHER, gather), STEP(FINISH, coarse),    STEP(FINISH, fine),
                               STEP(TO_BF16, to_bf16), STEP(FROM_BF16, from_bf16)};
#undef STEP
    run(steps, sizeof steps / sizeof *steps, height, draw_threads(), 0);
    int wrong = 0;
    for (size_t i = 0; i < pixels * 48; i++) {
        const float value = values[i] * 255;
        if (fabsf((value < 0 ? 0 : value > 255 ? 255 : value) - (float)bytes[i]) > 0.5001f)
            wrong = failed("finish", height, width);
        if (!isfinite(gathered[i]))
            wrong = failed("gather", height, width);
    }
    for (size_t i = 0; i < values_of_16; i++)
        if (isfinite(sampled[i]) && fabsf(sampled[i] - restored[i]) > fabsf(sampled[i]) / 256)
            wrong = failed("to_bf16", height, width);
    free(bf16), free(restored);
    for (int i = 0; i < 5; i++) {
        free(pictures[i].colours), free(pictures[i].luma);
        if (i < 4)
            free(flows[i]);
    }
    free(features), free(warped), free(field), free(flow), free(sampled), free(gathered), free(residual), free(values);
    free(rgb), free(bytes);
    return wrong;
}

/* A layer, residual blocks that share memory and add in place, and a layer that overwrites the input of an earlier step. */
static int check_batch(int32_t height, int32_t width)
{
    enum { STEPS = 8, DEPTH = 16 };
    const size_t size = (size_t)height * width * DEPTH;
    float *weights = floats(DEPTH * DEPTH * 9, draw_share), *packed = floats(DEPTH * DEPTH * 36, draw_share);
    float *bias = floats(DEPTH, draw_share), *input = floats(size, draw_share), *fresh = floats(size, draw_share);
    float *results[2], *state = floats(size, draw_share), *inner = floats(size, draw_share);
    for (int i = 0; i < DEPTH * DEPTH * 9; i++)
        weights[i] = (weights[i] - 0.5f) / 4;
    cvsr_net_pack(weights, DEPTH, DEPTH, CVSR_CONV3X3, packed);
    const cvsr_conv plain = {.weights = packed, .bias = bias, .input_channels = {DEPTH}, .output_channels = DEPTH,
                             .height = height, .width = width};
    cvsr_conv convs[STEPS];
    cvsr_step steps[STEPS];
    for (int i = 0; i < STEPS; i++) {
        convs[i] = plain;
        convs[i].inputs[0] = i == 0 ? fresh : i % 2 ? state : inner;
        convs[i].output = i == STEPS - 1 ? fresh : i % 2 ? inner : state;
        convs[i].residual = i % 2 || i == 0 ? NULL : state;
        convs[i].slope = i % 2 ? 0 : 1;
        steps[i] = (cvsr_step){.kind = CVSR_CONV3X3, .params = &convs[i]};
    }
    const size_t scratch = cvsr_net_scratch_bytes(DEPTH, DEPTH);
    for (int is_batch = 0; is_batch < 2; is_batch++) {
        memcpy(fresh, input, size * sizeof(float));
        for (int i = 0; i < STEPS && !is_batch; i++)
            run(&steps[i], 1, height, 1, scratch);
        if (is_batch)
            run(steps, STEPS, height, draw_threads(), scratch);
        results[is_batch] = malloc(2 * size * sizeof(float));
        memcpy(results[is_batch], state, size * sizeof(float));
        memcpy(results[is_batch] + size, fresh, size * sizeof(float));
    }
    const int wrong = memcmp(results[0], results[1], 2 * size * sizeof(float)) && failed("run", height, width);
    free(weights), free(packed), free(bias), free(input), free(fresh), free(state), free(inner);
    free(results[0]), free(results[1]);
    return wrong;
}

int main(int argc, char **argv)
{
    const long count = argc > 1 ? atol(argv[1]) : 10;
    state = argc > 2 ? (uint64_t)atoll(argv[2]) : 1;
    int wrong = cvsr_net_abi() != CVSR_NET_ABI || cvsr_net_choose(3) < 0;
    for (long i = 0; i < count && !wrong; i++) {
        const int32_t height = 1 + (int32_t)draw(21), width = 1 + (int32_t)draw(38);
        const int32_t kind = (int32_t[]){CVSR_CONV3X3, CVSR_CONV3X3_BF16, CVSR_CONV1X1}[i % 3];
        wrong = check_conv(height, width, kind) || check_weight_gradient(height, width) ||
                check_sampling(height, width) || check_batch(1 + (int32_t)draw(60), width);
    }
    printf("%ld inputs\n", count);
    return wrong;
}
