"""Segments: files of the encoded pictures of one chunk.

A segment is a NUT file, which supports every codec and time base. It is written under a temporary name, synced to the disk and
renamed: a file of that name is complete.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.containers import open_input
from codecvsr.bitstream.encode import PRESETS
from codecvsr.bitstream.picture_encoder import PictureEncoder, VideoFormat
from codecvsr.durable import sync_file, sync_folder
from codecvsr.errors import InputError, OutputError
from codecvsr.video.scan import Colour

Codec = Literal["h264", "hevc", "ffv1"]

ENCODERS: dict[str, str] = {"h264": "libx264", "hevc": "libx265", "ffv1": "ffv1"}

#: Supported pixel formats of each codec.
PIXEL_FORMATS: dict[str, tuple[str, ...]] = {
    "h264": ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"),
    "hevc": ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"),
    "ffv1": ("yuv420p", "yuv422p", "yuv444p", "bgr0"),
}

_THREADS = 4  #: fixed, because the bytes of x264 depend on it
_MAX_SIDE = 16384  # limit of x264 and x265
_MIN_HEVC_SIDE = 64  # x265 writes beyond its buffers below


@dataclass(frozen=True)
class EncoderOptions:
    """Encoder options: they decide, with the pictures, the bytes of the video.

    Attributes:
        codec: "h264", "hevc" or "ffv1" (lossless).
        crf: constant rate factor, 0 to 51; unused for FFV1.
        preset: of x264 or x265; unused for FFV1.
        pixel_format: one of :data:`PIXEL_FORMATS`.
    """

    codec: Codec = "h264"
    crf: float = 18
    preset: str = "medium"
    pixel_format: str = "yuv420p"

    def __post_init__(self) -> None:
        """Raises InputError for values that the encoder does not support."""
        if self.codec not in ENCODERS:
            raise InputError(f"the codec {self.codec!r} is unknown; use {', '.join(ENCODERS)}.")
        if not 0 <= self.crf <= 51:
            raise InputError(f"a CRF of {self.crf:g} is outside 0 to 51.")
        if self.preset not in PRESETS:
            raise InputError(f"the preset {self.preset!r} is unknown; there are {', '.join(PRESETS)}.")
        if self.pixel_format not in PIXEL_FORMATS[self.codec]:
            known = ", ".join(PIXEL_FORMATS[self.codec])
            raise InputError(
                f"{self.codec} does not support pixel format {self.pixel_format!r} here; choose one of {known}."
            )

    @property
    def parameters(self) -> dict[str, str]:
        """The encoder's options; x264 and x265 make the same bytes on every CPU and in every run."""
        if self.codec == "ffv1":
            return {"level": "3", "slicecrc": "1"}
        common = {"preset": self.preset, "crf": f"{self.crf:g}"}
        if self.codec == "h264":
            return {**common, "x264-params": "cpu-independent=1"}
        return {**common, "x265-params": "log-level=none:pools=none:frame-threads=1"}

    def check_size(self, height: int, width: int) -> None:
        """Checks the size of the pictures.

        Raises:
            InputError: they are too large or too small for the encoder.
        """
        if self.codec != "ffv1" and max(height, width) > _MAX_SIDE:
            raise InputError(
                f"{width}x{height} is beyond what {self.codec} codes ({_MAX_SIDE}); choose a smaller size."
            )
        if self.codec == "hevc" and min(height, width) < _MIN_HEVC_SIDE:
            raise InputError(f"{width}x{height} is too small for HEVC here ({_MIN_HEVC_SIDE} at least); use h264.")


def even_sides(pixel_format: str) -> tuple[int, int]:
    """Returns the numbers that height and width must be multiples of."""
    return (2 if "420" in pixel_format else 1), (2 if "420" in pixel_format or "422" in pixel_format else 1)


def usual_pixel_format(codec: str, source: str) -> str:
    """Returns 8 bits and the chroma of the source: 4:2:2 and 4:4:4 stay, RGB becomes 4:4:4, all others 4:2:0; FFV1 codes RGB."""
    if codec == "ffv1":
        return "bgr0"  # lossless for what the network makes, which is RGB
    if av.VideoFormat(source).is_rgb:
        return "yuv444p"
    return next((f"yuv{chroma}p" for chroma in ("422", "444") if chroma in source), "yuv420p")


@dataclass(frozen=True)
class PictureFormat:
    """How the encoded pictures are displayed."""

    height: int
    width: int
    time_base: Fraction
    rate: Fraction
    colour: Colour
    aspect: Fraction  #: of a pixel


