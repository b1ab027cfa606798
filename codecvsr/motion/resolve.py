"""From raw vectors to motion between neighbouring frames.

A vector says how a block moved since *some* reference picture, one to several frames away. Here, per cell: which
reference it was, how fast that is per frame, and, for both directions, which of several plausible velocities matches the
decoded pictures best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codecvsr.motion.field import BlockField
from codecvsr.motion.sample import Array, fill_holes, matching_error, splat

PAST, FUTURE = 0, 1
_STEP = (-1, +1)  # display index of the neighbour in each direction
_MOST_REFERENCES = (4, 3)  # pictures tried per list, nearest first
_FARTHER_MUST_WIN_BY = 0.92


@dataclass(frozen=True)
class StreamFacts:
    """What the stream says of each of T frames, in display order.

    Attributes:
        types: (T,) uint8, 1 = I, 2 = P, 3 = B.
        is_reference: (T,) bool.
        is_idr: (T,) bool.
        decode_order: (T,) int, the decode index of each displayed frame.
    """

    types: npt.NDArray[np.uint8]
    is_reference: npt.NDArray[np.bool_]
    is_idr: npt.NDArray[np.bool_]
    decode_order: npt.NDArray[np.int32]


def usable_references(facts: StreamFacts, t: int, direction: int) -> list[int]:
    """Frames that a block of frame ``t`` can be predicted from, nearest first.

    A reference picture was decoded earlier, is marked as used for reference, and is not older than the last IDR
    picture in decode order (ITU-T H.264 clause 8.2.5.1).
    """
    decode = facts.decode_order
    idr = decode[facts.is_idr & (decode <= decode[t])]
    oldest = idr.max() if idr.size else -1
    step = _STEP[direction]
    found: list[int] = []
    r = t + step
    while 0 <= r < len(decode) and len(found) < _MOST_REFERENCES[direction]:
        if facts.is_reference[r] and oldest <= decode[r] < decode[t]:
            found.append(r)
        r += step
    return found


def velocities(
    fields: Sequence[BlockField], lumas: Sequence[Array], facts: StreamFacts
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The motion per frame of every block, and how well its best reference matches.

    Returns:
        velocity (2, T, 2, h, w): by list, in pixels per frame along the list's direction, NaN where there is none;
        error (2, T, h, w): matching error of the chosen reference, infinity where there is none.
    """
    h, w = fields[0].past.shape[1:]
    velocity = np.full((2, len(fields), 2, h, w), np.nan, np.float32)
    error = np.full((2, len(fields), h, w), np.inf, np.float32)
    for t, field in enumerate(fields):
        for direction, raw in ((PAST, field.past), (FUTURE, field.future)):
            if np.isnan(raw[0]).all():
                continue
            best, distance = error[direction, t], np.zeros((h, w), np.float32)
            for r in usable_references(facts, t, direction):
                match = matching_error(lumas[t], lumas[r], raw)
                better = match < (best if not distance.any() else best * _FARTHER_MUST_WIN_BY)
                best[better] = match[better]
                distance[better] = abs(r - t)
            with np.errstate(divide="ignore", invalid="ignore"):
                velocity[direction, t] = np.where(distance > 0, raw / distance, np.nan)
    return velocity, error


def choose(
    velocity: npt.NDArray[np.float32],
    velocity_error: npt.NDArray[np.float32],
    lumas: Sequence[Array],
    direction: int,
    *,
    invert: bool = True,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Motion from every frame to its neighbour in ``direction``: per cell the candidate that matches best.

    Candidates: the block's own velocity; its velocity in the other list, negated; the neighbour's motion towards this
    frame, carried along itself and negated; the opposite neighbour's motion, carried here; the field just found for the
    frame before (behind, for the future), carried here; no motion. Without ``invert`` only the block's own velocity.

    Returns:
        field (T, 2, h, w) in pixels, zero for the frame that has no neighbour;
        error (T, h, w) in luma steps, zero there too.
    """
    other, step = 1 - direction, _STEP[direction]
    _, frames, _, h, w = velocity.shape
    field = np.zeros((frames, 2, h, w), np.float32)
    error = np.zeros((frames, h, w), np.float32)
    nothing = np.zeros((2, h, w), np.float32)
    for t in range(frames) if direction == PAST else range(frames - 1, -1, -1):
        n, opposite = t + step, t - step  # the neighbour we look for, and the frame on the other side
        if not 0 <= n < frames:
            continue
        own = velocity[direction, t]
        if not invert:
            field[t] = np.where(np.isnan(own), np.float32(0), own)
            error[t] = matching_error(lumas[t], lumas[n], field[t])
            continue
        candidates = [own, -velocity[other, t], splat(velocity[other, n], -1, velocity_error[other, n])]
        if 0 <= opposite < frames:
            candidates.append(splat(velocity[direction, opposite], 1, velocity_error[direction, opposite]))
        if 0 <= n + step < frames:
            candidates.append(splat(-field[n], -1, error[n]))
        candidates.append(nothing)
        known = [fill_holes(c) for c in candidates if not np.isnan(c[0]).all()]
        matches = np.stack([matching_error(lumas[t], lumas[n], c) for c in known])
        best = matches.argmin(axis=0)
        error[t] = np.take_along_axis(matches, best[None], 0)[0]
        field[t] = np.take_along_axis(np.stack(known), best[None, None], 0)[0]
    return field, error


def raw_fields(fields: Sequence[BlockField]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Vectors taken as motion between neighbours whatever their reference: what ``--ablate-resolve`` shows.

    Centred and scaled right, but not divided by the reference distance; a frame without future vectors gets its own
    past vectors negated. Returns to_prev and to_next, (T, 2, h, w) each, zero where there is no vector.
    """
    past = np.stack([f.past for f in fields])
    future = np.stack([f.future if not np.isnan(f.future).all() else -f.past for f in fields])
    return np.nan_to_num(past, nan=0.0), np.nan_to_num(future, nan=0.0)
