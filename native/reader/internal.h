/* What the files of the reader share. */
#ifndef CVSR_READER_INTERNAL_H
#define CVSR_READER_INTERNAL_H

#include "cvsr_reader.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

/* Packets whose facts are stored. The decoder delays at most 16 pictures; a picture of an older packet gets no facts. */
#define MAX_FACTS 1024

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
    struct packet_facts facts[MAX_FACTS]; /* of packet i at i % MAX_FACTS */
    int64_t packets;
    int nal_length_size; /* 0: Annex B start codes */
    int is_draining, is_damaged;
    uint8_t *vectors;
    size_t vectors_allocated;
    int8_t *qp;
    size_t qp_allocated;
    char message[256];
};

/* Set the reader's message. */
void cvsr_reader_say(cvsr_reader *reader, const char *format, ...);

/* Note that packet number `packet` failed with a libav error code: nothing after it is read. */
void cvsr_reader_set_damaged(cvsr_reader *reader, int64_t packet, int code);

/* packets.c: open the file and choose its video stream. Returns 0 or a libav error code. */
int cvsr_reader_open_container(cvsr_reader *reader, const char *path);

/* packets.c: send the decoder one more packet, or start draining it where there are none. */
void cvsr_reader_feed(cvsr_reader *reader);

/* picture.c: describe the current picture. Returns 0, or -1 out of memory. */
int cvsr_reader_describe(cvsr_reader *reader, cvsr_frame *out);

#endif
