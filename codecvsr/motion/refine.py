"""Sub-pixel steps: the repaired field moved to where the decoded luma matches best.

Damped, robust Gauss-Newton (Lucas and Kanade 1981; Baker and Matthews 2004), one 2x2 system per pixel over a Gaussian
window, averaged over each 4x4 cell. A block's vector is right to a quarter of a pixel at best; what super-resolution
needs is a tenth.
"""

from __future__ import annotations

import cv2
import numpy as np

from codecvsr.motion.sample import Array, matching_error, to_cells, to_pixels, warp

STEPS = 2
_PRE_BLUR = 0.7  # pixels
_ROBUST = 6.0  # luma steps: a difference of this size gets half the weight
_LONGEST_STEP = 1.0  # pixels
_WINDOW = (3.5, 5.5)  # sigma in pixels, at fine and at coarse quantisers
_DAMPING = (20.0, 10.0)
_SMOOTH_CELLS = (0.0, 1.0)  # sigma of the field's own smoothing
_QP_RANGE = (28.0, 38.0)  # mean QP where the coarse settings begin to mix in, and where they are reached


def _by_qp(ends: tuple[float, float], qp: float) -> float:
    share = float(np.clip((qp - _QP_RANGE[0]) / (_QP_RANGE[1] - _QP_RANGE[0]), 0, 1))
    return ends[0] + share * (ends[1] - ends[0])


def _blur(picture: Array, sigma: float) -> Array:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def pre_blur(luma: Array) -> Array:
    """The luma the steps work on: lightly blurred, so that gradients are not noise."""
    return _blur(luma, _PRE_BLUR)


def refine(current: Array, other: Array, field: Array, qp: float, steps: int = STEPS) -> Array:
    """Improve a field from ``current`` to ``other`` by gradient steps.

    Args:
        current: (H, W) blurred luma (:func:`pre_blur`), whole cells.
        other: (H, W), the neighbour, likewise.
        field: (2, h, w) in pixels, on cells.
        qp: mean luma quantiser of the frame; coarse ones get a wider window and a smoother field, so that coding noise is
            not fitted.
        steps: number of steps.

    Returns:
        (2, h, w). A cell that matches worse afterwards keeps what it had.
    """
    window, damping = _by_qp(_WINDOW, qp), _by_qp(_DAMPING, qp)
    refined = field
    for _ in range(steps):
        moved = warp(other, to_pixels(refined, smooth=True))
        difference = moved - current
        mean = (moved + current) * 0.5
        gx = cv2.Sobel(mean, cv2.CV_32F, 1, 0, ksize=1, scale=0.5, borderType=cv2.BORDER_REPLICATE)
        gy = cv2.Sobel(mean, cv2.CV_32F, 0, 1, ksize=1, scale=0.5, borderType=cv2.BORDER_REPLICATE)
        weight = 1.0 / (1.0 + (difference / np.float32(_ROBUST)) ** 2)
        wx, wy = weight * gx, weight * gy
        products = _blur(np.dstack([wx * gx, wx * gy, wy * gy, wx * difference]), window)
        b2 = _blur(wy * difference, window)
        a11, a12, a22, b1 = (products[..., i] for i in range(4))
        a11, a22 = a11 + damping, a22 + damping
        determinant = a11 * a22 - a12 * a12
        step = np.stack([(a12 * b2 - a22 * b1) / determinant, (a12 * b1 - a11 * b2) / determinant])
        length = np.sqrt((step**2).sum(axis=0))
        step *= np.minimum(1.0, _LONGEST_STEP / np.maximum(length, 1e-6))
        refined = refined + np.stack([to_cells(np.ascontiguousarray(part)) for part in step])
    smoothing = _by_qp(_SMOOTH_CELLS, qp)
    if smoothing > 0.1:
        refined = np.stack([_blur(np.ascontiguousarray(part), smoothing) for part in refined])
    before, after = matching_error(current, other, field), matching_error(current, other, refined)
    return np.where(after <= before * 1.05 + 0.1, refined, field).astype(np.float32)
