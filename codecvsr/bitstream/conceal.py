"""Reading a damaged video to its end: what cannot be decoded is patched by the decoder or stands still, and is counted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av

from codecvsr.bitstream import h264
from codecvsr.bitstream.frame import NO_VECTORS, CodedFrame
from codecvsr.bitstream.reader import DECODER_OPTIONS, FRAME_TYPES, open_video, qps, vectors_of
from codecvsr.bitstream.refusals import check_picture
from codecvsr.errors import DamagedInputError


class ConcealedVideo:
    """The pictures of a video that may be damaged; iterate it once or more.

    A picture that is damaged in parts comes as libav patches it. For one that does not come at all, the one before it is
    shown again at its time, so that as many come out as the stream has packets. Those before the first picture that can be
    decoded are left out, for there is nothing to show.

    Attributes:
        path: the file.
        concealed: after an iteration, how many pictures were patched or shown again.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self.path = path
        self.concealed = 0

    def __iter__(self) -> Iterator[CodedFrame]:
        """Decode from the start, in display order.

        Raises:
            InputError: the file cannot be opened.
            UnsupportedInputError: it is interlaced, or its picture size changes.
            DamagedInputError: not one picture can be decoded.
        """
        self.concealed = 0
        last: CodedFrame | None = None
        index = 0
        for coded, missing in self._read():
            for decode_index, seconds in missing if last is not None else ():
                assert last is not None
                yield replace(
                    last, index=index, decode_index=decode_index, pts_seconds=seconds, type="P", is_reference=False,
                    is_idr=False, vectors=NO_VECTORS, qp=None,
                )  # fmt: skip
                self.concealed += 1
                index += 1
            if coded is not None:
                last = replace(coded, index=index)
                yield last
                index += 1
        if last is None:
            raise DamagedInputError(f"{self.path}: no picture of it can be decoded; use a whole file.")

    def _read(self) -> Iterator[tuple[CodedFrame | None, list[tuple[int, float]]]]:
        """Every picture that comes, with the packets (number, seconds) that ought to have been shown before it."""
        container, stream = open_video(self.path)
        with container:
            context = stream.codec_context
            is_h264 = context.name == "h264"
            if is_h264:
                context.thread_type = "SLICE"
                context.thread_count = 1
                context.options = dict(DECODER_OPTIONS)
            length_size = h264.length_prefix_size(context.extradata)
            sequence = h264.sequence_facts(context.extradata) if is_h264 else h264.UNKNOWN
            seconds: list[float | None] = []
            flags: list[tuple[bool, bool]] = []
            waiting: dict[int, float] = {}  # packets whose picture did not come yet
            size: tuple[int, int] | None = None
            count = 0
            for packet in self._packets(container, stream):
                try:
                    if packet is None:
                        shown = context.decode(None)
                    else:
                        at = None if packet.pts is None else float(packet.pts * packet.time_base)
                        if at is not None:
                            waiting[len(seconds)] = at
                        seconds.append(at)
                        flags.append(h264.picture_flags(bytes(packet), length_size) if is_h264 else (False, False))
                        packet.pts = packet.dts = len(seconds) - 1
                        shown = context.decode(packet)
                except av.FFmpegError:
                    continue  # its picture stays among those that wait
                for picture in shown:
                    number = picture.pts
                    if number is None or not 0 <= number < len(seconds):
                        continue
                    is_interlaced = bool(picture.interlaced_frame) or sequence.is_mbaff
                    check_picture(self.path, count, (picture.width, picture.height), size, is_interlaced)
                    size = picture.width, picture.height
                    self.concealed += bool(picture.is_corrupt)
                    waiting.pop(number, None)
                    time = seconds[number]
                    late = sorted((t, n) for n, t in waiting.items() if time is not None and t < time)
                    for _, n in late:
                        del waiting[n]
                    yield (
                        CodedFrame(
                            count, number, time, FRAME_TYPES.get(int(picture.pict_type), "P") if is_h264 else "I",
                            *flags[number], vectors_of(picture) if is_h264 else NO_VECTORS,
                            qps(picture) if is_h264 else None, picture, sequence.max_references,
                        ),
                        [(n, t) for t, n in late],
                    )  # fmt: skip
                    count += 1
            yield None, [(n, t) for t, n in sorted((t, n) for n, t in waiting.items())]

    def _packets(
        self, container: av.container.InputContainer, stream: av.video.stream.VideoStream
    ) -> Iterator[av.Packet | None]:
        """The packets that can be read, then None."""
        with contextlib.suppress(av.FFmpegError):  # what follows cannot be found any more
            yield from (packet for packet in container.demux(stream) if packet.size)
        yield None
