"""Sub-pixel steps: the repaired field moved to where the decoded luma matches best.

Damped, robust Gauss-Newton (Lucas and Kanade 1981; Baker and Matthews 2004), one 2x2 system per cell of 4x4 pixels over
a Gaussian window. A block's vector is right to a quarter of a pixel at best; what
super-resolution needs is a tenth.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from codecvsr.bitstream.native import fields_library
from codecvsr.motion import kernels
from codecvsr.motion.field import CELL
from codecvsr.motion.kernels import Refinement
from codecvsr.motion.sample import Array, blur, blur_numpy, gaussian_taps, to_cells, to_pixels, warp_numpy

STEPS = 2
_PRE_BLUR = 0.7  # pixels
_ROBUST = 100.0  # luma steps: a difference of this size gets half the weight; smaller ones cost more than they save
_LONGEST_STEP = 1.0  # pixels
_WINDOW = (2.4, 5.6)  # sigma in pixels, at fine and at coarse quantisers
_DAMPING = 2.0  # on the diagonal of the 2x2 matrices
_SMOOTH_CELLS = (0.0, 1.2)  # sigma of the field's own smoothing
_LEAST_SMOOTHING = 0.1  # below it, none
_QP_RANGE = (28.0, 38.0)  # mean QP where the coarse settings begin to mix in, and where they are reached


def by_qp(ends: tuple[float, float], qp: float, between: tuple[float, float] = _QP_RANGE) -> float:
    """A setting between its values at fine and at coarse quantisers, by the mean quantiser of a frame."""
    share = min(max((qp - between[0]) / (between[1] - between[0]), 0.0), 1.0)
    return ends[0] + share * (ends[1] - ends[0])


@lru_cache(maxsize=64)
def settings(qp: float, steps: int = STEPS) -> Refinement:
    """How to step at a mean quantiser: coarse ones get a wider window and a smoother field, lest noise be fitted."""
    smoothing = by_qp(_SMOOTH_CELLS, qp)
    return Refinement(
        steps=steps,
        window=gaussian_taps(by_qp(_WINDOW, qp) / CELL),
        smooth=gaussian_taps(smoothing) if smoothing > _LEAST_SMOOTHING else None,
        damping=_DAMPING,
        robust=_ROBUST,
        longest_step=_LONGEST_STEP,
    )


def pre_blur(luma: Array) -> Array:
    """The luma the steps work on: lightly blurred, so that gradients are not noise."""
    return blur(luma, gaussian_taps(_PRE_BLUR))


def refine_numpy(current: Array, other: Array, field: Array, how: Refinement) -> Array:
    """A field (2, h, w) from ``current`` to ``other``, both (H, W), after ``how.steps`` Gauss-Newton steps."""
    refined = field
    for _ in range(how.steps):
        moved = warp_numpy(other, to_pixels(refined, smooth=True))
        difference = moved - current
        mean = np.pad((moved + current) * 0.5, 1, mode="edge")
        gx = (mean[1:-1, 2:] - mean[1:-1, :-2]) * 0.5
        gy = (mean[2:, 1:-1] - mean[:-2, 1:-1]) * 0.5
        weight = 1.0 / (1.0 + (difference / np.float32(how.robust)) ** 2)
        wx, wy = weight * gx, weight * gy
        products = (wx * gx, wx * gy, wy * gy, wx * difference, wy * difference)
        a11, a12, a22, b1, b2 = (blur_numpy(to_cells(np.asarray(p, np.float32)), how.window) for p in products)
        a11, a22 = a11 + np.float32(how.damping), a22 + np.float32(how.damping)
        determinant = a11 * a22 - a12 * a12
        step = np.stack([(a12 * b2 - a22 * b1) / determinant, (a12 * b1 - a11 * b2) / determinant])
        length = np.sqrt((step**2).sum(axis=0))
        step *= np.minimum(1.0, how.longest_step / np.maximum(length, 1e-6))
        refined = np.asarray(refined + step, np.float32)
    if how.smooth is not None:
        refined = np.stack([blur_numpy(np.ascontiguousarray(part), how.smooth) for part in refined])
    return np.asarray(refined, np.float32)


def refine(current: Array, other: Array, field: Array, qp: float, steps: int = STEPS) -> Array:
    """Improve a field from ``current`` to ``other`` by gradient steps.

    Args:
        current: (H, W) blurred luma (:func:`pre_blur`), whole cells.
        other: (H, W), the neighbour, likewise.
        field: (2, h, w) in pixels, on cells.
        qp: mean luma quantiser of the frame (:func:`settings`).
        steps: number of steps.

    Returns:
        (2, h, w). Steps are taken wherever they lead: what comes after evens out where noise was fitted.
    """
    return refine_as(current, other, field, settings(qp, steps))


def refine_as(current: Array, other: Array, field: Array, how: Refinement) -> Array:
    """:func:`refine_numpy`, done by the native library where it was built."""
    library = fields_library()
    if library is None:
        return refine_numpy(current, other, field, how)
    return kernels.refine(library, current, other, field, how)
