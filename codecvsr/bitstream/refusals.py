"""Checks of streams whose motion cannot be read; every reader raises the same errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import av

from codecvsr.bitstream import mpeg
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.errors import InterlacedInputError, UnsupportedInputError


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


def check_frames(path: Path, frames: Iterable[CodedFrame]) -> Iterator[CodedFrame]:
    """Yields the frames of a file; checks each with :func:`check_picture`."""
    return _checked(path, frames, needs_vectors=True)


def check_is_frame(path: Path, codec: str, picture: av.VideoFrame) -> None:
    """Checks that a picture is not one field of a frame: FFmpeg's HEVC decoder returns fields one by one, and flags only these.

    Raises:
        InterlacedInputError: it is a field.
    """
    if codec == "hevc" and picture.interlaced_frame:
        raise InterlacedInputError(
            f"{path}: is HEVC whose pictures are single fields; whole frames were expected. Make them first: "
            f"ffmpeg -i {path.name} -vf weave,bwdif -c:v libx264 -crf 12 -c:a copy frames.mkv"
        )


def check_sizes(path: Path, frames: Iterable[CodedFrame]) -> Iterator[CodedFrame]:
    """Yields the frames of a file; checks, as :func:`check_picture`, that all have one size."""
    return _checked(path, frames, needs_vectors=False)


def _checked(path: Path, frames: Iterable[CodedFrame], *, needs_vectors: bool) -> Iterator[CodedFrame]:
    first: tuple[int, int] | None = None
    for frame in frames:
        size = frame.width, frame.height
        first = first or size
        check_picture(path, frame.index, size, first, needs_vectors and frame.is_field_coded)
        yield frame


def check_picture(
    path: Path, index: int, size: tuple[int, int], first: tuple[int, int] | None, is_field_coded: bool
) -> None:
    """Checks that the vectors of a picture mean the same as those of the pictures before it.

    Args:
        path: the file.
        index: of the picture, in display order.
        size: its width and height.
        first: width and height of the first picture; None where this is the first.
        is_field_coded: it was coded as fields or may contain such macroblocks (MBAFF).

    Raises:
        InterlacedInputError: it is field coded.
        UnsupportedInputError: it is of another size than the first.
    """
    if is_field_coded:
        raise InterlacedInputError(
            f"{path}: the stream is interlaced, whose vectors refer to fields; progressive frames were expected. "
            "'codecvsr upscale' and 'codecvsr infer' de-interlace it. "
            f"De-interlace it first for all else: ffmpeg -i {path.name} -vf bwdif -c:v libx264 -crf 12 -c:a copy progressive.mkv"
        )
    if first is not None and size != first:
        raise UnsupportedInputError(
            f"{path}: the picture size changes from {first[0]}x{first[1]} to {size[0]}x{size[1]} at frame {index}; one "
            "size was expected. 'codecvsr upscale' takes such a file; for all else cut it there and use the parts one by one."
        )
