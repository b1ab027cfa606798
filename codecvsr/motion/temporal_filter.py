"""Motion is steady: fields averaged over a few frames and both directions, wherever they agree.

What a coarse quantiser leaves of a picture moves as the codec said, not as the scene did: a copied block stands still for
one frame and makes up for it in the next. Single fields then err by tenths of a pixel to either side, and their mean over
neighbouring frames errs far less. The weights fall with the distance from a field's own vector (Tomasi and Manduchi 1998,
along time), so that what really changes is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from codecvsr.motion.ops import native
from codecvsr.motion.ops.frame_arrays import Placed
from codecvsr.motion.ops.native import Mapper, run
from codecvsr.motion.ops.reference import Array
from codecvsr.motion.refine import by_qp
from codecvsr.native_libraries import field_library

RADIUS = 2  #: frames on either side whose motion counts
_SIGMA = 1.5  # frames: a Gaussian of the distance in time
_TOLERANCE = (0.1, 0.3)  # pixels, at fine and at coarse quantisers: a vector so far away gets half its weight
_QP_RANGE = (20.0, 38.0)
STEPS = (-1, +1)  #: index of the neighbour in each direction
_KINDS = [(k, kind) for k in range(-RADIUS, RADIUS + 1) for kind in (0, 1) if k or kind]  # by distance: along, against
_SHARES = [(-1 if kind else 1) * float(np.exp(-0.5 * (k / _SIGMA) ** 2)) for k, kind in _KINDS]
_WHICH = [kind for _, kind in _KINDS]
_FLOAT_MAX = np.finfo(np.float32).max

Fields = Mapping[int, Array]


def temporal_filter_numpy(field: Array, others: Sequence[Array], shares: Sequence[float], tolerance: float) -> Array:
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


def filtered(
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
        along: fields (2, h, w) in pixels by frame, each to the frame ``step`` away, of up to :data:`RADIUS` frames to each
            side.
        against: likewise in the other direction, of one frame more; turned round they tell of the same intervals.
        qp: mean luma quantiser of the frame.
        stays_in_scene: whether both of two frames exist and no cut lies between them.
        both: off: only ``along`` counts.
    """
    near = _near(t, stays_in_scene)
    if not near[step]:
        return along[t]
    others, shares = [], []
    for share, fields, other in zip(_SHARES, _WHICH, _others(t, step, near, both=both), strict=True):
        if other is not None:
            others.append((along, against)[fields][other])
            shares.append(share)
    return temporal_filter_numpy(along[t], others, shares, by_qp(_TOLERANCE, qp, _QP_RANGE))


def steady(
    frames: Iterable[int],
    along: Sequence[Fields],
    qp: Mapping[int, float],
    stays_in_scene: Callable[[int, int], bool],
    mapper: Mapper,
    into: Sequence[Placed],
    *,
    both: bool = True,
) -> None:
    """:func:`filtered` of ``frames`` in both directions, done by the native library where it was built.

    Args:
        frames: which fields.
        along: fields by frame, to the previous and to the next frame.
        qp: mean luma quantisers by frame.
        stays_in_scene: as in :func:`filtered`.
        mapper: runs the frames.
        into: where the fields go, by direction.
        both: as in :func:`filtered`.
    """
    frames = list(frames)
    library = field_library()
    if library is None:

        def one_frame(t: int) -> None:
            for direction, step in enumerate(STEPS):
                fields = along[direction], along[1 - direction]
                into[direction].put(t, filtered(t, step, *fields, qp[t], stays_in_scene, both=both))

        run(mapper, one_frame, frames)
        return
    placed = [Placed.of(fields) for fields in along]
    jobs, tolerances = [], []
    shape = (0, 0, 0)
    around = {t: _near(t, stays_in_scene) for t in frames}
    for direction, step in enumerate(STEPS):
        changed = [t for t in frames if around[t][step]]
        if changed:
            shape = placed[direction][changed[0]].shape
            into[direction].make(changed, shape)
        at, against = placed[direction].at, placed[1 - direction].at
        for t in frames:
            if not around[t][step]:
                into[direction].share(t, placed[direction])
                continue
            others = _others(t, step, around[t], both=both)
            given = [
                0 if other is None else (against if fields else at)[other]
                for fields, other in zip(_WHICH, others, strict=True)
            ]
            jobs.append((at[t], *given, into[direction].at[t]))
            tolerances.append(by_qp(_TOLERANCE, qp[t], _QP_RANGE))
    native.steady(library, jobs, _SHARES, tolerances, shape[1:], mapper)


def _near(t: int, stays_in_scene: Callable[[int, int], bool]) -> dict[int, bool]:
    """Whether the frames around ``t`` that :func:`filtered` may ask for are of its scene, by distance."""
    return {away: stays_in_scene(t, t + away) for away in range(-RADIUS - 1, RADIUS + 2)}


def _others(t: int, step: int, near: Mapping[int, bool], *, both: bool) -> list[int | None]:
    """The frames whose fields count besides that of ``t``, in the order of the shares; None where there is none."""
    found: list[int | None] = []
    for k in range(-RADIUS, RADIUS + 1):
        is_known = near[k] and near[k + step]
        if k:
            found.append(t + k if is_known else None)
        found.append(t + k + step if is_known and both else None)
    return found
