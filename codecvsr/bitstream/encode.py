"""Compressing RGB frames to H.264 with the libx264 inside PyAV's wheel: no system FFmpeg is needed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Literal

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.containers import open_input
from codecvsr.bitstream.picture_encoder import PictureEncoder, VideoFormat
from codecvsr.errors import InputError, OutputError

Gop = Literal["default", "ldp"]

#: Of a stream that is made only for its motion: fine enough that vectors follow the picture and not its noise.
PROXY_CRF = 12

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")

#: x264 parameters of each GOP structure. ``default`` is the preset as it is (medium: 3 references, 3 B-frames with a
#: pyramid). ``ldp`` is low-delay IPPP: every frame is predicted from the one before it, without lookahead.
GOP_PARAMETERS: dict[Gop, dict[str, int]] = {
    "default": {},
    "ldp": {"bframes": 0, "ref": 1, "rc-lookahead": 0, "sync-lookahead": 0},
}

#: Always an option of x264. Its AVX-512 code for macroblock-tree rate control (core 165) reads uninitialised memory:
#: the same frames gave up to ten different streams. The code without it costs no measurable time at this size.
_REPRODUCIBLE = {"cpu-independent": 1}

_X264_LINE = re.compile(rb"x264 - (core \d+[^-\x00]*) - [^\x00]*?options: ([^\x00]*)")


@dataclass(frozen=True)
class EncodeSettings:
    """Settings that, with the frames and the x264 build, determine the bytes of a stream.

    Attributes:
        crf: constant rate factor, 0 (lossless) to 51.
        preset: one of :data:`PRESETS`.
        gop: key of :data:`GOP_PARAMETERS`.
        fps: frames per second. It matters: x264 spends fewer bits on a frame that is shown for a shorter time.
        bit_rate: mean bit rate in kbit/s instead of ``crf``, with peaks of 1.5 times and a buffer (VBV) of two seconds.
        threads: x264 threads. The number changes the bytes (reproducibly), so it is fixed and not the machine's.
    """

    crf: float
    preset: str = "medium"
    gop: Gop = "default"
    fps: Fraction = Fraction(24)
    bit_rate: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        """Raises InputError for values that x264 would replace silently."""
        if not 0 <= self.crf <= 51:
            raise InputError(f"a CRF of {self.crf:g} is outside 0 to 51.")
        if self.preset not in PRESETS:
            raise InputError(f"the preset {self.preset!r} is unknown; x264 has {', '.join(PRESETS)}.")
        if self.gop not in GOP_PARAMETERS:
            raise InputError(f"the GOP structure {self.gop!r} is unknown; use {' or '.join(GOP_PARAMETERS)}.")
        if not 0 < self.fps <= 1000:
            raise InputError(f"a frame rate of {self.fps} is not between 0 and 1000.")
        if self.bit_rate is not None and self.bit_rate < 1:
            raise InputError(f"a bit rate of {self.bit_rate} kbit/s is too low; at least 1 was expected.")

    @property
    def x264_parameters(self) -> str:
        """Parameters beyond preset and CRF in x264's ``key=value:key=value`` spelling."""
        parameters = {**_REPRODUCIBLE, **GOP_PARAMETERS[self.gop]}
        if self.bit_rate is not None:
            peak = -(-3 * self.bit_rate // 2)
            parameters |= {"bitrate": self.bit_rate, "vbv-maxrate": peak, "vbv-bufsize": 2 * self.bit_rate}
        return ":".join(f"{key}={value}" for key, value in parameters.items())


@dataclass(frozen=True)
class EncodeReport:
    """What was encoded, and by which encoder.

    Attributes:
        frames: pictures encoded.
        encoder: the program, such as ``"libx264 (PyAV)"``.
        x264: version of x264 as the stream states it (``"core 165 r3222 b35605a"``), or ``"unknown"``.
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
    """Encodes (H, W, 3) uint8 RGB frames into ``path`` as 4:2:0 BT.601 limited range, and declares that in the stream.

    Equal frames, settings and x264 build result in equal bytes, on any CPU. ``path`` is written in place: call this inside
    ``atomic_folder``.

    Raises:
        InputError: there are no frames, a size is odd, or a frame differs in size from the first.
        OutputError: the file cannot be written.
    """
    started = time.perf_counter()
    checked = checked_frames(frames)
    first = next(checked)
    video_format = VideoFormat(first.shape[0], first.shape[1], settings.fps)
    options = {"preset": settings.preset, "crf": f"{settings.crf:g}", "x264-params": settings.x264_parameters}
    try:
        with av.open(str(path), "w") as container:
            encoder = PictureEncoder(container, "libx264", video_format, options, threads=settings.threads)
            for index, rgb in enumerate(chain([first], checked)):
                encoder.add(rgb, index)
            encoder.finish()
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"{path}: encoding failed ({error.strerror or error}).") from error
    version = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return describe_stream(path, settings, f"libx264 (PyAV {av.__version__})", version, time.perf_counter() - started)


def checked_frames(frames: Iterable[npt.NDArray[np.uint8]]) -> Iterator[npt.NDArray[np.uint8]]:
    """Yields ``frames`` after checking that 4:2:0 video can represent them.

    Raises:
        InputError: there are no frames, a size is odd, or a frame differs in size from the first.
    """
    shape = None
    for index, rgb in enumerate(frames):
        if shape is None:
            shape = rgb.shape
            if shape[0] % 2 or shape[1] % 2:
                raise InputError(
                    f"frames of {shape[1]}x{shape[0]} cannot be coded as 4:2:0; multiples of 2 were expected."
                )
        if rgb.shape != shape:
            raise InputError(
                f"frame {index} is {rgb.shape[1]}x{rgb.shape[0]}, the first is {shape[1]}x{shape[0]}; "
                "one size was expected."
            )
        yield rgb
    if shape is None:
        raise InputError("there are no frames to encode.")


def describe_stream(
    path: Path, settings: EncodeSettings, encoder: str, libavcodec: str, seconds: float
) -> EncodeReport:
    """Reads the packets of a finished stream once and returns its report."""
    x264, options, size, count = "unknown", "", 0, 0
    with open_input(path) as container:
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
