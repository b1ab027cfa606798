/* The current picture: its pixels, motion vectors, QPs and properties. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <libavutil/imgutils.h>
#include <libavutil/motion_vector.h>
#include <libavutil/pixdesc.h>
#include <libavutil/video_enc_params.h>

#define MACROBLOCK 16

/* Grow a buffer to at least `bytes`; its content is lost. */
static int reserve(void **buffer, size_t *allocated, size_t bytes)
{
    if (bytes > *allocated) {
        free(*buffer);
        *allocated = 0;
        *buffer = malloc(bytes);
        if (!*buffer)
            return -1;
        *allocated = bytes;
    }
    return 0;
}

/* Fill reader->vectors; the exported struct has padding, a packed vector has none. Returns their number, -1 out of memory. */
static int64_t pack_vectors(cvsr_reader *reader)
{
    size_t count;
    const AVMotionVector *exported = cvsr_reader_raw_vectors(reader, &count);
    if (reserve((void **)&reader->vectors, &reader->vectors_allocated, count * CVSR_VECTOR_BYTES) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        uint8_t *packed = reader->vectors + i * CVSR_VECTOR_BYTES;
        memcpy(packed, &exported[i].source, 4);
        packed[4] = exported[i].w;
        packed[5] = exported[i].h;
        memcpy(packed + 6, &exported[i].dst_x, 2);
        memcpy(packed + 8, &exported[i].dst_y, 2);
        memcpy(packed + 10, &exported[i].motion_x, 4);
        memcpy(packed + 14, &exported[i].motion_y, 4);
        memcpy(packed + 18, &exported[i].motion_scale, 2);
    }
    return (int64_t)count;
}

/* Fill reader->qp with the luma QP of each macroblock. Returns 1, 0 where none is exported, -1 out of memory. */
static int pack_qp(cvsr_reader *reader, int32_t rows, int32_t columns)
{
    const AVFrameSideData *side = av_frame_get_side_data(reader->frame, AV_FRAME_DATA_VIDEO_ENC_PARAMS);
    AVVideoEncParams *parameters = side ? (AVVideoEncParams *)side->data : NULL;
    if (!parameters || parameters->type != AV_VIDEO_ENC_PARAMS_H264 || !parameters->nb_blocks)
        return 0;
    const size_t blocks = (size_t)rows * (size_t)columns;
    if (reserve((void **)&reader->qp, &reader->qp_allocated, blocks) < 0)
        return -1;
    memset(reader->qp, 0, blocks);
    for (unsigned i = 0; i < parameters->nb_blocks; i++) {
        const AVVideoBlockParams *block = av_video_enc_params_block(parameters, i);
        if (block->src_x < 0 || block->src_y < 0)
            continue;
        const int32_t row = block->src_y / MACROBLOCK, column = block->src_x / MACROBLOCK;
        const int32_t qp = parameters->qp + block->delta_qp;
        if (row < rows && column < columns)
            reader->qp[(size_t)row * columns + column] = (int8_t)(qp < INT8_MIN ? INT8_MIN : qp > INT8_MAX ? INT8_MAX : qp);
    }
    return 1;
}

static char type_letter(enum AVPictureType type)
{
    switch (type) {
    case AV_PICTURE_TYPE_I:
    case AV_PICTURE_TYPE_SI:
        return 'I';
    case AV_PICTURE_TYPE_B:
        return 'B';
    default:
        return 'P';
    }
}

static int is_interlaced(const AVFrame *frame)
{
#ifdef AV_FRAME_FLAG_INTERLACED /* FFmpeg 6.1 and newer; the field is gone in 8 */
    return !!(frame->flags & AV_FRAME_FLAG_INTERLACED);
#else
    return !!frame->interlaced_frame;
#endif
}

int cvsr_reader_describe(cvsr_reader *reader, cvsr_frame *out)
{
    const AVFrame *frame = reader->frame;
    memset(out, 0, sizeof *out);
    out->pixel_format = av_get_pix_fmt_name(frame->format);
    out->width = frame->width;
    out->height = frame->height;
    out->type = type_letter(frame->pict_type);
    out->is_interlaced = is_interlaced(frame);
    out->is_corrupt = frame->decode_error_flags || frame->flags & AV_FRAME_FLAG_CORRUPT;
    out->colorspace = frame->colorspace;
    out->color_range = frame->color_range;
    out->color_primaries = frame->color_primaries;
    out->color_trc = frame->color_trc;

    out->pts = CVSR_NO_PTS;
    out->decode_index = -1;
    if (frame->pts >= 0 && frame->pts < reader->packets && frame->pts >= reader->packets - MAX_FACTS) {
        const struct packet_facts *facts = &reader->facts[frame->pts % MAX_FACTS];
        out->decode_index = frame->pts;
        out->pts = facts->pts == AV_NOPTS_VALUE ? CVSR_NO_PTS : facts->pts;
        out->is_reference = facts->is_reference;
        out->is_idr = facts->is_idr;
    }

    out->vector_count = pack_vectors(reader);
    out->qp_rows = (frame->height + MACROBLOCK - 1) / MACROBLOCK;
    out->qp_columns = (frame->width + MACROBLOCK - 1) / MACROBLOCK;
    const int has_qp = pack_qp(reader, out->qp_rows, out->qp_columns);
    out->vectors = reader->vectors;
    out->qp = has_qp == 1 ? reader->qp : NULL;
    return !out->pixel_format || out->vector_count < 0 || has_qp < 0 ? -1 : 0;
}

int32_t cvsr_reader_copy_picture(const cvsr_reader *reader, uint8_t *const data[4], const int32_t linesize[4])
{
    const AVFrame *frame = reader->frame;
    if (!frame->data[0])
        return -1;
    uint8_t *target[4] = {data[0], data[1], data[2], data[3]};
    const uint8_t *source[4] = {frame->data[0], frame->data[1], frame->data[2], frame->data[3]};
    int target_rows[4] = {linesize[0], linesize[1], linesize[2], linesize[3]};
    av_image_copy(target, target_rows, source, frame->linesize, frame->format, frame->width, frame->height);
    return 0;
}

const void *cvsr_reader_raw_vectors(const cvsr_reader *reader, size_t *count)
{
    const AVFrameSideData *side = av_frame_get_side_data(reader->frame, AV_FRAME_DATA_MOTION_VECTORS);
    *count = side ? side->size / sizeof(AVMotionVector) : 0;
    return side ? side->data : NULL;
}
