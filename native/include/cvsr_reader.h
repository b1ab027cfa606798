/* One decoding pass over a video file: pictures in display order with what the H.264 stream says about them. */
#ifndef CVSR_READER_H
#define CVSR_READER_H

#include <stddef.h>
#include <stdint.h>

#include "cvsr_field.h" /* CVSR_API and the packed vectors */

/* Raised with every change of a signature, of a struct or of what a function does. */
#define CVSR_READER_ABI 3

#define CVSR_NO_PTS INT64_MIN

typedef struct cvsr_reader cvsr_reader;

/* The stream that was chosen. The string `codec` lives as long as the process. */
typedef struct cvsr_stream {
    const char *codec; /* "h264", "hevc"... */
    int32_t time_base_num, time_base_den;
    int32_t index;
    int32_t extradata_size;
    const uint8_t *extradata; /* parameter sets, as an avcC box or with start codes; NULL: none. Lives with the reader */
} cvsr_stream;

/* One picture. Everything it points to stays valid until the next call with the same reader. */
typedef struct cvsr_frame {
    const char *pixel_format; /* "yuv420p"... */
    const uint8_t *vectors;   /* vector_count packed vectors of CVSR_VECTOR_BYTES */
    const int8_t *qp;         /* qp_rows * qp_columns luma QPs, one a macroblock; NULL: not exported */
    int64_t pts;              /* as the container has it, in the stream's time base, or CVSR_NO_PTS */
    int64_t decode_index;     /* position of its packet in the stream, from 0; -1: none is known */
    int64_t vector_count;
    int32_t width, height;
    int32_t qp_rows, qp_columns;
    int32_t type;             /* 'I', 'P' or 'B' */
    int32_t is_reference;     /* nal_ref_idc of its first slice is not 0 */
    int32_t is_idr;
    int32_t is_interlaced;
    int32_t is_corrupt;       /* the decoder concealed errors in it */
    int32_t colorspace, color_range, color_primaries, color_trc; /* AVColorSpace and its kin (ITU-T H.273) */
} cvsr_frame;

CVSR_API int32_t cvsr_reader_abi(void);

/* The libavcodec the reader runs on, such as "59.37.100". */
CVSR_API const char *cvsr_reader_libavcodec(void);

/* Open a local file (UTF-8 on Windows, bytes elsewhere) and its best video stream that is no cover picture.
 * Returns NULL and fills `error` where the file is not readable; the stream's index is -1 where it has no video. */
CVSR_API cvsr_reader *cvsr_reader_open(const char *path, char *error, size_t error_size);
CVSR_API void cvsr_reader_stream(const cvsr_reader *reader, cvsr_stream *stream);

/* Returns 1 and fills `frame`, 0 at the end or at the damage, -1 without a decoder or memory, and
 * cvsr_reader_message() says which. Decoding runs on one thread and no caller can change that: with frame threads
 * libavcodec mixes up the exported data. */
CVSR_API int32_t cvsr_reader_next(cvsr_reader *reader, cvsr_frame *frame);

/* Packets read so far, a damaged one included. */
CVSR_API int64_t cvsr_reader_packets(const cvsr_reader *reader);

/* 1 from the first packet on that is incomplete, cannot be read or is refused by the decoder. Nothing after it is read;
 * cvsr_reader_next() returns the pictures decoded before it, and cvsr_reader_message() names the fault. */
CVSR_API int32_t cvsr_reader_is_damaged(const cvsr_reader *reader);
CVSR_API const char *cvsr_reader_message(const cvsr_reader *reader);

/* Copy the current picture's planes into `data`, rows `linesize` bytes apart. Returns 0, or -1 without a picture. */
CVSR_API int32_t cvsr_reader_copy_picture(const cvsr_reader *reader, uint8_t *const data[4], const int32_t linesize[4]);

/* The current picture's vectors as libavutil's AVMotionVector, for programs built against the same headers. */
CVSR_API const void *cvsr_reader_raw_vectors(const cvsr_reader *reader, size_t *count);

CVSR_API void cvsr_reader_close(cvsr_reader *reader);

#endif
