/* From a file to packets: the container, its video stream, and what the NAL units of a packet say. */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Find the first slice: parameter sets and SEI messages may precede it (ITU-T H.264 clause 7.3.1 and table 7-1). */
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

int cvsr_reader_open_container(cvsr_reader *reader, const char *path)
{
    /* The protocol is named, so that libav reads no path as a network address or a protocol of its own. */
    const size_t size = strlen(path) + sizeof "file:";
    char *url = malloc(size);
    if (!url)
        return AVERROR(ENOMEM);
    snprintf(url, size, "file:%s", path);
    int code = avformat_open_input(&reader->container, url, NULL, NULL);
    free(url);
    if (code < 0)
        return code;
    /* In Matroska a damaged block of compressed subtitles costs all packets up to the next cluster: it must not be read. */
    for (unsigned i = 0; i < reader->container->nb_streams; i++)
        if (reader->container->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_SUBTITLE)
            reader->container->streams[i]->discard = AVDISCARD_ALL;
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

void cvsr_reader_feed(cvsr_reader *reader)
{
    int code = reader->is_damaged ? AVERROR_EOF : av_read_frame(reader->container, reader->packet);
    if (code < 0) {
        if (code != AVERROR_EOF)
            cvsr_reader_set_damaged(reader, reader->packets, code);
        reader->is_draining = 1;
        avcodec_send_packet(reader->decoder, NULL);
        return;
    }
    AVPacket *packet = reader->packet;
    if (packet->stream_index == reader->stream->index && packet->size > 0) {
        const int64_t number = reader->packets++;
        struct packet_facts *facts = &reader->facts[number % MAX_FACTS];
        facts->pts = packet->pts;
        read_slice_header(packet->data, (size_t)packet->size, reader->nal_length_size, facts);
        if (packet->flags & AV_PKT_FLAG_CORRUPT) {
            cvsr_reader_say(reader, "packet %" PRId64 " is incomplete", number);
            reader->is_damaged = 1;
        } else {
            /* The decoder copies the packet's time to its picture, so a number in its place links the two. */
            packet->pts = packet->dts = number;
            code = avcodec_send_packet(reader->decoder, packet);
            if (code < 0)
                cvsr_reader_set_damaged(reader, number, code);
        }
    }
    av_packet_unref(packet);
}
