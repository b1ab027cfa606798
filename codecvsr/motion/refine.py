"""Sub-pixel steps: the repaired field moved to where the decoded luma matches best.

Damped, robust Gauss-Newton (Lucas and Kanade 1981; Baker and Matthews 2004), one 2x2 system per cell of 4x4 pixels over
a Gaussian window. A block's vector is right to a quarter of a pixel at best; what
super-resolution needs is a tenth.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from codecvsr.constants import CELL
from codecvsr.motion.ops import native
from codecvsr.motion.ops.native import PREPARED, Prepared, Refinement
from codecvsr.motion.ops.reference import Array, Luma, blur_numpy, gaussian_taps, to_pixels, warp_numpy
from codecvsr.native_libraries import field_library

STEPS = 2
_PRE_BLUR = (1, 27, 72, 27, 1)  # of 128: a sigma of 0.7 pixels
_WIDE = 7  # pixels to each side that make up the mean taken off
_SIDE = 2 * _WIDE + 1
_SHARE = 23302  # of their sum, in 2^-16: five eighths of the mean, in 1/128; all of it would cost where shading tells of motion
_UNITS = np.float32(128)  # of a prepared picture, in one luma step
_SAMPLES = ((0, 0), (1, 3), (2, 2), (3, 1), (0, 2), (1, 1), (2, 0), (3, 3))  # lines and columns of a cell
_ROBUST = 100.0  # luma steps: a difference of this size gets half the weight; smaller ones cost more than they save
_LONGEST_STEP = 1.0  # pixels
_WINDOW = (2.4, 5.6)  # sigma in pixels, at fine and at coarse quantisers
_DAMPING = 1.0  # on the diagonal of the 2x2 matrices
_SMOOTH_CELLS = (0.0, 1.2)  # sigma of the field's own smoothing
_MIN_SMOOTHING = 0.1  # below it, none
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
        smooth=gaussian_taps(smoothing) if smoothing > _MIN_SMOOTHING else None,
        damping=_DAMPING,
        robust=_ROBUST,
        longest_step=_LONGEST_STEP,
    )


def prepare_numpy(luma: Luma) -> Prepared:
    """What the steps need of a picture (H, W) of whole cells, as ``cvsr_prepare`` lays it out: (PREPARED, h, w).

    The picture is lightly blurred, so that gradients are not noise, and most of the mean around each pixel is taken off, so that a
    change of brightness is not motion; in whole numbers of 1/128 luma step. First each pixel and the one below, then values,
    differences along x and along y at eight pixels of each cell.
    """
    rows, columns = luma.shape[0] // CELL, luma.shape[1] // CELL
    if not luma.size:
        return np.zeros((PREPARED, rows, columns), np.int16)
    blurred = luma.astype(np.int32)
    for axis in (0, 1):
        padded = np.pad(blurred, [(2, 2) if k == axis else (0, 0) for k in range(2)], mode="edge")
        size = blurred.shape[axis]
        shifted = np.stack([padded.take(range(k, k + size), axis) for k in range(len(_PRE_BLUR))], axis=-1)
        blurred = shifted @ np.array(_PRE_BLUR, np.int32)
    wide = np.pad(luma.astype(np.int64), _WIDE, mode="edge")
    for axis in (0, 1):
        total = np.insert(wide.cumsum(axis=axis), 0, 0, axis=axis)
        wide = total.take(range(_SIDE, total.shape[axis]), axis) - total.take(range(total.shape[axis] - _SIDE), axis)
    values = (((blurred + 64) >> 7) - (wide * _SHARE >> 16)).astype(np.int16)
    padded = np.pad(values, 1, mode="edge")
    planes = values, padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
    pairs = np.stack([values, padded[2:, 1:-1]], axis=-1)
    samples = [plane[line::CELL, column::CELL] for plane in planes for line, column in _SAMPLES]
    return np.concatenate([pairs.reshape(2 * CELL * CELL, rows, columns), np.stack(samples)])


def prepare(luma: Luma) -> Prepared:
    """:func:`prepare_numpy`, done by the native library where it was built."""
    library = field_library()
    return prepare_numpy(luma) if library is None else native.prepare(library, luma)


def refine_numpy(current: Prepared, other: Prepared, field: Array, how: Refinement) -> Array:
    """A field (2, h, w) from ``current`` to ``other``, both prepared, after ``how.steps`` Gauss-Newton steps.

    The last step looks at all eight pixels of each cell, those before it at four.
    """
    refined = field
    rows, columns = field.shape[1:]
    pairs = 2 * CELL * CELL
    picture = other[:pairs].reshape(rows * CELL, columns * CELL, 2)[..., 0].astype(np.float32) / _UNITS
    here, gx, gy = current[pairs:].reshape(3, len(_SAMPLES), rows, columns).astype(np.float32) / _UNITS
    gx, gy = gx * 0.5, gy * 0.5
    for step in range(how.steps):
        count = len(_SAMPLES) if step == how.steps - 1 else len(_SAMPLES) // 2
        moved = warp_numpy(picture, to_pixels(refined, smooth=True))
        difference = np.stack([moved[y::CELL, x::CELL] for y, x in _SAMPLES[:count]]) - here[:count]
        weight = 1.0 / (1.0 + (difference / np.float32(how.robust)) ** 2)
        wx, wy = weight * gx[:count], weight * gy[:count]
        products = (wx * gx[:count], wx * gy[:count], wy * gy[:count], wx * difference, wy * difference)
        a11, a12, a22, b1, b2 = (blur_numpy(np.asarray(p.mean(axis=0), np.float32), how.window) for p in products)
        a11, a22 = a11 + np.float32(how.damping), a22 + np.float32(how.damping)
        determinant = a11 * a22 - a12 * a12
        moves = np.stack([(a12 * b2 - a22 * b1) / determinant, (a12 * b1 - a11 * b2) / determinant])
        length = np.sqrt((moves**2).sum(axis=0))
        moves *= np.minimum(1.0, how.longest_step / np.maximum(length, 1e-6))
        refined = np.asarray(refined + moves, np.float32)
    if how.smooth is not None:
        refined = np.stack([blur_numpy(np.ascontiguousarray(part), how.smooth) for part in refined])
    return np.asarray(refined, np.float32)


def refine(current: Prepared, other: Prepared, field: Array, qp: float, steps: int = STEPS) -> Array:
    """Improve a field from ``current`` to ``other`` by gradient steps.

    Args:
        current: the picture, prepared (:func:`prepare`).
        other: the neighbour, likewise.
        field: (2, h, w) in pixels, on cells.
        qp: mean luma quantiser of the frame (:func:`settings`).
        steps: number of steps.

    Returns:
        (2, h, w). Steps are taken wherever they lead: what comes after evens out where noise was fitted.
    """
    return refine_as(current, other, field, settings(qp, steps))


def refine_as(current: Prepared, other: Prepared, field: Array, how: Refinement) -> Array:
    """:func:`refine_numpy`, done by the native library where it was built."""
    library = field_library()
    if library is None:
        return refine_numpy(current, other, field, how)
    return native.refine(library, current, other, field, how)
