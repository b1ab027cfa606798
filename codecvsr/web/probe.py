"""What an upload claims to be, before any of it is decoded; and the frames of it that are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.decode import open_video
from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.constants import SCALE
from codecvsr.errors import InputError, UnsupportedInputError
from codecvsr.video.probe import Media, scan
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters

_STEP = 2 * SCALE  # sides of a clip that is shrunk and coded as 4:2:0 are multiples of this
_MINIMUM = 64  # pixels each way of a clip that is shrunk


@dataclass(frozen=True)
class Facts:
    """What the container says. ``seconds`` is 0 where it does not know."""

    width: int
    height: int
    codec: str
    fps: Fraction
    seconds: float


def probe(clip: Path, parameters: Parameters, limits: Limits) -> Facts:
    """Open a clip and refuse what is too large.

    Raises:
        InputError: it is no video, or larger than allowed.
    """
    container, stream = open_video(clip)
    with container:
        context = stream.codec_context
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        rate = min(max(Fraction(rate).limit_denominator(1001), Fraction(1)), Fraction(240))
        width, height, codec = context.width, context.height, context.name
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    check_size(width, height, parameters, limits)
    return Facts(width, height, codec, rate, seconds)


def check_size(width: int, height: int, parameters: Parameters, limits: Limits) -> None:
    """Refuse frames whose result would be too large, or that leave nothing when they are shrunk.

    Raises:
        InputError: they would.
    """
    if parameters.crf is not None:
        if width * height > limits.output_pixels:
            raise InputError(
                f"its frames are {width}x{height}; at most {limits.output_pixels} pixels were expected. "
                "Shrink it, or choose another clip."
            )
        if min(width, height) < _MINIMUM:
            raise InputError(
                f"its frames are {width}x{height}; to be shrunk by {SCALE}, at least {_MINIMUM}x{_MINIMUM} were expected."
            )
    elif width * height * SCALE**2 > limits.output_pixels:
        raise InputError(
            f"its frames are {width}x{height} and would become {SCALE * width}x{SCALE * height}, more than the "
            f"{limits.output_pixels} pixels that are allowed. Choose a CRF: the clip is shrunk by {SCALE} first."
        )


def cropped_frames(clip: Path, parameters: Parameters, limits: Limits) -> Iterator[npt.NDArray[np.uint8]]:
    """The wanted frames as (H, W, 3) uint8 RGB, cut around the middle to sides that can be shrunk and coded.

    Args:
        clip: the file.
        parameters: which part of it.
        limits: how much of it at most.

    Raises:
        InputError: it cannot be decoded, a frame is too large, or nothing lies in the part asked for.
    """
    begin, given = 0.0, 0
    size: tuple[int, int] | None = None
    rate = probe(clip, parameters, limits).fps
    for frame in VideoPictures(clip).coded():
        now = float(frame.index / rate) if frame.pts_seconds is None else frame.pts_seconds
        if size is None:
            begin, size = now, (frame.height, frame.width)
            check_size(frame.width, frame.height, parameters, limits)
        if now - begin < parameters.start - 1e-6:
            continue
        if now - begin >= parameters.start + parameters.seconds - 1e-6 or given >= limits.frames:
            break
        yield _cropped(frame.rgb)
        given += 1
    if not given:
        raise InputError(f"no frame lies {parameters.start:g} seconds after its beginning; it is shorter.")


def wanted_frames(clip: Path, parameters: Parameters) -> int:
    """How many frames of a clip lie in the part asked for, by decoding it once.

    Raises:
        InputError: it cannot be decoded.
    """
    end = parameters.start + parameters.seconds
    try:
        return len(scan(Media.open(clip), start=parameters.start or None, end=end))
    except UnsupportedInputError as error:
        raise InputError(str(error)) from error


def _cropped(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    rows, columns = height // _STEP * _STEP, width // _STEP * _STEP
    top, left = (height - rows) // 2, (width - columns) // 2
    return rgb[top : top + rows, left : left + columns]
