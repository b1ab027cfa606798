"""What the name of an output says: a video, one picture, or PNG files and their names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from codecvsr.errors import InputError
from codecvsr.files import FRAME_NAME, is_image_name
from codecvsr.video.image_writer import is_image_name as names_picture
from codecvsr.video.probe import Media

_PATTERN = re.compile(r"%0?\d*d")
_NUMBERED = re.compile(r"\d{8,}\.png")


def split_pattern(output: Path) -> tuple[Path, str | None]:
    """The folder of an output like ``frames/%08d.png`` and the pattern of its names; (output, None) for any other.

    Raises:
        InputError: the pattern does not end in .png, or has more than one number.
    """
    if not _PATTERN.search(output.name):
        return output, None  # the name of a video, a picture or a folder may have a percent sign
    if len(_PATTERN.findall(output.name)) != 1 or output.name.count("%") != 1 or output.suffix.lower() != ".png":
        raise _no_pattern(output)
    return output.parent, output.name


def _no_pattern(output: Path) -> InputError:
    return InputError(f"{output}: a pattern of frames is like frames/%08d.png, with one number.")


def split_output(output: Path) -> tuple[Path, str | None]:
    """Returns the file or folder of an output, and the pattern of its PNG files.

    The pattern is empty for the usual names, and None for an output that is one file: a video or a picture.

    Raises:
        InputError: as :func:`split_pattern`.
    """
    place, pattern = split_pattern(output)
    if pattern is None and (not place.suffix or place.is_dir()):
        return place, ""
    return place, pattern


def check_output_name(media: Media, output: Path) -> None:
    """Checks that an output of one file can be made of an input.

    Raises:
        InputError: the output is a picture, and the input has more than one.
    """
    if names_picture(output) and not media.is_single_picture:
        if output.suffix.lower() == ".png":
            raise _no_pattern(output)
        raise InputError(f"{output}: is the name of one picture; for several use a pattern like frames/%08d.png.")


def frame_names(media: Media, frames: int, first: int, pattern: str) -> list[str]:
    """Names of the files of ``frames`` frames, the first of which is frame ``first`` of the input."""
    if pattern:
        return [pattern % i for i in range(frames)]
    if media.pictures:
        return [f"{path.stem}.png" for path in media.pictures[first : first + frames]]
    return [FRAME_NAME % i for i in range(frames)]


def may_make(media: Media, pattern: str) -> Callable[[str], bool]:
    """Tells of a file name, before the frames are counted, whether the run may make it."""
    if pattern:
        return is_frame(pattern)
    if media.pictures:
        return {f"{path.stem}.png" for path in media.pictures}.__contains__
    return lambda name: _NUMBERED.fullmatch(name) is not None


def is_frame(pattern: str) -> Callable[[str], bool]:
    """Tells of a file name whether it would pass for a frame: any picture, or what the pattern can name."""
    if not pattern:
        return is_image_name
    before, after = (re.escape(part) for part in _PATTERN.split(pattern))
    expression = re.compile(f"{before} *\\d+{after}")
    return lambda name: expression.fullmatch(name) is not None
