"""Plain decoding, pictures only: high-resolution sources may be of any codec FFmpeg decodes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream import color
from codecvsr.bitstream.reader import damage_error, open_video
from codecvsr.errors import DamagedInputError, InputError

_TOLERANCE_SECONDS = 0.25  # containers round durations; a missing tail shorter than this passes


class VideoPictures:
    """The pictures of a video file, one after the other, as (H, W, 3) uint8 RGB; iterate it once or more.

    Attributes:
        path: the file.
        damage: after an iteration, why it ended before the file should have; empty where it did not.
    """

    def __init__(self, path: Path, *, allow_damaged: bool = False) -> None:
        """Nothing is opened yet. ``allow_damaged``: end at the first damaged picture instead of raising."""
        self.path = path
        self.damage = ""
        self._allow_damaged = allow_damaged

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Decode from the start.

        Raises:
            InputError: the file cannot be opened, or holds no pictures.
            DamagedInputError: it is truncated or corrupt and ``allow_damaged`` is false.
        """
        self.damage = ""
        container, stream = open_video(self.path)
        count = 0
        with container:
            for picture in self._decode(container, stream):
                yield color.to_rgb(picture)
                count += 1
        if self.damage and count == 0:
            raise DamagedInputError(f"{self.path}: no picture of it can be decoded ({self.damage}); use a whole file.")
        if self.damage and not self._allow_damaged:
            raise damage_error(self.path, count, self.damage)
        if count == 0:
            raise InputError(f"{self.path}: the video stream holds no frames.")

    def _decode(
        self, container: av.container.InputContainer, stream: av.video.stream.VideoStream
    ) -> Iterator[av.VideoFrame]:
        context = stream.codec_context
        packets, end_seconds = 0, 0.0
        steps: list[int] = []  # between the timestamps of neighbouring pictures
        shown = None
        try:
            for packet in container.demux(stream):
                if not packet.size:
                    break
                if packet.is_corrupt:
                    self.damage = f"packet {packets} is incomplete"
                    break
                packets += 1
                if packet.pts is not None and packet.time_base is not None:
                    end_seconds = max(end_seconds, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                for picture in context.decode(packet):
                    if picture.is_corrupt:
                        self.damage = "a picture cannot be decoded in full"
                        return
                    if shown is not None and picture.pts is not None:
                        steps.append(picture.pts - shown)
                    shown = picture.pts
                    yield picture
        except av.FFmpegError as error:
            self.damage = f"packet {packets}: {error.strerror}"
        self.damage = self.damage or missing_tail(container, stream, packets, end_seconds)
        if not steps and stream.average_rate and stream.time_base:
            steps.append(round(1 / (stream.average_rate * stream.time_base)))
        yield from self._flush(context, shown, statistics.median(steps) if steps else None)

    def _flush(self, context: av.VideoCodecContext, shown: int | None, step: float | None) -> Iterator[av.VideoFrame]:
        """Pictures that the decoder held back to put them in display order.

        Where packets are missing, the pictures between the last ones may be among them: then this ends at the first jump
        of the timestamps (``shown`` is the last one before, ``step`` the usual distance), so that no gap is passed over.
        """
        try:
            for picture in context.decode(None):
                if self.damage:
                    if picture.pts is None or step is None:
                        return
                    if shown is not None and picture.pts - shown > 1.5 * step:
                        return
                    shown = picture.pts
                if picture.is_corrupt:
                    self.damage = self.damage or "the last pictures cannot be decoded in full"
                    return
                yield picture
        except av.FFmpegError as error:
            self.damage = self.damage or f"at its end: {error.strerror}"


def missing_tail(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, packets: int, end_seconds: float
) -> str:
    """What is missing at the end of a stream by its container's own account; empty where nothing is.

    MP4 counts its frames. Matroska and WebM state durations: the stream's in a tag, or the file's, which is the stream's
    where it is alone. A raw stream or a transport stream states nothing that a cut would contradict.

    Args:
        container: the file, read to its end.
        stream: its video stream.
        packets: video packets that were read.
        end_seconds: end of the last one shown, on the stream's clock.
    """
    if packets < stream.frames:
        return f"{packets} of {stream.frames} frames are there"
    if "matroska" not in container.format.name:
        return ""
    stated = _tag_seconds(stream.metadata.get("DURATION", ""))
    if stated is None and len(container.streams) == 1 and container.duration is not None:
        stated = container.duration / av.time_base
    if stated is not None and stated - end_seconds > _TOLERANCE_SECONDS:
        return f"{end_seconds:.2f} of {stated:.2f} seconds are there"
    return ""


def _tag_seconds(tag: str) -> float | None:
    """``"00:00:02.000000000"`` in seconds, None where the tag is not of this form."""
    try:
        hours, minutes, seconds = tag.split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return None
