"""Peak signal-to-noise ratio of 8-bit pictures."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.metrics.planes import Channel, Planes, comparable

PEAK = 255.0


def psnr(
    a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], *, channel: Channel = "rgb", crop_border: int = 0
) -> float:
    """PSNR in dB, from the mean squared error over all pixels and channels; ``math.inf`` for identical pictures.

    Args:
        a: (H, W, 3) RGB or (H, W) grey, uint8.
        b: as ``a``.
        channel: "rgb" for the pictures as they are, "y" for BT.601 luma (16..235) with the same peak of 255.
        crop_border: pixels to leave out on each side.

    Raises:
        ValueError: the pictures differ in shape, are not 8-bit, or the border leaves nothing.
    """
    return psnr_of_planes(*comparable(a, b, channel=channel, crop_border=crop_border))


def psnr_of_planes(x: Planes, y: Planes) -> float:
    """PSNR in dB of two pictures (H, W, C) as ``planes.comparable`` returns them."""
    mean_square = cv2.norm(x, y, cv2.NORM_L2SQR) / x.size  # no rounding error for 8-bit pixels
    return math.inf if mean_square == 0 else 10.0 * math.log10(PEAK * PEAK / mean_square)
