"""Raw video in the YUV4MPEG2 format of mjpegtools: a line of text, then every frame as a line and its planes.

It has one frame rate and no times, sound or tags. Chroma of 4:2:0 is sited as in MPEG-2, in the column of every other luma sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

from codecvsr.bitstream.containers import open_input
from codecvsr.errors import OutputError
from codecvsr.video.probe import Media
from codecvsr.video.scan import Scan

#: Pixel formats -> names of the header.
_CHROMA = {"yuv420p": "420mpeg2", "yuv422p": "422", "yuv444p": "444"}
_UNDECLARED = (2, 5, 6)  # MatrixCoefficients of ITU-T H.273 that players assume: none, BT.601
_ROUNDING = 2  # units of the time base: both times of a step may be rounded


def lost_in_y4m(media: Media, scan: Scan) -> list[str]:
    """Returns, in words, what of the pictures' description the format lacks."""
    steps = np.diff(scan.pts)
    lost = []
    if len(steps) and steps.max() - steps.min() > _ROUNDING:
        lost.append("the times of the frames: Y4M has one frame rate, so every frame lasts equally long")
    if scan.is_turned:
        lost.append("rotation: Y4M cannot store it, so it is omitted")
    if scan.colour.matrix not in _UNDECLARED:
        lost.append("colour description (matrix, primaries, transfer): Y4M cannot store it, so it is omitted")
    return lost


def write_y4m(media: Media, scan: Scan, segments: Sequence[Path], target: Path, aspect: Fraction) -> None:
    """Writes the pictures of all segments as raw video.

    Args:
        media: the source, which has the frame rate.
        scan: its frames.
        segments: the encoded pictures, in order.
        target: the file to write.
        aspect: width / height of a pixel.

    Raises:
        OutputError: a frame is missing, or a segment cannot be decoded.
        OSError: the file cannot be written.
    """
    written = 0
    with target.open("wb") as file:
        for path in segments:
            try:
                with open_input(path, format="nut") as container:
                    for picture in container.decode(container.streams.video[0]):
                        if not written:
                            file.write(_header(media, picture, aspect))
                        file.write(b"FRAME\n")
                        for plane in picture.planes:
                            rows = np.frombuffer(cast(bytes, plane), np.uint8).reshape(plane.height, plane.line_size)
                            file.write(rows[:, : plane.width].tobytes())
                        written += 1
            except av.FFmpegError as error:
                raise OutputError(f"{path}: cannot be decoded ({error.strerror}); use -y to start over.") from error
    if written != len(scan):
        raise OutputError(f"{target}: {written} of {len(scan)} frames were found; use -y to start over.")


def _header(media: Media, picture: av.VideoFrame, aspect: Fraction) -> bytes:
    rate = media.rate
    full = int(picture.color_range) == 2
    return (
        f"YUV4MPEG2 W{picture.width} H{picture.height} F{rate.numerator}:{rate.denominator} Ip A{aspect.numerator}:{aspect.denominator} "
        f"C{_CHROMA[picture.format.name]} XCOLORRANGE={'FULL' if full else 'LIMITED'}\n"
    ).encode()
