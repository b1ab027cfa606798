"""Plain decoding, pictures only: high-resolution sources may be of any codec FFmpeg decodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream import color
from codecvsr.bitstream.damage import SoundFrames, cut_short, end_of_stream
from codecvsr.bitstream.frame import NO_VECTORS, CodedFrame
from codecvsr.bitstream.reader import open_video, packets_from
from codecvsr.bitstream.refusals import check_picture


class VideoPictures:
    """The pictures of a video file, one after the other, as (H, W, 3) uint8 RGB; iterate it once or more.

    Attributes:
        path: the file.
        damage: after an iteration, why it ended before the file should have; empty where it did not.
    """

    def __init__(self, path: Path, *, allow_damaged: bool = False, begin: int | None = None) -> None:
        """Nothing is opened yet.

        Args:
            path: the file.
            allow_damaged: end at the first damaged picture instead of raising.
            begin: decode from the key picture shown at this time (in units of the stream's time base) on, leaving out
                what comes after it but is shown before; no picture comes out where it cannot be found.
        """
        self.path = path
        self.damage = ""
        self._allow_damaged = allow_damaged
        self._begin = begin

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Decode from the start.

        Raises:
            InputError: the file cannot be opened, or holds no pictures.
            DamagedInputError: it is truncated or corrupt and ``allow_damaged`` is false.
        """
        self.damage = ""
        yield from map(color.to_rgb, self._sound())

    def coded(self) -> Iterator[CodedFrame]:
        """Decode from the start into frames that know their pixels and their time, and nothing of how they were coded.

        Raises:
            InputError: the file cannot be opened, or holds no pictures.
            UnsupportedInputError: it is interlaced, or its picture size changes.
            DamagedInputError: it is truncated or corrupt and ``allow_damaged`` is false.
        """
        self.damage = ""
        size: tuple[int, int] | None = None
        for index, (picture, seconds) in enumerate(self._timed()):
            check_picture(self.path, index, (picture.width, picture.height), size, bool(picture.interlaced_frame))
            size = picture.width, picture.height
            yield CodedFrame(index, index, seconds, "I", False, False, NO_VECTORS, None, picture)

    def _sound(self) -> Iterator[av.VideoFrame]:
        for picture, _ in self._timed():
            yield picture

    def _timed(self) -> Iterator[tuple[av.VideoFrame, float | None]]:
        """Sound pictures and the seconds they are shown at."""
        container, stream = open_video(self.path)
        sound: SoundFrames[tuple[av.VideoFrame, float | None]] = SoundFrames()
        broken = None
        with container:
            if stream.codec_context.name == "h264":
                stream.codec_context.thread_count = 1  # with several slice threads its decoder keeps errors to itself
            seconds: list[float | None] = []  # of each packet
            for picture in self._decode(container, stream, seconds):
                number = picture.pts if picture.pts is not None and 0 <= picture.pts < len(seconds) else None
                shown = None if number is None else seconds[number]
                if self._begin is not None and shown is not None and seconds[0] is not None and shown < seconds[0]:
                    continue
                if picture.is_corrupt:
                    self.damage, broken = self.damage or "a picture cannot be decoded in full", number
                    break
                yield from sound.add((picture, shown), number, shown)
        if self._begin is not None and not seconds:
            return
        if self.damage and broken is None:
            broken = len(seconds) - 1
        self.damage = self.damage or cut_short(self.path)
        yield from end_of_stream(self.path, sound, self.damage, broken, allow_damaged=self._allow_damaged)

    def _decode(
        self,
        container: av.container.InputContainer,
        stream: av.video.stream.VideoStream,
        seconds: list[float | None],
    ) -> Iterator[av.VideoFrame]:
        """Pictures whose ``pts`` is the number of their packet; ends where a packet is broken and sets ``damage``."""
        context = stream.codec_context
        try:
            for packet in packets_from(container, stream, self._begin):
                if packet.size:
                    seconds.append(None if packet.pts is None else float(packet.pts * packet.time_base))
                    if packet.is_corrupt:
                        self.damage = f"packet {len(seconds) - 1} is incomplete"
                        break
                    packet.pts = packet.dts = len(seconds) - 1
                    yield from context.decode(packet)
        except av.FFmpegError as error:
            self.damage = f"packet {len(seconds) - 1}: {error.strerror}"
        try:
            yield from context.decode(None)
        except av.FFmpegError as error:
            self.damage = self.damage or f"at its end: {error.strerror}"
