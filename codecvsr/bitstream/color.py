"""The one place where pixels change colour space.

RGB is 8 bits, full range; YUV is what the stream declares, and BT.601 limited range where it declares nothing.
"""

from __future__ import annotations

import re
import threading
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

# ITU-T H.273 MatrixCoefficients as they are declared in a stream -> the matrices libswscale knows.
_MATRIX = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,  # constant luminance, which libswscale does not know: this matrix is the nearest
}

_of_thread = threading.local()


def convert(picture: av.VideoFrame, pixel_format: str, **how: Any) -> av.VideoFrame:
    """Returns a picture in another pixel format.

    ``picture.reformat`` stores libswscale's tables, and a thread per core, with every picture; here each thread has one
    set of tables per target format.

    Args:
        picture: the picture; it is not changed.
        pixel_format: FFmpeg's name.
        **how: further arguments of PyAV's ``reformat``.
    """
    reformatters: dict[str, VideoReformatter] = _of_thread.__dict__.setdefault("reformatters", {})
    if pixel_format not in reformatters:
        reformatters[pixel_format] = VideoReformatter()
    return reformatters[pixel_format].reformat(picture, format=pixel_format, threads=1, **how)


def to_rgb(picture: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """Converts a decoded picture to (H, W, 3) uint8 RGB, by the matrix it declares (BT.601 where it declares none)."""
    matrix = _MATRIX.get(int(picture.colorspace), Colorspace.ITU601)
    if deep := re.fullmatch(r"(yuv4\d\dp)\d+(?:le|be)", picture.format.name):
        # libswscale needs the chroma location of deeper 4:2:0 pictures, which PyAV cannot set.
        picture = convert(picture, deep[1])
    converted = convert(picture, "rgb24", src_colorspace=matrix, dst_colorspace=Colorspace.ITU601)
    return np.asarray(converted.to_ndarray(), np.uint8)


def from_rgb(
    rgb: npt.NDArray[np.uint8], pixel_format: str = "yuv420p", *, matrix: int = 6, full_range: bool = False
) -> av.VideoFrame:
    """Returns a picture of (H, W, 3) uint8 RGB; H and W must be multiples of 2 for 4:2:0.

    Args:
        rgb: the pixels.
        pixel_format: of the picture.
        matrix: ITU-T H.273 MatrixCoefficients; :func:`to_rgb` inverts the conversion if the picture declares the
            same. Matrices that libswscale does not know are BT.601 in both directions.
        full_range: luma from 0 to 255 instead of 16 to 235.
    """
    source = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(rgb), format="rgb24")  # no copy
    return convert(
        source,
        pixel_format,
        dst_colorspace=_MATRIX.get(matrix, Colorspace.ITU601),
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
    )


def luma_plane(picture: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """Returns the 8-bit luma plane (H, W) of a planar YUV or grey picture; deeper formats are rounded to 8 bits."""
    if picture.format.components[0].bits != 8 or not picture.format.is_planar:
        picture = convert(picture, "gray")
    plane = picture.planes[0]
    rows = np.frombuffer(cast(bytes, plane), np.uint8)  # a plane is a buffer; its stub does not say so
    rows = rows.reshape(plane.height, plane.line_size)
    return np.ascontiguousarray(rows[:, : plane.width])
