#include "cvsr_reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libavutil/motion_vector.h>
#include <libavutil/pixdesc.h>
#include <libavutil/video_enc_params.h>

/* The decoder holds back at most 16 pictures; a frame that belongs to an older packet than this is not believed. */
#define PACKETS_KEPT 1024

#define MACROBLOCK 16

struct packet_facts {
    int64_t pts;
    int is_reference, is_idr;
};

struct cvsr_reader {
    AVFormatContext *container;
    AVCodecContext *decoder;
    AVStream *stream; /* NULL: the file has no video */
    AVPacket *packet;
    AVFrame *frame;
    struct packet_facts facts[PACKETS_KEPT]; /* of packet i at i % PACKETS_KEPT */
    int64_t packets;
    int nal_length_size; /* 0: Annex B start codes */
    int is_draining, is_damaged;
    uint8_t *vectors;
    size_t vectors_allocated;
    int8_t *qp;
    size_t qp_allocated;
    char message[256];
};

static void say(cvsr_reader *reader, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(reader->message, sizeof reader->message, format, values);
    va_end(values);
}

static void damaged(cvsr_reader *reader, int64_t packet, int code)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, text, sizeof text);
    say(reader, "packet %" PRId64 ": %s", packet, text);
    reader->is_damaged = 1;
}

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

/* Which NAL unit comes first is not fixed: parameter sets and SEI messages may precede the slices, so the first slice is
 * looked for (ITU-T H.264 clause 7.3.1 and table 7-1). */
static void read_slice_header(const uint8_t *data, size_t size, int length_size, struct packet_facts *facts)
{
    size_t at = 0;
    facts->is_reference = facts->is_idr = 0;
    for (;;) {
        size_t header_at;
        if (length_size) {
            size_t length = 0;
            if (size - at <= (size_t)length_size)
                return;
            for (int i = 0; i < length_size; i++)
                length = length << 8 | data[at + i];
            header_at = at + length_size;
            at = length > size - header_at ? size : header_at + length;
        } else {
            while (at + 3 < size && (data[at] || data[at + 1] || data[at + 2] != 1))
                at++;
            if (at + 3 >= size)
                return;
            at = header_at = at + 3;
        }
        const int nal_ref_idc = data[header_at] >> 5 & 3, nal_unit_type = data[header_at] & 31;
        if (nal_unit_type == 1 || nal_unit_type == 2 || nal_unit_type == 5) {
            facts->is_reference = nal_ref_idc != 0;
            facts->is_idr = nal_unit_type == 5;
            return;
        }
    }
}

int32_t cvsr_reader_abi(void)
{
    return CVSR_READER_ABI;
}

const char *cvsr_reader_libavcodec(void)
{
    static char text[32];
    const unsigned version = avcodec_version();
    snprintf(text, sizeof text, "%u.%u.%u", version >> 16, version >> 8 & 255, version & 255);
    return text;
}

