"""Checks of streams whose motion cannot be read; every reader raises the same errors."""

from __future__ import annotations

from pathlib import Path

from codecvsr.bitstream import mpeg
from codecvsr.errors import UnsupportedInputError


def check_codec(path: Path, codec: str) -> None:
    """Checks that motion vectors of ``codec``, named as PyAV names its decoder, are read.

    Raises:
        UnsupportedInputError: they are not.
    """
    if codec != "h264" and codec not in mpeg.CODECS:
        name = "av1" if codec == "libdav1d" else codec
        raise UnsupportedInputError(
            f"{path}: the video is {name}, whose motion vectors cannot be read; H.264, MPEG-1, MPEG-2 or MPEG-4 Part 2 was "
            f"expected. Convert it first: ffmpeg -i {path.name} -c:v libx264 -crf 12 -c:a copy h264.mkv"
        )


def check_picture(
    path: Path, index: int, size: tuple[int, int], first: tuple[int, int] | None, is_interlaced: bool
) -> None:
    """Checks that the vectors of a picture mean the same as those of the pictures before it.

    Args:
        path: the file.
        index: of the picture, in display order.
        size: its width and height.
        first: width and height of the first picture; None where this is the first.
        is_interlaced: it was coded as fields or may contain such macroblocks (MBAFF).

    Raises:
        UnsupportedInputError: it is interlaced, or of another size than the first.
    """
    if is_interlaced:
        raise UnsupportedInputError(
            f"{path}: the stream is interlaced, whose vectors refer to fields; progressive frames were expected. "
            f"De-interlace it first: ffmpeg -i {path.name} -vf bwdif -c:v libx264 -crf 12 -c:a copy progressive.mkv"
        )
    if first is not None and size != first:
        raise UnsupportedInputError(
            f"{path}: the picture size changes from {first[0]}x{first[1]} to {size[0]}x{size[1]} at frame {index}; one "
            "size was expected. Cut the file there and use the parts one by one."
        )
