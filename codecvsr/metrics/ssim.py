"""Structural similarity of 8-bit pictures, as the program of its authors has it (Wang and others, 2004)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.metrics.planes import Channel, Planes, comparable

WINDOW = 11  #: side of the Gaussian window in pixels
SIGMA = 1.5  #: its standard deviation in pixels
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
_BAND = 96  # rows worked on at once: the temporaries of a band fit the processor's cache


def ssim(
    a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], *, channel: Channel = "rgb", crop_border: int = 0
) -> float:
    """SSIM, 1 for identical pictures: per channel, averaged over every place where the window fits, then over channels.

    Args:
        a: (H, W, 3) RGB or (H, W) grey, uint8.
        b: as ``a``.
        channel: "rgb" for the pictures as they are, "y" for BT.601 luma (16..235) with the same constants.
        crop_border: pixels to leave out on each side, before the window is placed.

    Raises:
        ValueError: the pictures differ in shape, are not 8-bit, or are smaller than the window.
    """
    return ssim_of_planes(*comparable(a, b, channel=channel, crop_border=crop_border))


def ssim_of_planes(x: Planes, y: Planes) -> float:
    """SSIM of two pictures (H, W, C) as ``planes.comparable`` returns them: the mean over channels and places.

    Raises:
        ValueError: they are smaller than the window.
    """
    height, width, channels = x.shape
    if min(height, width) < WINDOW:
        raise ValueError(f"SSIM needs {WINDOW}x{WINDOW} pixels or more, got {width}x{height} inside the border.")
    places = (height - WINDOW + 1) * (width - WINDOW + 1)
    total = 0.0
    for index in range(channels):
        for top in range(0, height - WINDOW + 1, _BAND):
            rows = slice(top, top + _BAND + WINDOW - 1)
            total += _sum_over_places(x[rows, :, index].astype(np.float32), y[rows, :, index].astype(np.float32))
    return total / (places * channels)


def _sum_over_places(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> float:
    """Sum of the SSIM map of two planes, over the places where the window fits.

    The published formula in terms of s = x + y and d = x - y: both of its factors become one minus a small fraction, so
    that float32 is precise enough, and four filterings suffice instead of five.
    """
    s, d = x + y - 255.0, x - y  # less 255: values around zero, whose squares lose less when they are subtracted
    mean_s, mean_d = _window_mean(s), _window_mean(d)
    mean_d2 = mean_d * mean_d
    variance_s = _window_mean(s * s) - mean_s * mean_s
    variance_d = _window_mean(d * d) - mean_d2
    mean_s += 255.0
    luminance = 1.0 - mean_d2 / ((mean_s * mean_s + mean_d2) / 2 + C1)
    contrast_structure = 1.0 - variance_d / ((variance_s + variance_d) / 2 + C2)
    return float(np.sum(luminance * contrast_structure, dtype=np.float64))


def _window_mean(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Gaussian-weighted mean around each place where the window fits: ``WINDOW - 1`` rows and columns less."""
    kernel = cv2.getGaussianKernel(WINDOW, SIGMA)
    filtered = cv2.sepFilter2D(plane, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    edge = WINDOW // 2
    return filtered[edge:-edge, edge:-edge].astype(np.float32, copy=False)
