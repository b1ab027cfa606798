/* Print the motion vectors of an H.264 file as FFmpeg's example extract_mvs does: one line a vector, frames counted from 1
 * in display order. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/motion_vector.h>

#include "cvsr_reader.h"

static void print_vectors(const cvsr_reader *reader, int64_t frame_number)
{
    size_t count;
    const AVMotionVector *vectors = cvsr_reader_raw_vectors(reader, &count);
    for (size_t i = 0; i < count; i++) {
        const AVMotionVector *v = &vectors[i];
        printf("%" PRId64 ",%2" PRId32 ",%2d,%2d,%4d,%4d,%4d,%4d,0x%" PRIx64 ",%4" PRId32 ",%4" PRId32 ",%4d\n",
               frame_number, v->source, v->w, v->h, v->src_x, v->src_y, v->dst_x, v->dst_y, v->flags, v->motion_x,
               v->motion_y, v->motion_scale);
    }
}

int main(int argc, char **argv)
{
    char error[256] = "";
    if (argc != 2 || !strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
        fprintf(stderr, "usage: extract_mvs VIDEO\nPrints the motion vectors of an H.264 file as CSV.\n");
        return argc == 2 ? EXIT_SUCCESS : 2;
    }
    const char *path = argv[1];
    cvsr_reader *reader = cvsr_reader_open(path, error, sizeof error);
    if (!reader) {
        fprintf(stderr, "%s: not a readable media file (%s).\n", path, error);
        return EXIT_FAILURE;
    }
    cvsr_stream stream;
    cvsr_reader_stream(reader, &stream);
    if (strcmp(stream.codec, "h264")) {
        fprintf(stderr, "%s: an H.264 video was expected, its video codec is %s.\n", path, stream.codec);
        cvsr_reader_close(reader);
        return EXIT_FAILURE;
    }

    printf("framenum,source,blockw,blockh,srcx,srcy,dstx,dsty,flags,motion_x,motion_y,motion_scale\n");
    cvsr_frame frame;
    int64_t frames = 0;
    int32_t state;
    while ((state = cvsr_reader_next(reader, &frame)) == 1)
        print_vectors(reader, ++frames);

    int status = EXIT_SUCCESS;
    if (state < 0 || cvsr_reader_is_damaged(reader)) {
        fprintf(stderr, "%s: stopped after %" PRId64 " frames: %s.\n", path, frames, cvsr_reader_message(reader));
        status = EXIT_FAILURE;
    }
    cvsr_reader_close(reader);
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "extract_mvs: the output could not be written.\n");
        status = EXIT_FAILURE;
    }
    return status;
}
