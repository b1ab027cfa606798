"""Motion is steady: fields averaged over a few frames and both directions, wherever they agree.

What a coarse quantiser leaves of a picture moves as the codec said, not as the scene did: a copied block stands still for
one frame and makes up for it in the next. Single fields then err by tenths of a pixel to either side, and their mean over
neighbouring frames errs far less. The weights fall with the distance from a field's own vector (Tomasi and Manduchi 1998,
along time), so that what really changes is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from codecvsr.bitstream.native import fields_library
from codecvsr.motion import kernels
from codecvsr.motion.refine import by_qp
from codecvsr.motion.sample import Array

REACH = 2  #: frames on either side whose motion counts
_SIGMA = 1.5  # frames: a Gaussian of the distance in time
_TOLERANCE = (0.1, 0.3)  # pixels, at fine and at coarse quantisers: a vector so far away gets half its weight
_QP_RANGE = (20.0, 38.0)
_SHARES = {k: float(np.exp(-0.5 * (k / _SIGMA) ** 2)) for k in range(-REACH, REACH + 1)}
_FLOAT_MAX = np.finfo(np.float32).max

Fields = Mapping[int, Array]


def steady_numpy(field: Array, others: Sequence[Array], shares: Sequence[float], tolerance: float) -> Array:
    """The weighted mean of a field (2, h, w) and of others of its shape, cell by cell.

    Args:
        field: its weight is 1.
        others: those that are not finite somewhere do not count there.
        shares: their weights where they agree with ``field``; a negative one turns the vectors round.
        tolerance: in pixels; a vector so far from that of ``field`` gets half its weight.
    """
    falloff = np.float32(1.0) / (np.float32(tolerance) * np.float32(tolerance))
    total, weights = field.copy(), np.ones(field.shape[1:], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for other, share in zip(others, shares, strict=True):
            vectors = other if share >= 0 else -other
            apart = vectors - field
            far = (apart[0] * apart[0] + apart[1] * apart[1]) * falloff
            counts = far <= _FLOAT_MAX
            weight = np.where(counts, np.float32(abs(share)) / (np.float32(1.0) + far), np.float32(0))
            total += np.where(counts, weight * vectors, np.float32(0))
            weights += weight
        return np.asarray(total / weights, np.float32)


def steady(field: Array, others: Sequence[Array], shares: Sequence[float], tolerance: float) -> Array:
    """:func:`steady_numpy`, done by the native library where it was built."""
    library = fields_library()
    if library is None:
        return steady_numpy(field, others, shares, tolerance)
    return kernels.steady(library, field, others, shares, tolerance)


def steadied(
    t: int,
    step: int,
    along: Fields,
    against: Fields,
    qp: float,
    stays_in_scene: Callable[[int, int], bool],
    *,
    both: bool = True,
) -> Array:
    """The field of frame ``t`` to frame ``t + step``, averaged with those of the intervals around it.

    Args:
        t: the frame.
        step: -1 or +1.
        along: fields (2, h, w) in pixels by frame, each to the frame ``step`` away, of up to :data:`REACH` frames to each
            side.
        against: likewise in the other direction, of one frame more; turned round they tell of the same intervals.
        qp: mean luma quantiser of the frame.
        stays_in_scene: whether both of two frames exist and no cut lies between them.
        both: off: only ``along`` counts.
    """
    field = along[t]
    if not stays_in_scene(t, t + step):
        return field
    others: list[Array] = []
    shares: list[float] = []
    for k, share in _SHARES.items():
        start, end = t + k, t + k + step
        if not (stays_in_scene(t, start) and stays_in_scene(t, end)):
            continue
        if k:
            others.append(along[start])
            shares.append(share)
        if both:
            others.append(against[end])
            shares.append(-share)
    return steady(field, others, shares, by_qp(_TOLERANCE, qp, _QP_RANGE))
