"""Segments: the encoded pictures of one shard in a file of their own, and how they are read again.

A segment is a NUT file, which holds every codec and any time base as it is. It is written under a temporary name, forced to
the disk and renamed: what is there is whole.
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

from codecvsr.bitstream.encode import PRESETS
from codecvsr.bitstream.picture_encoder import PictureEncoder, VideoFormat
from codecvsr.errors import InputError, OutputError
from codecvsr.video.probe import Colour

Codec = Literal["h264", "hevc", "ffv1"]

ENCODERS: dict[str, str] = {"h264": "libx264", "hevc": "libx265", "ffv1": "ffv1"}

#: Pixel formats of each codec by (bits, chroma): what ``auto`` may choose, and what can be asked for.
PIXEL_FORMATS: dict[str, tuple[str, ...]] = {
    "h264": ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"),
    "hevc": ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"),
    "ffv1": ("yuv420p", "yuv422p", "yuv444p", "bgr0"),
}

_THREADS = 4  #: the number changes the bytes of x264 (reproducibly), so it is fixed and not the machine's
_MAX_SIDE = 16384  # what x264 and x265 take
_MIN_HEVC_SIDE = 64  # x265 writes beyond its buffers below


@dataclass(frozen=True)
class EncoderOptions:
    """What decides the bytes of the video, with its pictures.

    Attributes:
        codec: "h264", "hevc" or "ffv1" (lossless).
        crf: constant rate factor, 0 to 51; nothing for FFV1.
        preset: of x264 or x265; nothing for FFV1.
        pixel_format: one of :data:`PIXEL_FORMATS`.
    """

    codec: Codec = "h264"
    crf: float = 18
    preset: str = "medium"
    pixel_format: str = "yuv420p"

    def __post_init__(self) -> None:
        """Refuse what the encoder does not know."""
        if self.codec not in ENCODERS:
            raise InputError(f"the codec {self.codec!r} is unknown; use {', '.join(ENCODERS)}.")
        if not 0 <= self.crf <= 51:
            raise InputError(f"a CRF of {self.crf:g} is outside 0 to 51.")
        if self.preset not in PRESETS:
            raise InputError(f"the preset {self.preset!r} is unknown; there are {', '.join(PRESETS)}.")
        if self.pixel_format not in PIXEL_FORMATS[self.codec]:
            known = ", ".join(PIXEL_FORMATS[self.codec])
            raise InputError(f"{self.codec} takes no pixel format {self.pixel_format!r} here; it takes {known}.")

    @property
    def parameters(self) -> dict[str, str]:
        """The encoder's options; those of x264 and x265 give the same bytes on every CPU and at every repetition."""
        if self.codec == "ffv1":
            return {"level": "3", "slicecrc": "1"}
        common = {"preset": self.preset, "crf": f"{self.crf:g}"}
        if self.codec == "h264":
            return {**common, "x264-params": "cpu-independent=1"}
        return {**common, "x265-params": "log-level=none:pools=none:frame-threads=1"}

    def check_size(self, height: int, width: int) -> None:
        """Refuse pictures the encoder cannot take.

        Raises:
            InputError: they are too large, too small, or odd where chroma is halved.
        """
        if self.codec != "ffv1" and max(height, width) > _MAX_SIDE:
            raise InputError(
                f"{width}x{height} is beyond what {self.codec} codes ({_MAX_SIDE}); choose a smaller size."
            )
        if self.codec == "hevc" and min(height, width) < _MIN_HEVC_SIDE:
            raise InputError(f"{width}x{height} is too small for HEVC here ({_MIN_HEVC_SIDE} at least); use h264.")


def even_sides(pixel_format: str) -> tuple[int, int]:
    """What height and width must be multiples of."""
    return (2 if "420" in pixel_format else 1), (2 if "420" in pixel_format or "422" in pixel_format else 1)


