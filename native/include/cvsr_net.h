/* What the network `codecvsr` does with a frame on a CPU: convolutions, sampling along motion, the finished picture.
 * Needs nothing but C99 with the vector extensions and atomic operations of GCC and Clang, and sched_yield of POSIX.
 *
 * Pictures and features are rows of pixels of float32 channels (height, width, channels), without gaps. What is done with a
 * frame is a list of steps, each a record of what goes in and comes out; cvsr_net_run does them row by row of 4x4 tiles, so
 * that what one step makes is still in the cache when the next one wants it, and threads can share a frame; what comes out
 * depends on neither. Pointers and sizes are taken on trust but for what is said; the content of pictures and flows may be
 * anything, NaN and infinity included. */
#ifndef CVSR_NET_H
#define CVSR_NET_H

#include <stddef.h>
#include <stdint.h>

#define CVSR_NET_API __attribute__((visibility("default")))

/* Raised with every change of a signature, of a record below or of what a function does. */
#define CVSR_NET_ABI 3

#define CVSR_MOST_INPUTS 4
#define CVSR_MOST_CHANNELS 1024 /* of all inputs of a convolution */
#define CVSR_GROUP 16 /* channels of convolutions come in multiples of this */
#define CVSR_TILE 4   /* side of a tile in pixels */
#define CVSR_LOOK_CHANNELS 48 /* channels of what cvsr_look makes */

/* CVSR_CONV3X3, CVSR_CONV3X3_BF16, CVSR_CONV1X1: a convolution, stride 1, zeros beyond the border. In the second one products
 * are of bfloat16.
 *
 * output = residual + act(conv(inputs side by side) + bias + cells), act(x) = max(x, slope * x) with slope in 0..1.
 * An input without data is all zeros and costs nothing. */
typedef struct {
    const float *inputs[CVSR_MOST_INPUTS];
    const void *weights;  /* made by cvsr_net_pack for this kind */
    const float *bias;    /* (output_channels) */
    const float
        *cells; /* (ceil(height / 4), ceil(width / 4), output_channels), one for each 4x4 pixels; or NULL. 3x3 only */
    const float *residual;                    /* (height, width, output_channels), or NULL; may be the output */
    float *output;                            /* (height, width, output_channels), none of the inputs */
    int32_t input_channels[CVSR_MOST_INPUTS]; /* 0 for an input that does not exist */
    int32_t output_channels;
    int32_t height, width;
    float slope;
} cvsr_conv;

/* Floats from row to row of luma: two more pixels at each side, the border's, and whole stretches of 16. */
#define CVSR_LUMA_STEP(width) (((width) + 15) / 16 * 16 + 4)

/* A picture as sampling wants it: red, green, blue and 0 (height, width, 4), and luma (height + 4, CVSR_LUMA_STEP(width)),
 * which begins two rows above and two columns before the picture and goes on like its border. */
typedef struct {
    float *colours, *luma;
} cvsr_picture;

/* CVSR_LOAD: uint8 (height, width, 3) to a picture in 0..1; luma as in ITU-R BT.601. */
typedef struct {
    const uint8_t *rgb;
    cvsr_picture picture;
    int32_t height, width;
} cvsr_load;

/* CVSR_WARP: the bilinear sample of features (height, width, channels) at every pixel's position plus flow, the border beyond
 * it; added to `plus` where that is given (it may be the flow itself, and even the output, where there are two channels). */
typedef struct {
    const float *features, *flow, *plus;
    float *output;
    int32_t channels, height, width;
} cvsr_warp;

/* CVSR_FLOW_INPUT: what the flow's head sees: colours here, colours there along the flow, flow * 0.1 and zeros, (height, width,
 * 16), or NULL where there is no head; and the flow itself (height, width, 2), `field` (2, ceil(height / 4), ceil(width / 4))
 * interpolated bilinearly. */
typedef struct {
    cvsr_picture here, there;
    const float *field;
    float *flow, *output;
    int32_t height, width;
} cvsr_flow_input;

