"""Where the codec saw no motion for a while, what steps of a fraction of a pixel find is smooth.

An encoder that leaves a cell where it is, frame after frame and over all the distances to its references, says that it moves by
less than a few hundredths of a pixel a frame: the camera rests, or drifts slowly. What gradients find there is this drift,
the same for many cells, and noise, another for each, which along a track adds up to pixels. So vectors of such cells are
drawn to the robust mean of those around them, by as much as they deviate from it on average; what deviates further is
left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from codecvsr.motion.ops import native
from codecvsr.motion.ops.reference import MAXIMUM, Array, blur_numpy, gaussian_taps
from codecvsr.native_libraries import field_library

RADIUS = 4  #: frames on either side that are looked at
_WINDOW = 4.0  # sigma in cells
_STRENGTH = 2.5  # times the mean deviation: a vector so far from the mean goes half the way to it
_MAX_TOLERANCE = 0.15  # pixels: it is at most that
_HALF_WEIGHT = np.float32(0.03)  # pixels: a vector so far from the mean counts half in it
_MAX_DEVIATION = np.float32(0.1)  # pixels: more counts as that in the mean deviation
_NOTHING = np.float32(1e-6)
_ROUNDS = 2


def static_share(static: Sequence[npt.NDArray[np.bool_]]) -> Array | None:
    """How much the cells of a frame count, (h, w) in 0..1: the squared part of frames in which they stood still.

    ``static``: (h, w) of the frame and of those around it. None where no cell ever did.
    """
    share = np.asarray(np.mean(static, axis=0, dtype=np.float32), np.float32)
    return share * share if share.any() else None


def static_smoothing_numpy(field: Array, share: Array, taps: Array, strength: float, max_tolerance: float) -> Array:
    """A field drawn to its own robust mean around every cell.

    Args:
        field: (2, h, w) in pixels; vectors that are not finite stay as they are.
        share: (h, w) in 0..1, how much a cell counts, and by how much it is drawn.
        taps: half a filter on cells (:func:`codecvsr.motion.ops.reference.gaussian_taps`).
        strength: a vector that deviates by so many mean deviations goes half the way.
        max_tolerance: or by so many pixels, where that is less.
    """
    counts = (share > 0) & (share <= 1) & (np.abs(field) <= MAXIMUM).all(axis=0)
    share = np.where(counts, share, np.float32(0))
    if not counts.any():
        return field.copy()
    known = np.where(counts, field, np.float32(0))
    weights = share
    for _ in range(_ROUNDS):
        total = blur_numpy(weights, taps) + _NOTHING
        mean = np.stack([blur_numpy(part * weights, taps) / total for part in known])
        apart = ((known - mean) ** 2).sum(axis=0)
        weights = share / (np.float32(1) + apart / (_HALF_WEIGHT * _HALF_WEIGHT))
    deviation = (share * np.minimum(np.sqrt(apart), _MAX_DEVIATION)).sum() / max(share.sum(), np.float32(1))
    bound = np.float32(min(strength * deviation, max_tolerance)) ** 2 * share
    kept = np.divide(apart, apart + bound, out=np.ones_like(apart), where=bound > 0)
    return np.where(counts, mean + (known - mean) * kept, field)


def even(field: Array, share: Array) -> Array:
    """:func:`static_smoothing_numpy` with the settings used, done by the native library where it was built."""
    library, taps = field_library(), gaussian_taps(_WINDOW)
    if library is None:
        return static_smoothing_numpy(field, share, taps, _STRENGTH, _MAX_TOLERANCE)
    return native.even(library, field, share, taps, _STRENGTH, _MAX_TOLERANCE)
