"""Compressing RGB frames to H.264 with the libx264 inside PyAV's wheel: no system FFmpeg is needed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream import color
from codecvsr.errors import InputError, OutputError

Gop = Literal["default", "ldp"]

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")

#: x264 parameters of each GOP structure. ``default`` is the preset as it is (medium: 3 references, 3 B-frames with a
#: pyramid). ``ldp`` is low-delay IPPP: every frame is predicted from the one before it, and no frame is looked ahead at.
GOP_PARAMETERS: dict[Gop, dict[str, int]] = {
    "default": {},
    "ldp": {"bframes": 0, "ref": 1, "rc-lookahead": 0, "sync-lookahead": 0},
}

#: ITU-T H.273 code points written into the stream: SMPTE 170M (BT.601) and limited range.
_BT601, _LIMITED = 6, 1

#: Given to x264 always. Its AVX-512 code for macroblock-tree rate control (core 165) reads memory that was never written:
#: the same frames gave up to ten different streams. The exact code paths cost no measurable time at this size.
_EXACT = {"cpu-independent": 1}

_X264_LINE = re.compile(rb"x264 - (core \d+[^-\x00]*) - [^\x00]*?options: ([^\x00]*)")


@dataclass(frozen=True)
class EncodeSettings:
    """What decides the bytes of a stream, with its frames and the x264 build.

    Attributes:
        crf: constant rate factor, 0 (lossless) to 51.
        preset: one of :data:`PRESETS`.
        gop: key of :data:`GOP_PARAMETERS`.
        fps: frames per second. It matters: x264 spends fewer bits on a frame that is shown for a shorter time.
        threads: x264 threads. The number changes the bytes (reproducibly), so it is fixed and not the machine's.
    """

    crf: float
    preset: str = "medium"
    gop: Gop = "default"
    fps: Fraction = Fraction(24)
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse values that x264 would replace silently."""
        if not 0 <= self.crf <= 51:
            raise InputError(f"a CRF of {self.crf:g} is outside 0 to 51.")
        if self.preset not in PRESETS:
            raise InputError(f"the preset {self.preset!r} is unknown; x264 has {', '.join(PRESETS)}.")
        if self.gop not in GOP_PARAMETERS:
            raise InputError(f"the GOP structure {self.gop!r} is unknown; use {' or '.join(GOP_PARAMETERS)}.")
        if not 0 < self.fps <= 1000:
            raise InputError(f"a frame rate of {self.fps} is not between 0 and 1000.")

    @property
    def x264_parameters(self) -> str:
        """The parameters beyond preset and CRF in x264's ``key=value:key=value`` spelling."""
        return ":".join(f"{key}={value}" for key, value in {**_EXACT, **GOP_PARAMETERS[self.gop]}.items())


@dataclass(frozen=True)
class EncodeReport:
    """What an encoder did.

    Attributes:
        frames: pictures encoded.
        encoder: the program, such as ``"libx264 (PyAV)"``.
        x264: x264's version as the stream states it (``"core 165 r3222 b35605a"``), or ``"unknown"``.
        x264_options: every x264 parameter, as the stream states them.
        libavcodec: version of the libavcodec around x264.
        payload_bytes: size of the video without its container.
        bit_rate: kbit/s at the stream's frame rate.
        seconds: wall time.
    """

    frames: int
    encoder: str
    x264: str
    x264_options: str
    libavcodec: str
    payload_bytes: int
    bit_rate: float
    seconds: float


#: An encoder: frames, output, settings -> report. PyAV's is :func:`encode_h264`, the system's ``ffmpeg.encode_h264``.
Encoder = Callable[[Iterable[npt.NDArray[np.uint8]], Path, EncodeSettings], EncodeReport]


def encode_h264(frames: Iterable[npt.NDArray[np.uint8]], path: Path, settings: EncodeSettings) -> EncodeReport:
    """Encode (H, W, 3) uint8 RGB frames into ``path`` as 4:2:0 BT.601 limited range, so tagged in the stream.

    Equal frames, settings and x264 build give equal bytes, on any CPU. ``path`` is written in place: call it inside an atomic folder.

    Raises:
        InputError: there are no frames, a size is odd, or a frame differs in size from the first.
        OutputError: the file cannot be written.
    """
    started = time.perf_counter()
    count = 0
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=settings.fps)
            for rgb in checked_frames(frames):
                if count == 0:
                    _configure(stream, rgb.shape[0], rgb.shape[1], settings)
                picture = color.from_rgb(rgb)
                picture.pts, picture.time_base = count, 1 / settings.fps
                container.mux(stream.encode(picture))
                count += 1
            container.mux(stream.encode(None))
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"{path}: encoding failed ({error.strerror or error}).") from error
    version = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return describe_stream(path, settings, f"libx264 (PyAV {av.__version__})", version, time.perf_counter() - started)


def _configure(stream: av.video.stream.VideoStream, height: int, width: int, settings: EncodeSettings) -> None:
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base = 1 / settings.fps
    context.thread_count = settings.threads
    context.color_range, context.colorspace = _LIMITED, _BT601
    context.color_primaries, context.color_trc = _BT601, _BT601
    context.options = {"preset": settings.preset, "crf": f"{settings.crf:g}", "x264-params": settings.x264_parameters}


def checked_frames(frames: Iterable[npt.NDArray[np.uint8]]) -> Iterator[npt.NDArray[np.uint8]]:
    """Pass frames on, refusing what 4:2:0 video cannot hold.

    Raises:
        InputError: there are no frames, a size is odd, or a frame differs in size from the first.
    """
    shape = None
    for index, rgb in enumerate(frames):
        if shape is None:
            shape = rgb.shape
            if shape[0] % 2 or shape[1] % 2:
                raise InputError(f"frames of {shape[1]}x{shape[0]} cannot be coded as 4:2:0; even sizes were expected.")
        if rgb.shape != shape:
            raise InputError(
                f"frame {index} is {rgb.shape[1]}x{rgb.shape[0]}, those before it are {shape[1]}x{shape[0]}; "
                "one size was expected."
            )
        yield rgb
    if shape is None:
        raise InputError("there are no frames to encode.")


def describe_stream(
    path: Path, settings: EncodeSettings, encoder: str, libavcodec: str, seconds: float
) -> EncodeReport:
    """The report of a finished stream, by reading its packets once."""
    x264, options, size, count = "unknown", "", 0, 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        match = _X264_LINE.search(stream.codec_context.extradata or b"")
        for packet in container.demux(stream):
            if packet.size:
                size, count = size + packet.size, count + 1
                match = match or (_X264_LINE.search(bytes(packet)) if count == 1 else None)
    if match:
        x264, options = match[1].decode("ascii", "replace").strip(), match[2].decode("ascii", "replace").strip()
    bit_rate = 8 * size * float(settings.fps) / max(count, 1) / 1000
    return EncodeReport(count, encoder, x264, options, libavcodec, size, round(bit_rate, 3), round(seconds, 3))
