"""Animated GIF, PNG and WebP pictures as videos."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from codecvsr.video.image_files import ImageFile, opened, split
from codecvsr.video.image_writer import on_white

TIME_BASE = Fraction(1, 90000)  #: whole numbers of it are a millisecond and a frame of all usual rates
_NO_DURATION = Fraction(1, 10)  # seconds: what browsers show a frame for that states none


def read_durations(image_file: ImageFile) -> list[int]:
    """Returns how long each picture of an animation is shown, in units of :data:`TIME_BASE`.

    Raises:
        InputError: the file cannot be read.
    """
    with opened(image_file.path, image_file.format) as image:
        durations = []
        for index in _places(image_file, image.info):
            image.seek(index)
            image.load()
            seconds = Fraction(image.info.get("duration") or 0).limit_denominator(10**6) / 1000
            durations.append(max(round((seconds or _NO_DURATION) / TIME_BASE), 1))
        return durations


def read_frames(image_file: ImageFile) -> Iterator[npt.NDArray[np.uint8]]:
    """Yields the pictures of an animation, (H, W, 4) uint8: RGB as seen on a white page, and alpha.

    Raises:
        InputError: the file cannot be read.
    """
    with opened(image_file.path, image_file.format) as image:
        for index in _places(image_file, image.info):
            image.seek(index)
            picture = split(np.asarray(image.convert("RGBA")))
            if picture.alpha is None:
                yield np.dstack([picture.rgb, np.full(picture.rgb.shape[:2], 255, np.uint8)])
            else:
                yield np.dstack([on_white(picture.rgb, picture.alpha), picture.alpha])


def _places(image_file: ImageFile, info: dict[str | tuple[int, int], object]) -> range:
    """Returns the indices of the shown pictures: a PNG file may begin with one for programs that show no animations."""
    return range(int(bool(info.get("default_image"))), image_file.frames)