static AVStream *best_video(AVFormatContext *container)
{
    const int best = av_find_best_stream(container, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (best >= 0 && !(container->streams[best]->disposition & AV_DISPOSITION_ATTACHED_PIC))
        return container->streams[best];
    for (unsigned i = 0; i < container->nb_streams; i++) {
        AVStream *stream = container->streams[i];
        if (stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
            !(stream->disposition & AV_DISPOSITION_ATTACHED_PIC))
            return stream;
    }
    return NULL;
}

/* Returns 0 or a libav error code. */
static int open_container(cvsr_reader *reader, const char *path)
{
    /* The protocol is named, so that no path can be taken for a network address or a libav pseudo-protocol. */
    const size_t size = strlen(path) + sizeof "file:";
    char *url = malloc(size);
    if (!url)
        return AVERROR(ENOMEM);
    snprintf(url, size, "file:%s", path);
    int code = avformat_open_input(&reader->container, url, NULL, NULL);
    free(url);
    if (code < 0)
        return code;
    code = avformat_find_stream_info(reader->container, NULL);
    if (code < 0)
        return code;

    reader->stream = best_video(reader->container);
    for (unsigned i = 0; i < reader->container->nb_streams; i++)
        if (reader->container->streams[i] != reader->stream)
            reader->container->streams[i]->discard = AVDISCARD_ALL;
    if (reader->stream) {
        const AVCodecParameters *parameters = reader->stream->codecpar;
        if (parameters->extradata_size >= 5 && parameters->extradata[0] == 1) /* an avcC box */
            reader->nal_length_size = (parameters->extradata[4] & 3) + 1;
    }
    reader->packet = av_packet_alloc();
    reader->frame = av_frame_alloc();
    return reader->packet && reader->frame ? 0 : AVERROR(ENOMEM);
}

cvsr_reader *cvsr_reader_open(const char *path, char *error, size_t error_size)
{
    av_log_set_level(AV_LOG_QUIET);
    cvsr_reader *reader = calloc(1, sizeof *reader);
    const int code = reader ? open_container(reader, path) : AVERROR(ENOMEM);
    if (code < 0) {
        av_strerror(code, error, error_size);
        cvsr_reader_close(reader);
        return NULL;
    }
    return reader;
}

void cvsr_reader_stream(const cvsr_reader *reader, cvsr_stream *stream)
{
    memset(stream, 0, sizeof *stream);
    stream->index = -1;
    stream->codec = "none";
    if (reader->stream) {
        stream->index = reader->stream->index;
        stream->codec = avcodec_get_name(reader->stream->codecpar->codec_id);
        stream->declared_frames = reader->stream->nb_frames;
        stream->time_base_num = reader->stream->time_base.num;
        stream->time_base_den = reader->stream->time_base.den;
        stream->extradata = reader->stream->codecpar->extradata;
        stream->extradata_size = stream->extradata ? reader->stream->codecpar->extradata_size : 0;
    }
}

static int open_decoder(cvsr_reader *reader)
{
    const AVCodec *codec =
        reader->stream ? avcodec_find_decoder(reader->stream->codecpar->codec_id) : NULL;
    if (!codec) {
        say(reader, "this libavcodec has no decoder for it");
        return -1;
    }
    reader->decoder = avcodec_alloc_context3(codec);
    if (!reader->decoder || avcodec_parameters_to_context(reader->decoder, reader->stream->codecpar) < 0) {
        say(reader, "out of memory");
        return -1;
    }
    reader->decoder->thread_count = 1;
    reader->decoder->thread_type = FF_THREAD_SLICE;
    reader->decoder->flags2 |= AV_CODEC_FLAG2_EXPORT_MVS;
    reader->decoder->export_side_data |= AV_CODEC_EXPORT_DATA_MVS | AV_CODEC_EXPORT_DATA_VIDEO_ENC_PARAMS;
    const int code = avcodec_open2(reader->decoder, codec, NULL);
    if (code < 0) {
        char text[AV_ERROR_MAX_STRING_SIZE] = "";
        av_strerror(code, text, sizeof text);
        say(reader, "the decoder cannot be opened: %s", text);
        return -1;
    }
    return 0;
}

/* Hand the decoder one more packet, or tell it that there are none. */
static void feed(cvsr_reader *reader)
{
    int code = reader->is_damaged ? AVERROR_EOF : av_read_frame(reader->container, reader->packet);
    if (code < 0) {
        if (code != AVERROR_EOF)
            damaged(reader, reader->packets, code);
        reader->is_draining = 1;
        avcodec_send_packet(reader->decoder, NULL);
        return;
    }
    AVPacket *packet = reader->packet;
    if (packet->stream_index == reader->stream->index && packet->size > 0) {
        const int64_t number = reader->packets++;
        struct packet_facts *facts = &reader->facts[number % PACKETS_KEPT];
        facts->pts = packet->pts;
        read_slice_header(packet->data, (size_t)packet->size, reader->nal_length_size, facts);
        if (packet->flags & AV_PKT_FLAG_CORRUPT) {
            say(reader, "packet %" PRId64 " is incomplete", number);
            reader->is_damaged = 1;
        } else {
            /* The decoder gives each picture the time of its packet: the packet's number brings them together. */
            packet->pts = packet->dts = number;
            code = avcodec_send_packet(reader->decoder, packet);
            if (code < 0)
                damaged(reader, number, code);
        }
    }
    av_packet_unref(packet);
}

/* Fill reader->vectors; the exported struct has padding, the records have none. */
static int64_t pack_vectors(cvsr_reader *reader)
{
    size_t count;
    const AVMotionVector *exported = cvsr_reader_raw_vectors(reader, &count);
    if (reserve((void **)&reader->vectors, &reader->vectors_allocated, count * CVSR_VECTOR_BYTES) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        uint8_t *record = reader->vectors + i * CVSR_VECTOR_BYTES;
        memcpy(record, &exported[i].source, 4);
        record[4] = exported[i].w;
        record[5] = exported[i].h;
        memcpy(record + 6, &exported[i].dst_x, 2);
        memcpy(record + 8, &exported[i].dst_y, 2);
        memcpy(record + 10, &exported[i].motion_x, 4);
        memcpy(record + 14, &exported[i].motion_y, 4);
        memcpy(record + 18, &exported[i].motion_scale, 2);
    }
    return (int64_t)count;
}

/* Fill reader->qp with the quantiser of each macroblock. Returns 1, 0 where none is exported, -1 out of memory. */
static int pack_qp(cvsr_reader *reader, int32_t rows, int32_t columns)
{
    const AVFrameSideData *side = av_frame_get_side_data(reader->frame, AV_FRAME_DATA_VIDEO_ENC_PARAMS);
    AVVideoEncParams *parameters = side ? (AVVideoEncParams *)side->data : NULL;
    if (!parameters || parameters->type != AV_VIDEO_ENC_PARAMS_H264 || !parameters->nb_blocks)
        return 0;
    const size_t cells = (size_t)rows * (size_t)columns;
    if (reserve((void **)&reader->qp, &reader->qp_allocated, cells) < 0)
        return -1;
    memset(reader->qp, 0, cells);
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

static int describe(cvsr_reader *reader, cvsr_frame *out)
{
    const AVFrame *frame = reader->frame;
    memset(out, 0, sizeof *out);
    out->pixel_format = av_get_pix_fmt_name(frame->format);
    for (int i = 0; i < 4; i++) {
        out->data[i] = frame->data[i];
        out->linesize[i] = frame->linesize[i];
    }
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
    if (frame->pts >= 0 && frame->pts < reader->packets && frame->pts >= reader->packets - PACKETS_KEPT) {
        const struct packet_facts *facts = &reader->facts[frame->pts % PACKETS_KEPT];
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

int32_t cvsr_reader_next(cvsr_reader *reader, cvsr_frame *out)
{
    if (!reader->decoder && open_decoder(reader) < 0) {
        avcodec_free_context(&reader->decoder);
        return -1;
    }
    for (;;) {
        const int code = avcodec_receive_frame(reader->decoder, reader->frame);
        if (code >= 0) {
            if (describe(reader, out) < 0) {
                say(reader, "out of memory");
                return -1;
            }
            return 1;
        }
        if (code == AVERROR_EOF)
            return 0;
        if (code != AVERROR(EAGAIN)) {
            if (!reader->is_damaged)
                damaged(reader, reader->packets - 1, code);
            if (reader->is_draining)
                return 0;
        }
        feed(reader);
    }
}

int64_t cvsr_reader_packets(const cvsr_reader *reader)
{
    return reader->packets;
}

int32_t cvsr_reader_is_damaged(const cvsr_reader *reader)
{
    return reader->is_damaged;
}

const char *cvsr_reader_message(const cvsr_reader *reader)
{
    return reader->message;
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

void cvsr_reader_close(cvsr_reader *reader)
{
    if (!reader)
        return;
    av_frame_free(&reader->frame);
    av_packet_free(&reader->packet);
    avcodec_free_context(&reader->decoder);
    avformat_close_input(&reader->container);
    free(reader->vectors);
    free(reader->qp);
    free(reader);
}
