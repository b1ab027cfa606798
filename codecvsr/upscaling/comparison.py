"""Comparison pictures: bicubic on the left, the network on the right of a white line."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.errors import InputError, OutputError
from codecvsr.files import atomic_file, check_writable, read_image, write_png
from codecvsr.upscaling.frame_names import frame_names
from codecvsr.upscaling.options import UpscaleOptions
from codecvsr.video.image_writer import is_image_name
from codecvsr.video.probe import Media
from codecvsr.video.resize import resample
from codecvsr.video.scan import scan
from codecvsr.video.seek import frames_between

_LINE = 2  # pixels
_WHITE = 255

Picture = npt.NDArray[np.uint8]


def check_comparison(path: Path) -> None:
    """Checks that a comparison has the suffix of a picture or a video.

    Raises:
        InputError: it has another.
    """
    if path.suffix.lower() not in (".png", ".mp4"):
        raise InputError(f"{path}: a comparison ends in .png (the middle frame) or .mp4 (all frames).")


def check_place(path: Path, others: Sequence[Path]) -> None:
    """Checks that a comparison or preview can be written and does not replace another file of the run.

    Args:
        path: of the comparison or preview.
        others: files that it must not replace and folders that it must not be in: input, output, other pictures.

    Raises:
        OutputError: it would, or its folder cannot be written to.
    """
    place = path.resolve()
    for other in others:
        is_same = path.exists() and other.exists() and path.samefile(other)
        if is_same or place == other.resolve() or place.parent == other.resolve():
            raise OutputError(f"{path}: would replace a file of {other}, which this run needs; choose another path.")
    check_writable(path)


def side_by_side(before: Picture, after: Picture) -> Picture:
    """Joins the left side of ``before``, enlarged to the size of ``after``, and the right side of ``after``."""
    height, width = after.shape[:2]
    middle = width // 2
    joined = resample(before, height, width).copy()
    joined[:, middle:] = after[:, middle:]
    joined[:, max(middle - _LINE // 2, 0) : middle + _LINE // 2] = _WHITE
    return joined


def write_comparison(media: Media, output: Path, pictures: str | None, target: Path, options: UpscaleOptions) -> None:
    """Writes a comparison of an input and its output.

    Args:
        media: the input.
        output: the upscaled video or folder of frames.
        pictures: pattern of the names of PNG files, empty for the usual one; None for a video.
        target: a .png (the middle frame) or .mp4 (all of them).
        options: of the run.

    Raises:
        OutputError: the file cannot be written.
    """
    found = scan(media, start=options.start, end=options.end, damage=options.damage)
    before = (found.without_hidden(frame.rgb) for frame in frames_between(media, found, options.damage))
    if pictures is None and is_image_name(output):
        after = (read_image(path) for path in (output,))
    elif pictures is None:
        after = (frame.rgb for frame in Media.open(output).frames())
    else:
        names = frame_names(media, len(found), found.first, pictures)
        after = (read_image(output / name) for name in names)
    pairs = zip(before, after, strict=True)
    if target.suffix.lower() == ".png":
        write_png(target, side_by_side(*next(itertools.islice(pairs, len(found) // 2, None))))
        return
    rate = min(max(Fraction(media.rate).limit_denominator(1001), Fraction(1)), Fraction(1000))
    with atomic_file(target) as part:
        encode_h264(
            (_crop_to_even(side_by_side(*pair)) for pair in pairs),
            part,
            EncodeSettings(18, preset="veryfast", fps=rate),
        )


def _crop_to_even(picture: Picture) -> Picture:
    return picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
