"""The input of the metrics: two pictures of one size, cropped, as RGB channels or as Y."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Channel = Literal["rgb", "y"]
Planes = npt.NDArray[np.uint8] | npt.NDArray[np.float64]  #: (H, W, C)

#: Weights of R, G, B (0..255) in Y of 16..235: ITU-R BT.601 as MATLAB's ``rgb2ycbcr`` states it.
Y_WEIGHTS = np.array([[65.481, 128.553, 24.966]]) / 255.0
Y_OFFSET = 16.0


def luma(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Y (16..235, not rounded) of (H, W, 3) uint8 RGB, as (H, W) float64."""
    return np.asarray(cv2.transform(rgb.astype(np.float64), Y_WEIGHTS) + Y_OFFSET).reshape(rgb.shape[:2])


def comparable(
    a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], *, channel: Channel, crop_border: int
) -> tuple[Planes, Planes]:
    """Both pictures as (H', W', C), C = 3 (or 1 for a grey picture) for "rgb" in uint8 and 1 for "y" in float64.

    Args:
        a: (H, W, 3) or (H, W) uint8.
        b: as ``a``, of the same shape.
        channel: "rgb" for the picture as it is, "y" for its luma (needs three channels).
        crop_border: pixels to crop on each of the four sides.

    Raises:
        ValueError: the pictures cannot be compared so.
    """
    if a.shape != b.shape or a.ndim not in (2, 3) or (a.ndim == 3 and a.shape[2] != 3):
        raise ValueError(f"two pictures (H, W, 3) or (H, W) of one shape expected, got {a.shape} and {b.shape}.")
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(f"8-bit pictures (uint8) expected, got {a.dtype} and {b.dtype}; round and clip them first.")
    if channel not in ("rgb", "y"):
        raise ValueError(f"channel = {channel!r}; 'rgb' or 'y' expected.")
    height, width = a.shape[:2]
    if crop_border < 0 or 2 * crop_border >= min(height, width):
        raise ValueError(f"crop_border = {crop_border} leaves nothing of a {width}x{height} picture.")
    if channel == "y" and a.ndim != 3:
        raise ValueError("channel 'y' needs RGB pictures (H, W, 3); a grey picture is compared as 'rgb'.")
    inside = (slice(crop_border, height - crop_border), slice(crop_border, width - crop_border))
    a, b = a[inside], b[inside]
    if channel == "y":
        return luma(a)[:, :, None], luma(b)[:, :, None]
    return a.reshape(*a.shape[:2], -1), b.reshape(*b.shape[:2], -1)
