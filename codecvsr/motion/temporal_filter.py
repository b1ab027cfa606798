"""Fields averaged over a few frames and both directions, wherever they agree.

A high QP makes pictures move as the codec said, not as the scene did: a copied block does not move for one frame and
catches up in the next. Single fields then err by tenths of a pixel to both sides, and their mean over neighbouring frames errs
far less. The weights fall with the distance from a field's own vector (Tomasi and Manduchi 1998, along time), so that real
changes stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from codecvsr.motion import ops
from codecvsr.motion.frame_store import StaysInScene
from codecvsr.motion.ops.records import TemporalWindow
from codecvsr.motion.qp_scaling import by_qp
from codecvsr.motion.types import STEPS, Array, Mapper

RADIUS = 2  #: frames on each side whose motion counts
_SIGMA = 1.5  # frames: a Gaussian of the distance in time
_TOLERANCE = (0.1, 0.3)  # pixels, at low and at high QP: a vector so far away gets 0.5 of its weight
_QP_RANGE = (20.0, 38.0)
_OTHERS = [(k, turned) for k in range(-RADIUS, RADIUS + 1) for turned in (False, True) if k or turned]
_SHARES = [(-1 if turned else 1) * float(np.exp(-0.5 * (k / _SIGMA) ** 2)) for k, turned in _OTHERS]


def filter_over_time(
    frames: Iterable[int],
    fields: Sequence[Mapping[int, Array]],
    qp: Mapping[int, float],
    stays_in_scene: StaysInScene,
    mapper: Mapper = map,
    *,
    both: bool = True,
) -> tuple[dict[int, Array], dict[int, Array]]:
    """Averages the fields of ``frames`` with those of the intervals around them.

    Args:
        frames: indices of the frames.
        fields: by direction (to the previous and to the next frame) and frame, (2, h, w) in pixels: of ``frames`` and of up to
            ``RADIUS + 1`` frames on each side.
        qp: mean luma QP by frame.
        stays_in_scene: whether two frames exist and no cut lies between them.
        mapper: runs the frames.
        both: use the fields of the other direction too: negated, they describe the same intervals.

    Returns:
        The averaged fields by frame, to the previous and to the next frame. A field whose neighbour is missing, or in another
        scene, is returned as it is.
    """
    frames = list(frames)
    filtered: tuple[dict[int, Array], dict[int, Array]] = ({}, {})
    places, windows = [], []
    near = {t: {k: stays_in_scene(t, t + k) for k in range(-RADIUS - 1, RADIUS + 2)} for t in frames}
    for direction, step in enumerate(STEPS):
        along, against = fields[direction], fields[1 - direction]
        for t in frames:
            if not near[t][step]:
                filtered[direction][t] = along[t]
                continue
            others: list[Array | None] = []
            for k, turned in _OTHERS:
                is_known = near[t][k] and near[t][k + step] and (both or not turned)
                others.append((against[t + k + step] if turned else along[t + k]) if is_known else None)
            places.append((direction, t))
            windows.append(TemporalWindow(along[t], others, by_qp(_TOLERANCE, qp[t], _QP_RANGE)))
    averages = ops.table().temporal_filter(windows, _SHARES, mapper)
    for (direction, t), average in zip(places, averages, strict=True):
        filtered[direction][t] = average
    return filtered
