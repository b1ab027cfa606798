#include "internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cvsr_reader_say(cvsr_reader *reader, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(reader->message, sizeof reader->message, format, values);
    va_end(values);
}

void cvsr_reader_set_damaged(cvsr_reader *reader, int64_t packet, int code)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, text, sizeof text);
    cvsr_reader_say(reader, "packet %" PRId64 ": %s", packet, text);
    reader->is_damaged = 1;
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

cvsr_reader *cvsr_reader_open(const char *path, char *error, size_t error_size)
{
    av_log_set_level(AV_LOG_QUIET);
    cvsr_reader *reader = calloc(1, sizeof *reader);
    const int code = reader ? cvsr_reader_open_container(reader, path) : AVERROR(ENOMEM);
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
        cvsr_reader_say(reader, "this libavcodec has no decoder for it");
        return -1;
    }
    reader->decoder = avcodec_alloc_context3(codec);
    if (!reader->decoder || avcodec_parameters_to_context(reader->decoder, reader->stream->codecpar) < 0) {
        cvsr_reader_say(reader, "out of memory");
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
        cvsr_reader_say(reader, "the decoder cannot be opened: %s", text);
        return -1;
    }
    return 0;
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
            if (cvsr_reader_describe(reader, out) < 0) {
                cvsr_reader_say(reader, "out of memory");
                return -1;
            }
            return 1;
        }
        if (code == AVERROR_EOF)
            return 0;
        if (code != AVERROR(EAGAIN)) {
            if (!reader->is_damaged)
                cvsr_reader_set_damaged(reader, reader->packets - 1, code);
            if (reader->is_draining)
                return 0;
        }
        cvsr_reader_feed(reader);
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
