"""Sub-pixel steps and composed fields, in numpy.

Damped, robust Gauss-Newton (Lucas and Kanade 1981; Baker and Matthews 2004), one 2x2 system per cell of 4x4 pixels over a
Gaussian window.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codecvsr.constants import CELL
from codecvsr.motion.grid import to_pixels
from codecvsr.motion.ops.records import PREPARED_CHANNELS, ComposedMatch, RefineSettings, run
from codecvsr.motion.ops.reference.sampling import blur, warp
from codecvsr.motion.types import Array, Luma, Mapper, Prepared

_BLUR = (1, 27, 72, 27, 1)  # of 128: a sigma of 0.7 pixels
_MEAN_RADIUS = 7  # pixels on each side in the mean that is subtracted
_MEAN_SIDE = 2 * _MEAN_RADIUS + 1
_MEAN_SHARE = (
    23302  # of their sum, in 2^-16: 5/8 of the mean in 1/128; the whole mean would cost what shading shows of motion
)
_UNITS = np.float32(128)  # of a prepared picture, in one luma step
_SAMPLES = ((0, 0), (1, 3), (2, 2), (3, 1), (0, 2), (1, 1), (2, 0), (3, 3))  # lines and columns of a cell


def prepare(luma: Luma) -> Prepared:
    """See ``MotionOps.prepare``.

    First each pixel and the one below it, then values, differences along x and along y at eight pixels of each cell.
    """
    rows, columns = luma.shape[0] // CELL, luma.shape[1] // CELL
    if not luma.size:
        return np.zeros((PREPARED_CHANNELS, rows, columns), np.int16)
    blurred = luma.astype(np.int32)
    for axis in (0, 1):
        padded = np.pad(blurred, [(2, 2) if k == axis else (0, 0) for k in range(2)], mode="edge")
        size = blurred.shape[axis]
        shifted = np.stack([padded.take(range(k, k + size), axis) for k in range(len(_BLUR))], axis=-1)
        blurred = shifted @ np.array(_BLUR, np.int32)
    mean = np.pad(luma.astype(np.int64), _MEAN_RADIUS, mode="edge")
    for axis in (0, 1):
        total = np.insert(mean.cumsum(axis=axis), 0, 0, axis=axis)
        size = total.shape[axis]
        mean = total.take(range(_MEAN_SIDE, size), axis) - total.take(range(size - _MEAN_SIDE), axis)
    values = (((blurred + 64) >> 7) - (mean * _MEAN_SHARE >> 16)).astype(np.int16)
    padded = np.pad(values, 1, mode="edge")
    planes = values, padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
    pairs = np.stack([values, padded[2:, 1:-1]], axis=-1)
    samples = [plane[line::CELL, column::CELL] for plane in planes for line, column in _SAMPLES]
    return np.concatenate([pairs.reshape(2 * CELL * CELL, rows, columns), np.stack(samples)])


def refine(current: Prepared, other: Prepared, field: Array, settings: RefineSettings) -> Array:
    """See ``MotionOps.refine``."""
    refined = field
    rows, columns = field.shape[1:]
    pairs = 2 * CELL * CELL
    picture = other[:pairs].reshape(rows * CELL, columns * CELL, 2)[..., 0].astype(np.float32) / _UNITS
    values, gx, gy = current[pairs:].reshape(3, len(_SAMPLES), rows, columns).astype(np.float32) / _UNITS
    gx, gy = gx * 0.5, gy * 0.5
    for step in range(settings.steps):
        count = len(_SAMPLES) if step == settings.steps - 1 else len(_SAMPLES) // 2
        warped = warp(picture, to_pixels(refined, smooth=True))
        difference = np.stack([warped[y::CELL, x::CELL] for y, x in _SAMPLES[:count]]) - values[:count]
        weight = 1.0 / (1.0 + (difference / np.float32(settings.robust)) ** 2)
        wx, wy = weight * gx[:count], weight * gy[:count]
        products = (wx * gx[:count], wx * gy[:count], wy * gy[:count], wx * difference, wy * difference)
        a11, a12, a22, b1, b2 = (blur(np.asarray(p.mean(axis=0), np.float32), settings.window) for p in products)
        a11, a22 = a11 + np.float32(settings.damping), a22 + np.float32(settings.damping)
        determinant = a11 * a22 - a12 * a12
        moves = np.stack([(a12 * b2 - a22 * b1) / determinant, (a12 * b1 - a11 * b2) / determinant])
        length = np.sqrt((moves**2).sum(axis=0))
        moves *= np.minimum(1.0, settings.max_step / np.maximum(length, 1e-6))
        refined = np.asarray(refined + moves, np.float32)
    if settings.smooth is not None:
        refined = np.stack([blur(np.ascontiguousarray(part), settings.smooth) for part in refined])
    return np.asarray(refined, np.float32)


def compose(pairs: Sequence[tuple[Array, Array]], mapper: Mapper = map) -> list[Array]:
    """See ``MotionOps.compose``."""
    composed: list[Array] = [first for first, _ in pairs]

    def one(i: int) -> None:
        composed[i] = _compose(*pairs[i])

    run(mapper, one, range(len(pairs)))
    return composed


def correct_composed(matches: Sequence[ComposedMatch], mapper: Mapper = map) -> list[Array]:
    """See ``MotionOps.correct_composed``."""
    corrections: list[Array] = [match.first for match in matches]

    def one(i: int) -> None:
        match = matches[i]
        composed = _compose(match.first, match.second)
        refined = refine(match.current, match.other, composed, match.settings)
        corrections[i] = np.asarray(refined - composed, np.float32)

    run(mapper, one, range(len(matches)))
    return corrections


def _compose(first: Array, second: Array) -> Array:
    carried = warp(np.ascontiguousarray(second.transpose(1, 2, 0)), first / np.float32(CELL))
    return np.asarray(first + carried.transpose(2, 0, 1), np.float32)