def picture_encoder(
    container: av.container.OutputContainer, options: EncoderOptions, form: PictureFormat
) -> PictureEncoder:
    """Adds the stream of an output's pictures to an open container without streams."""
    colour = form.colour
    video_format = VideoFormat(
        form.height,
        form.width,
        form.rate,
        time_base=form.time_base,
        pixel_format=options.pixel_format,
        matrix=colour.matrix,
        primaries=colour.primaries,
        transfer=colour.transfer,
        full_range=colour.full_range,
        pixel_aspect=form.aspect,
    )
    return PictureEncoder(container, ENCODERS[options.codec], video_format, options.parameters, threads=_THREADS)


class SegmentWriter:
    """Encodes pictures into a segment; :meth:`close` makes it durable; leaving the context without it removes the file."""

    def __init__(self, path: Path, options: EncoderOptions, form: PictureFormat) -> None:
        """Creates the file under a temporary name."""
        self._path, self._part = path, path.with_name(f".{path.name}.{unique()}.part")
        self.frames = 0
        self._file = self._part.open("wb")
        self._container = av.open(self._file, "w", format="nut")
        self._encoder = picture_encoder(self._container, options, form)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()  # fails on a full disk too; the container needs no trailer any more
        finally:
            self._part.unlink(missing_ok=True)

    def add(self, rgb: npt.NDArray[np.uint8], pts: int) -> None:
        """Encodes (H, W, 3) uint8 RGB, displayed from ``pts`` on.

        Raises:
            OSError: the file cannot be written.
        """
        self._encoder.add(rgb, pts)
        self.frames += 1

    def close(self) -> None:
        """Finishes the file, syncs it to the disk and renames it.

        Raises:
            OSError: the file cannot be written.
            OutputError: the encoder lost a picture.
        """
        self._encoder.finish()
        self._container.close()
        if self._encoder.packets != self.frames:
            raise OutputError(f"{self._path}: the encoder gave {self._encoder.packets} pictures for {self.frames}.")
        if not self._file.closed:
            self._file.flush()
            sync_file(self._file.fileno())
            self._file.close()
        os.replace(self._part, self._path)
        sync_folder(self._path.parent)


def unique() -> str:
    """Returns a name that no other process has, on this or another machine that writes to the same folder."""
    return f"{platform.node()}-{os.getpid()}"


def count_frames(path: Path) -> int:
    """Returns the number of pictures of a segment; 0 if it is incomplete."""
    try:
        return len(_ranks(path))
    except (av.FFmpegError, OSError, IndexError):
        return 0


def read_packets(paths: Sequence[Path], time_base: Fraction, pts: npt.NDArray[np.int64]) -> Iterator[av.Packet]:
    """Yields the packets of all segments with the timestamps of one stream.

    The decoding times of neighbouring segments overlap, so they are computed anew: packet j in coding order is decoded at the
    display time of picture j - d. The delay d is the maximum, over all pictures, of coding position minus display position.

    Args:
        paths: segments in order.
        time_base: unit of ``pts``.
        pts: (T,) display times of their pictures, increasing.

    Raises:
        OutputError: they do not have T pictures.
    """
    ranks = [_ranks(path) for path in paths]
    if sum(map(len, ranks)) != len(pts):
        raise OutputError(f"{paths[0].parent}: has {sum(map(len, ranks))} of {len(pts)} frames; use -y to start over.")
    delay = max(int((np.arange(len(rank)) - rank).max(initial=0)) for rank in ranks)
    head = int(pts[min(delay, len(pts) - 1)] - pts[0])
    first = 0
    for path, rank in zip(paths, ranks, strict=True):
        with open_input(path, format="nut") as container:
            packets = (packet for packet in container.demux(container.streams.video[0]) if packet.size)
            for place, packet in enumerate(packets):
                shown, coded = first + int(rank[place]), first + place
                packet.time_base = time_base
                packet.pts = int(pts[shown])
                packet.dts = int(pts[coded - delay]) if coded >= delay else int(pts[coded]) - head
                packet.duration = int(pts[shown + 1] - pts[shown]) if shown + 1 < len(pts) else 0
                yield packet
        first += len(rank)


def _ranks(path: Path) -> npt.NDArray[np.int64]:
    """Returns, for each packet of a segment in coding order, the position of its picture in display order.

    Only the order of the times counts: the muxer may have shifted all by the same amount and refined their unit.
    """
    with open_input(path, format="nut") as container:
        shown = [packet.pts for packet in container.demux(container.streams.video[0]) if packet.size]
    return np.argsort(np.argsort(np.array(shown, np.int64)))
