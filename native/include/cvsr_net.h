/* The network `codecvsr` on a CPU: convolutions, sampling along motion, the finished picture.
 * Needs C99 with the vector extensions and atomic operations of GCC and Clang, and sched_yield of POSIX.
 *
 * Pictures and features are float32 arrays (height, width, channels) without gaps. The work on a frame is a list of steps, each
 * with the parameters of its kind. cvsr_net_run computes the steps row by row of 4x4 tiles: the output of one step is in the
 * cache when the next reads it, and threads can share a frame. Results depend on neither. Pointers and sizes are not checked
 * unless stated; pictures and flows may contain any value, NaN and infinity included. */
#ifndef CVSR_NET_H
#define CVSR_NET_H

#include <stddef.h>
#include <stdint.h>

#define CVSR_NET_API __attribute__((visibility("default")))

/* Raised with every change of a signature, a structure or the behaviour of a function. */
#define CVSR_NET_ABI 6

#define CVSR_MAX_INPUTS 4
#define CVSR_MAX_CHANNELS 1024 /* of all inputs of a convolution */
#define CVSR_GROUP 16 /* channels of convolutions come in multiples of this */
#define CVSR_TILE 4   /* side of a tile in pixels */
#define CVSR_GATHER_CHANNELS 48 /* channels that CVSR_GATHER writes */

/* CVSR_CONV3X3, CVSR_CONV3X3_BF16, CVSR_CONV1X1: a convolution, stride 1, zeros beyond the border. The second multiplies
 * bfloat16 and sums float.
 *
 * output = residual + act(conv(inputs side by side) + bias + cells), act(x) = max(x, slope * x) with slope in 0..1.
 * An input without data is all zeros and costs nothing. */
typedef struct {
    const float *inputs[CVSR_MAX_INPUTS];
    const void *weights;  /* written by cvsr_net_pack for this kind */
    const float *bias;    /* (output_channels) */
    const float *cells; /* (ceil(height / 4), ceil(width / 4), output_channels), one for 4x4 pixels; or NULL. 3x3 only */
    const float *residual;                    /* (height, width, output_channels), or NULL; may be the output */
    float *output;                            /* (height, width, output_channels), none of the inputs */
    int32_t input_channels[CVSR_MAX_INPUTS]; /* 0 for an unused input */
    int32_t output_channels;
    int32_t height, width;
    float slope;
} cvsr_conv;

/* Floats from row to row of luma: the width rounded up to a multiple of 16, and a border of two pixels at each side. */
#define CVSR_LUMA_STEP(width) (((width) + 15) / 16 * 16 + 4)

/* A picture for sampling: red, green, blue and 0 (height, width, 4), and luma (height + 4, CVSR_LUMA_STEP(width)), which begins
 * two rows above and two columns left of the picture and repeats its border there. */
typedef struct {
    float *colours, *luma;
} cvsr_picture;

/* CVSR_LOAD: converts uint8 RGB (height, width, 3) to a picture in 0..1; luma as in ITU-R BT.601. */
typedef struct {
    const uint8_t *rgb;
    cvsr_picture picture;
    int32_t height, width;
} cvsr_load;

/* CVSR_WARP: the bilinear sample of features (height, width, channels) at every pixel's position plus flow, clamped to the
 * picture; added to `plus` unless that is NULL. With two channels `plus` may be the flow or the output. */
typedef struct {
    const float *features, *flow, *plus;
    float *output;
    int32_t channels, height, width;
} cvsr_warp;

/* CVSR_FLOW_INPUT: the flow (height, width, 2), interpolated bilinearly from `field` (2, ceil(height / 4), ceil(width / 4)),
 * and the input of the flow head, `output` (height, width, 16), NULL if there is no head: colours here, colours there along
 * the flow, flow * 0.1 and zeros. */
typedef struct {
    cvsr_picture here, there;
    const float *field;
    float *flow, *output;
    int32_t height, width;
} cvsr_flow_input;

/* CVSR_FLOW_OUTPUT: adds the first two of the head's 16 channels to the flow. */
typedef struct {
    const float *head;
    float *flow;
    int32_t height, width;
} cvsr_flow_output;

/* CVSR_GATHER: the input of a frame's features, gathered from it and its neighbours: 16 mean differences of shift-and-add and
 * their 16 shares, the 4 neighbours' bicubic samples minus the frame (4 * 3), the frame in -1..1 (3), and 0. Differences are
 * multiplied by `gain`. Neighbours are sampled along flows (height, width, 2) in pixels, x then y; NULL for a missing one. */
typedef struct {
    cvsr_picture here, others[4];
    const float *flows[4];
    float *output; /* (height, width, CVSR_GATHER_CHANNELS) */
    int32_t height, width;
    float gain;
} cvsr_gather;

/* CVSR_TO_BF16: rounds float values (height, width, channels) to bfloat16; CVSR_FROM_BF16: converts back. Channels are a
 * multiple of 16. */
typedef struct {
    const void *from;
    void *to;
    int32_t channels, height, width;
} cvsr_convert;

/* CVSR_FINISH: the finished picture (scale * height, scale * width, 3). Of scale 4, it is the frame enlarged by 4 (bicubic,
 * a = -0.5, mirrored border) plus `residual` (height, width, 48), the 4 * 4 * 3 output values of each pixel; written to `bytes`,
 * rounded and clamped, or to `values`; the other is NULL.
 *
 * Of scale 1, 2 or 3, `bytes` are those of scale 4 shrunk (bicubic, antialiased, a = -0.5, mirrored border), exactly. These scales
 * read `residual` around each tile, one pixel, or two for scale 1, and need scratch memory of cvsr_net_finish_bytes. */