def usual_pixel_format(codec: str, source: str) -> str:
    """8 bits with the chroma the source has: 4:2:2 and 4:4:4 stay, RGB becomes 4:4:4, the rest 4:2:0; FFV1 codes RGB."""
    if codec == "ffv1":
        return "bgr0"  # lossless for what the network makes, which is RGB
    if av.VideoFormat(source).is_rgb:
        return "yuv444p"
    return next((f"yuv{chroma}p" for chroma in ("422", "444") if chroma in source), "yuv420p")


@dataclass(frozen=True)
class PictureFormat:
    """How the coded pictures are to be shown."""

    height: int
    width: int
    time_base: Fraction
    rate: Fraction
    colour: Colour
    aspect: Fraction  #: of a pixel


class SegmentWriter:
    """Encodes pictures into a segment; :meth:`close` makes it durable under its name, leaving without it removes it."""

    def __init__(self, path: Path, options: EncoderOptions, form: PictureFormat) -> None:
        """Begin the file, under a temporary name."""
        self._path, self._part = path, path.with_name(f".{path.name}.{unique()}.part")
        self.frames = 0
        self._file = self._part.open("wb")
        self._container = av.open(self._file, "w", format="nut")
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
        self._encoder = PictureEncoder(
            self._container, ENCODERS[options.codec], video_format, options.parameters, threads=_THREADS
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()  # on a full disk this fails as well; the container's trailer is of no use any more
        finally:
            self._part.unlink(missing_ok=True)

    def add(self, rgb: npt.NDArray[np.uint8], pts: int) -> None:
        """Encode (H, W, 3) uint8 RGB, shown from ``pts`` on.

        Raises:
            OSError: the file cannot be written.
        """
        self._encoder.add(rgb, pts)
        self.frames += 1

    def close(self) -> None:
        """Finish the file, force it to the disk and give it its name.

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
            os.fsync(self._file.fileno())
            self._file.close()
        os.replace(self._part, self._path)
        sync_folder(self._path.parent)


def unique() -> str:
    """Tells this process from all others that may write to the same folder, those of other machines included."""
    return f"{platform.node()}-{os.getpid()}"


def sync_folder(folder: Path) -> None:
    """Force a folder's names to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def count_frames(path: Path) -> int:
    """How many pictures a segment holds; 0 where it is not a whole one."""
    try:
        return len(_ranks(path))
    except (av.FFmpegError, OSError, IndexError):
        return 0


def read_packets(paths: Sequence[Path], time_base: Fraction, pts: npt.NDArray[np.int64]) -> Iterator[av.Packet]:
    """The packets of all segments, one after the other, with the timestamps of one stream.

    The decoding times of the segments would overlap where they meet: they are counted anew over the whole video. The
    packet at place j of the coding order is decoded when the picture at place j - d is shown, d being the most places by
    which any picture is coded too late to be shown in the order of coding.

    Args:
        paths: segments in order.
        time_base: unit of ``pts``.
        pts: (T,) when each of their pictures is shown, increasing.

    Raises:
        OutputError: they do not hold T pictures.
    """
    ranks = [_ranks(path) for path in paths]
    if sum(map(len, ranks)) != len(pts):
        raise OutputError(
            f"{paths[0].parent}: holds {sum(map(len, ranks))} of {len(pts)} frames; give -y to start over."
        )
    delay = max(int((np.arange(len(rank)) - rank).max(initial=0)) for rank in ranks)
    head = int(pts[min(delay, len(pts) - 1)] - pts[0])
    first = 0
    for path, rank in zip(paths, ranks, strict=True):
        with av.open(f"file:{path}", format="nut") as container:
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
    """For each packet of a segment, in the order of coding, the place of its picture in the order of showing.

    The muxer may have moved the times, all by the same amount, and made their unit finer; their order is what counts.
    """
    with av.open(f"file:{path}", format="nut") as container:
        shown = [packet.pts for packet in container.demux(container.streams.video[0]) if packet.size]
    return np.argsort(np.argsort(np.array(shown, np.int64)))
