/* Chooses between ways of computing, and does what is the same in all of them. */
#include <string.h>

#include "cvsr_net_way.h"

static const cvsr_way *chosen = &cvsr_net_plain;

int32_t cvsr_net_abi(void)
{
    return CVSR_NET_ABI;
}

int32_t cvsr_net_choose(int32_t most)
{
    /* Written once: other threads may be computing the same way at this moment. */
    const cvsr_way *way = &cvsr_net_plain;
    int32_t number = 0;
#ifdef CVSR_NET_X86
    __builtin_cpu_init();
    if (most >= 2 && __builtin_cpu_supports("avx512f")) {
        way = &cvsr_net_avx512;
        number = 2;
    } else if (most >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        way = &cvsr_net_avx2;
        number = 1;
    }
#else
    (void)most;
#endif
    chosen = way;
    return number;
}

size_t cvsr_net_scratch_bytes(int32_t input_channels, int32_t output_channels)
{
    return chosen->scratch_bytes(input_channels, output_channels);
}

int32_t cvsr_net_pack(const float *weights, int32_t input_channels, int32_t output_channels, int32_t size,
                      float *packed)
{
    if (input_channels % CVSR_GROUP || input_channels > CVSR_MOST_CHANNELS || output_channels % CVSR_GROUP || (size != 1 && size != 3))
        return -1;
    chosen->pack(weights, input_channels, output_channels, size, packed);
    return 0;
}

void cvsr_net_conv3x3(const cvsr_conv *conv, int32_t first, int32_t last, void *scratch)
{
    chosen->conv3x3(conv, first, last, scratch);
}

void cvsr_net_conv1x1(const cvsr_conv *conv, int32_t first, int32_t last, void *scratch)
{
    chosen->conv1x1(conv, first, last, scratch);
}

void cvsr_net_load(const uint8_t *rgb, const cvsr_picture *picture, int32_t height, int32_t width, int32_t first,
                   int32_t last)
{
    const int32_t step = CVSR_LUMA_STEP(width);
    for (int32_t y = first; y < last; y++) {
        float *luma = picture->luma + (size_t)(y + 2) * step;
        for (int32_t x = 0; x < width; x++) {
            const uint8_t *pixel = rgb + 3 * ((size_t)y * width + x);
            const float red = pixel[0] / 255.0f, green = pixel[1] / 255.0f, blue = pixel[2] / 255.0f;
            float *colours = picture->colours + 4 * ((size_t)y * width + x);
            colours[0] = red;
            colours[1] = green;
            colours[2] = blue;
            colours[3] = 0;
            luma[x + 2] = 0.299f * red + 0.587f * green + 0.114f * blue;
        }
        luma[0] = luma[1] = luma[2];
        for (int32_t x = width + 2; x < step; x++)
            luma[x] = luma[width + 1];
        for (int32_t k = 1; k <= 2 && y == 0; k++)
            memcpy(luma - (size_t)k * step, luma, (size_t)step * sizeof(float));
        for (int32_t k = 1; k <= 2 && y == height - 1; k++)
            memcpy(luma + (size_t)k * step, luma, (size_t)step * sizeof(float));
    }
}

void cvsr_net_warp(const float *features, const float *flow, const float *plus, float *output, int32_t channels,
                   int32_t height, int32_t width, int32_t first, int32_t last)
{
    chosen->warp(features, flow, plus, output, channels, height, width, first, last);
}

void cvsr_net_flow_input(const cvsr_picture *here, const cvsr_picture *there, const float *field, float *flow,
                         float *output, int32_t height, int32_t width, int32_t first, int32_t last)
{
    chosen->flow_input(here, there, field, flow, output, height, width, first, last);
}

void cvsr_net_flow_output(const float *head, float *flow, int32_t width, int32_t first, int32_t last)
{
    for (size_t i = (size_t)first * width; i < (size_t)last * width; i++) {
        flow[2 * i] += head[CVSR_GROUP * i];
        flow[2 * i + 1] += head[CVSR_GROUP * i + 1];
    }
}

void cvsr_net_look(const cvsr_look *look, int32_t first, int32_t last)
{
    chosen->look(look, first, last);
}

void cvsr_net_finish(const cvsr_picture *frame, const float *residual, uint8_t *bytes, float *values, int32_t height,
                     int32_t width, int32_t first, int32_t last)
{
    chosen->finish(frame, residual, bytes, values, height, width, first, last);
}
