/* Blocks to grid: the motion vectors of one frame painted onto cells of 4x4 pixels; and resizing of pictures. Needs nothing but C99. */
#ifndef CVSR_FIELD_H
#define CVSR_FIELD_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define CVSR_API __declspec(dllexport)
#else
#define CVSR_API __attribute__((visibility("default")))
#endif

/* Raised with every change of a signature, of the layout below or of what a function does. */
#define CVSR_FIELD_ABI 13

/* One vector is packed into 20 host-endian bytes (codecvsr.bitstream.frame.VECTOR_DTYPE):
 *   0 int32 source | 4 uint8 w | 5 uint8 h | 6 int16 dst_x | 8 int16 dst_y
 *   10 int32 motion_x | 14 int32 motion_y | 18 uint16 motion_scale */
#define CVSR_VECTOR_BYTES 20

#define CVSR_CELL 4 /* side of a cell in pixels */
#define CVSR_LONGEST 4096.0f /* pixels; longer than any vector H.264 allows (annex A.3.1) */

CVSR_API int32_t cvsr_field_abi(void);

/* Paint `count` vectors onto the ceil(height / 4) x ceil(width / 4) cells of a picture, in the order they come.
 *
 * past, future: two planes each (x, then y) of rows * columns float32, in pixels; NaN where a cell has no vector or one
 *   longer than CVSR_LONGEST to either side.
 * partition: rows * columns bytes, (w / 8) * 4 + h / 8 of the block that painted the cell last, 0 where none did.
 *
 * Every output is written in full. `vectors` may contain any bytes: parts of blocks outside the picture are ignored and a
 * motion_scale of 0 counts as 1. Returns 0, or -1 and writes nothing if a size is negative or a pointer is missing. */
CVSR_API int32_t cvsr_rasterise(const uint8_t *vectors, size_t count, int32_t height, int32_t width, float *past,
                                float *future, uint8_t *partition);

/* The samples of a line or column that one of the result is made of: `count` from `first` on, each with a weight. */
typedef struct {
    int32_t first, count;
    const double *weights;
} cvsr_taps;

/* Resizes a picture (height, width, channels) to (new_height, new_width, channels): lines by `down`, one for each line of the
 * result, columns by `across`, in double precision, rounded once, halves upwards. All samples of the taps lie in the picture.
 * Returns 0, or -1 and writes nothing if memory is short. */
CVSR_API int32_t cvsr_resize(const uint8_t *from, int32_t width, int32_t channels, const cvsr_taps *down,
                             int32_t new_height, const cvsr_taps *across, int32_t new_width, uint8_t *to);

#endif
