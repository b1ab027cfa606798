"""Probes an upload before decoding, and reads its requested frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.decode import open_video
from codecvsr.bitstream.deinterlace import Deinterlaced
from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.constants import SCALE
from codecvsr.errors import InputError, UnsupportedInputError
from codecvsr.video.probe import Media
from codecvsr.video.rotation import display_matrix
from codecvsr.video.scan import Scan, scan
from codecvsr.video.upright import upright
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters

_STEP = 2 * SCALE  # sides of a clip that is downsampled and coded as 4:2:0 are multiples of this
_MIN_SIDE = 64  # pixels, of a clip that is downsampled


@dataclass(frozen=True)
class Facts:
    """Facts from the container. ``seconds`` is 0 if unknown."""

    width: int
    height: int
    codec: str
    fps: Fraction
    seconds: float


def probe(clip: Path, parameters: Parameters, limits: Limits) -> Facts:
    """Open a clip and check its size.

    Raises:
        InputError: it is not a video, or too large.
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
    """Check the frame size.

    Raises:
        InputError: the result would be too large, or the frames are too small to be downsampled.
    """
    if parameters.crf is not None or parameters.upscale is not None:
        if width * height > limits.output_pixels:
            raise InputError(
                f"its frames are {width}x{height}; at most {limits.output_pixels} pixels were expected. "
                "Scale it down, or choose another clip."
            )
        if parameters.upscale is None and min(width, height) < _MIN_SIDE:
            raise InputError(
                f"its frames are {width}x{height}; to be downsampled by {SCALE}, at least {_MIN_SIDE}x{_MIN_SIDE} were expected."
            )
    elif width * height * SCALE**2 > limits.output_pixels:
        raise InputError(
            f"its frames are {width}x{height} and would become {SCALE * width}x{SCALE * height}, more than the "
            f"{limits.output_pixels} pixels that are allowed. Choose a CRF: the clip is then downsampled by {SCALE} first."
        )


def cropped_frames(clip: Path, parameters: Parameters, limits: Limits) -> Iterator[npt.NDArray[np.uint8]]:
    """Yields the requested frames, (H, W, 3) uint8 RGB, right side up, cropped around the centre to multiples of 8 pixels.

    Args:
        clip: the file.
        parameters: the request, with the start and duration.
        limits: limits of the server.

    Raises:
        InputError: the clip cannot be decoded, a frame is too large, or no frame is in the requested range.
    """
    begin, count = 0.0, 0
    size: tuple[int, int] | None = None
    matrix: tuple[int, ...] | None = None
    rate = probe(clip, parameters, limits).fps
    for frame in Deinterlaced(VideoPictures(clip).coded()):
        now = float(frame.index / rate) if frame.pts_seconds is None else frame.pts_seconds
        if size is None:
            matrix = display_matrix(frame.picture)
            begin, size = now, (frame.height, frame.width)
            check_size(frame.width, frame.height, parameters, limits)
        if now - begin < parameters.start - 1e-6:
            continue
        if now - begin >= parameters.start + parameters.seconds - 1e-6 or count >= limits.frames:
            break
        yield _cropped(upright(frame.rgb, matrix))
        count += 1
    if not count:
        raise InputError(f"no frame lies {parameters.start:g} seconds after its beginning; it is shorter.")


def wanted_frames(clip: Path, parameters: Parameters) -> Scan:
    """Returns the frames in the requested range; decodes the clip once.

    Raises:
        InputError: the clip cannot be decoded.
    """
    end = parameters.start + parameters.seconds
    try:
        return scan(Media.open(clip), start=parameters.start or None, end=end)
    except UnsupportedInputError as error:
        raise InputError(str(error)) from error


def _cropped(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    rows, columns = height // _STEP * _STEP, width // _STEP * _STEP
    top, left = (height - rows) // 2, (width - columns) // 2
    return rgb[top : top + rows, left : left + columns]