typedef struct {
    cvsr_picture frame;
    const float *residual;
    uint8_t *bytes;
    float *values;
    int32_t scale, height, width;
} cvsr_finish;

/* CVSR_COPY: copies tiles of an array (scale * height, scale * width) with `pixel_bytes` bytes per element, or writes zeros if
 * `from` is NULL. A tile has 4 * scale lines. */
typedef struct {
    const void *from;
    void *to;
    int32_t pixel_bytes, scale, height, width;
} cvsr_copy;

enum {
    CVSR_CONV3X3,
    CVSR_CONV3X3_BF16,
    CVSR_CONV1X1,
    CVSR_LOAD,
    CVSR_WARP,
    CVSR_FLOW_INPUT,
    CVSR_FLOW_OUTPUT,
    CVSR_GATHER,
    CVSR_TO_BF16,
    CVSR_FROM_BF16,
    CVSR_FINISH,
    CVSR_COPY,
    CVSR_KINDS
};

/* One step of the work on a frame, or on some of its tiles. Output of other tiles is not written, except by CVSR_LOAD, which
 * ignores `tiles`, and by CVSR_GATHER, which writes whole groups of 4 tiles that begin at a multiple of 4.
 *
 * A 3x3 convolution reads all of the 6x6 pixels around a tile and, by its rounding errors, each may affect each pixel of the tile:
 * none may be uninitialised, though only those next to a pixel affect it by more. */
typedef struct {
    int32_t kind;
    int32_t columns;      /* of tiles; used with `tiles` only */
    const void *params;   /* the structure of that kind */
    const uint8_t *tiles; /* (rows, columns), 0 for a tile that is left out; NULL for all */
} cvsr_step;

CVSR_NET_API int32_t cvsr_net_abi(void);

/* Chooses the instruction set: plain C (0), AVX2 (1), AVX-512 (2) or AVX-512 with products of bfloat16 (3). Uses the best one
 * that the processor has, but none above `max_isa` (for tests), and returns its number. Every set computes every kind. Weights
 * must be used with the set that they were packed with; sets 2 and 3 pack alike. */
CVSR_NET_API int32_t cvsr_net_choose(int32_t max_isa);

/* Bytes of scratch memory, aligned to 64, that each thread needs for convolutions of so many channels in and out. */
CVSR_NET_API size_t cvsr_net_scratch_bytes(int32_t input_channels, int32_t output_channels);

/* Bytes of scratch memory, aligned to 64, that each thread needs for CVSR_FINISH. */
CVSR_NET_API size_t cvsr_net_finish_bytes(int32_t width, int32_t scale);

/* Packs weights (output_channels, input_channels, size, size) for a convolution of a kind: 36 values, float or bfloat16, for
 * every 9 of a 3x3 kernel (Winograd's F(4x4, 3x3)). Returns 0, or -1 if channels are no multiple of 16 or too many, or the
 * kind is no convolution. */
CVSR_NET_API int32_t cvsr_net_pack(const float *weights, int32_t input_channels, int32_t output_channels, int32_t kind,
                                   void *packed);

/* Runs `count` steps on a frame of `rows` rows of tiles.
 *
 * A step computes a row once the steps before it have finished that row and its two neighbours. So a step may read output of
 * earlier steps only that near. Features to warp, pictures other than `here` and the frame to finish are read anywhere: they
 * must be complete before the call. Later steps may overwrite memory that earlier steps have finished reading.
 *
 * `threads` threads call this with equal arguments except `scratch`, which each has to itself, as large as the largest
 * convolution needs. Results are complete when all have returned. `progress` holds 1 + count * rows zeros that the threads
 * share; NULL for one thread. */
CVSR_NET_API void cvsr_net_run(const cvsr_step *steps, int32_t count, int32_t rows, int32_t threads, int32_t *progress,
                               void *scratch);

/* What the gradient of the weights of a 3x3 convolution (stride 1, zeros beyond the border) is made of. Channels are multiples
 * of CVSR_GROUP. */
typedef struct {
    const float *input;    /* (height, width, input_channels) */
    const float *gradient; /* of the output, (height, width, output_channels) */
    float *points;         /* (36, output_channels, input_channels): what this picture contributes is added */
    int32_t input_channels, output_channels, height, width;
} cvsr_weight_gradient;

/* Bytes of scratch memory, aligned to 64, for cvsr_net_weight_gradient. */
CVSR_NET_API size_t cvsr_net_gradient_scratch_bytes(int32_t input_channels, int32_t output_channels);

/* Adds a picture's contribution to the gradient in the 6x6 points of F(4x4, 3x3): with G (6, 3) of its transform of weights, the
 * gradient of a kernel (3, 3) is G' points G. Runs on the calling thread. */
CVSR_NET_API void cvsr_net_weight_gradient(const cvsr_weight_gradient *work, void *scratch);

/* Marks the tiles in which two pictures of uint8 RGB (height, width, 3) differ: writes 1 or 0 for each to `tiles`
 * (ceil(height / 4), ceil(width / 4)). */
CVSR_NET_API void cvsr_net_changes(const uint8_t *before, const uint8_t *after, int32_t height, int32_t width,
                                   uint8_t *tiles);

#endif
