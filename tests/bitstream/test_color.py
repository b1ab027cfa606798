"""Colour matrices: a picture that declares one is seen by it."""

from __future__ import annotations

import av
import numpy as np
import pytest

from codecvsr.bitstream import color

_LUMA_WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}  # of red and blue


@pytest.mark.parametrize("matrix", sorted(_LUMA_WEIGHTS))
def test_rgb_follows_the_declared_matrix(matrix: int) -> None:
    y, cb, cr = 120, 150, 100
    planes = np.concatenate([np.full(16 * 16, v, np.uint8) for v in (y, cb, cr)]).reshape(3, 16, 16)
    picture = av.VideoFrame.from_ndarray(planes, format="yuv444p")
    picture.colorspace, picture.color_range = matrix, 1
    red, blue = _LUMA_WEIGHTS[matrix]
    luma, u, v = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    r, b = luma + 2 * (1 - red) * v, luma + 2 * (1 - blue) * u
    g = (luma - red * r - blue * b) / (1 - red - blue)
    expected = np.array([r, g, b]) * 255
    assert np.abs(color.to_rgb(picture)[8, 8] - expected).max() <= 2


def test_bt2020_is_inverted() -> None:
    rgb = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    picture = color.from_rgb(rgb, "yuv444p", matrix=9)
    picture.colorspace, picture.color_range = 9, 1
    assert np.abs(color.to_rgb(picture).astype(int) - rgb).max() <= 3