/* CVSR_FLOW_OUTPUT: flow += the first two of the head's 16 channels. */
typedef struct {
    const float *head;
    float *flow;
    int32_t height, width;
} cvsr_flow_output;

/* CVSR_LOOK: what a frame's features are made of: 16 mean differences of shift-and-add and their 16 shares, the 4 neighbours'
 * bicubic samples less the frame (4 * 3), the frame itself in -1..1 (3), and 0. All but shares and frame times `gain`.
 * Neighbours are looked at along flows (height, width, 2) in pixels, x then y; NULL where there is none. */
typedef struct {
    cvsr_picture here, others[4];
    const float *flows[4];
    float *output; /* (height, width, CVSR_LOOK_CHANNELS) */
    int32_t height, width;
    float gain;
} cvsr_look;

/* CVSR_HALVE: values (height, width, channels), channels a multiple of 16, rounded to bfloat16; CVSR_WIDEN: back to float. */
typedef struct {
    const void *from;
    void *to;
    int32_t channels, height, width;
} cvsr_change;

/* CVSR_FINISH: the finished picture: the frame enlarged by 4 (bicubic, a = -0.5, mirrored border) plus `residual` (height,
 * width, 48), the 4 * 4 * 3 values of each pixel's enlargement; (4 * height, 4 * width, 3), as uint8, rounded and clamped, or
 * as float: one of the two is NULL. */
typedef struct {
    cvsr_picture frame;
    const float *residual;
    uint8_t *bytes;
    float *values;
    int32_t height, width;
} cvsr_finish;

enum {
    CVSR_CONV3X3,
    CVSR_CONV3X3_BF16,
    CVSR_CONV1X1,
    CVSR_LOAD,
    CVSR_WARP,
    CVSR_FLOW_INPUT,
    CVSR_FLOW_OUTPUT,
    CVSR_LOOK,
    CVSR_HALVE,
    CVSR_WIDEN,
    CVSR_FINISH,
    CVSR_KINDS
};

/* Something to be done with a frame. */
typedef struct {
    int32_t kind;
    const void *record; /* of that kind */
} cvsr_step;

CVSR_NET_API int32_t cvsr_net_abi(void);

/* Choose a way of computing: plain (0), AVX2 (1), AVX-512 (2) or that with products of bfloat16 (3); the widest the processor
 * has, or, for tests, at most `most`. Returns the one chosen. Packed weights belong to the way they were packed with, the last
 * two being one; all ways can do all kinds. */
CVSR_NET_API int32_t cvsr_net_choose(int32_t most);

/* Bytes of memory, aligned to 64, that each thread needs of its own for convolutions of so many channels in and out. */
CVSR_NET_API size_t cvsr_net_scratch_bytes(int32_t input_channels, int32_t output_channels);

/* Lay weights (output_channels, input_channels, size, size) out for a convolution of a kind: 36 values for every 9 of 3x3
 * (Winograd's F(4x4, 3x3)), floats or bfloat16. Returns 0, or -1 where channels are no multiple of 16 or too many, or the kind
 * is no convolution. */
CVSR_NET_API int32_t cvsr_net_pack(const float *weights, int32_t input_channels, int32_t output_channels, int32_t kind,
                                   void *packed);

/* Do `count` steps with a frame of `rows` rows of tiles.
 *
 * A step is done with a row once those before it are done with that row and the two beside it. So a step may read what steps
 * before it make only that near (a warp's features, pictures that are not `here` and a frame to finish are read anywhere: they
 * must be there before), and memory that a step is done with may be written by the ones behind it.
 *
 * `threads` threads call this with the same arguments but for `scratch`, which is each one's own and as large as the largest
 * convolution needs; all must have returned before anything is used. `progress` are 1 + count * rows zeros that they share;
 * NULL for one thread. */
CVSR_NET_API void cvsr_net_run(const cvsr_step *steps, int32_t count, int32_t rows, int32_t threads, int32_t *progress,
                               void *scratch);

#endif
