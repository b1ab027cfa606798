"""From raw vectors to motion between neighbouring frames.

A vector says how a block moved since *some* reference picture, one to several frames away. Here, per cell: which
reference it was, how fast that is per frame, and, for both directions, which of several plausible velocities matches the
decoded pictures best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.native import fields_library
from codecvsr.motion import kernels
from codecvsr.motion.field import BlockField
from codecvsr.motion.kernels import Candidate
from codecvsr.motion.sample import Array, fill_holes_numpy, matching_error, matching_error_numpy, splat_numpy

PAST, FUTURE = 0, 1
_STEP = (-1, +1)  # display index of the neighbour in each direction
_MOST_REFERENCES = (4, 3)  # pictures tried per list, nearest first
_FARTHER_MUST_WIN_BY = 0.92
_B = 3  # of StreamFacts.types
_MOST_REORDERED = 32  # places between the orders of decoding and of display; the standard allows 16 frames

Mapper = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]  #: ``map``, or that of a pool of threads


@dataclass(frozen=True)
class StreamFacts:
    """What the stream says of each of T frames, in display order.

    Attributes:
        types: (T,) uint8, 1 = I, 2 = P, 3 = B.
        is_reference: (T,) bool.
        is_idr: (T,) bool.
        decode_order: (T,) int, the decode index of each displayed frame.
        most_references: pictures that are kept for reference at once (``max_num_ref_frames``), None where not known.
    """

    types: npt.NDArray[np.uint8]
    is_reference: npt.NDArray[np.bool_]
    is_idr: npt.NDArray[np.bool_]
    decode_order: npt.NDArray[np.int32]
    most_references: int | None = None


def usable_references(facts: StreamFacts, t: int, direction: int) -> list[int]:
    """Frames that a block of frame ``t`` can be predicted from, nearest first.

    A reference picture was decoded earlier, is marked as used for reference, and is not older than the last IDR
    picture in decode order (ITU-T H.264 clause 8.2.5.1). Of those, ``most_references`` are kept, the last decoded ones
    (clause 8.2.5.3); B-frames do not count, since encoders give them up before their turn.
    """
    decode = facts.decode_order
    limit = _MOST_REFERENCES[direction]
    kept_from = -1
    if facts.most_references:
        limit = min(limit, facts.most_references)
        anchors = np.sort(decode[facts.is_reference & (facts.types != _B) & (decode < decode[t])])
        if len(anchors) >= facts.most_references:
            kept_from = int(anchors[-facts.most_references])
    idr = decode[facts.is_idr & (decode <= decode[t])]
    oldest = max(int(idr.max()) if idr.size else -1, kept_from)
    step = _STEP[direction]
    found: list[int] = []
    r = t + step
    while 0 <= r < len(decode) and len(found) < limit:
        if not oldest - _MOST_REORDERED <= decode[r] < decode[t] + _MOST_REORDERED:
            break
        if facts.is_reference[r] and oldest <= decode[r] < decode[t]:
            found.append(r)
        r += step
    return found


def best_reference_numpy(
    current: Array, others: Sequence[Array], distances: Sequence[int], raw: Array
) -> tuple[Array, Array]:
    """Which of ``others`` the vectors ``raw`` (2, h, w) point at, per cell; a later one must win by a margin.

    Returns:
        velocity (2, h, w): ``raw`` divided by the distance of the picture chosen, NaN where there is none;
        error (h, w): its matching error, infinity where there is none.
    """
    best = np.full(raw.shape[1:], np.inf, np.float32)
    distance = np.full_like(best, np.nan)
    for other, far in zip(others, distances, strict=True):
        match = matching_error_numpy(current, other, raw)
        better = match < best * np.float32(_FARTHER_MUST_WIN_BY)
        best[better] = match[better]
        distance[better] = far
    return raw / distance, best


def best_reference(
    current: Array, others: Sequence[Array], distances: Sequence[int], raw: Array
) -> tuple[Array, Array]:
    """:func:`best_reference_numpy`, done by the native library where it was built."""
    library = fields_library()
    if library is None:
        return best_reference_numpy(current, others, distances, raw)
    return kernels.best_reference(library, current, others, distances, raw, _FARTHER_MUST_WIN_BY)


def best_candidate_numpy(
    current: Array, other: Array, candidates: Sequence[Candidate], cells: tuple[int, int]
) -> tuple[Array, Array]:
    """Per cell the candidate that matches best, the first of equal ones; those empty everywhere are left out.

    Returns:
        field (2, h, w) in pixels and error (h, w) in luma steps.
    """
    known: list[Array] = []
    for candidate in candidates:
        if candidate.field is None:
            known.append(np.zeros((2, *cells), np.float32))
            continue
        if candidate.priority is None:
            field = candidate.field * np.float32(candidate.sign)
        else:
            field = splat_numpy(candidate.field, candidate.sign, candidate.priority)
        if np.isfinite(field).all(axis=0).any():
            known.append(fill_holes_numpy(field))
    matches = np.stack([matching_error_numpy(current, other, c) for c in known])
    best = matches.argmin(axis=0)
    error = np.take_along_axis(matches, best[None], 0)[0]
    return np.take_along_axis(np.stack(known), best[None, None], 0)[0], error


def best_candidate(
    current: Array, other: Array, candidates: Sequence[Candidate], cells: tuple[int, int]
) -> tuple[Array, Array]:
    """:func:`best_candidate_numpy`, done by the native library where it was built."""
    library = fields_library()
    if library is None:
        return best_candidate_numpy(current, other, candidates, cells)
    return kernels.best_candidate(library, current, other, candidates, cells)


def velocities(
    fields: Sequence[BlockField], lumas: Sequence[Array], facts: StreamFacts, mapper: Mapper = map
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The motion per frame of every block, and how well its best reference matches.

    Args:
        fields: the raw vectors of T frames.
        lumas: their pictures, whole cells.
        facts: what the stream says of them.
        mapper: runs the frames, which do not depend on each other.

    Returns:
        velocity (2, T, 2, h, w): by list, in pixels per frame along the list's direction, NaN where there is none;
        error (2, T, h, w): matching error of the chosen reference, infinity where there is none.
    """
    h, w = fields[0].past.shape[1:]
    velocity = np.full((2, len(fields), 2, h, w), np.nan, np.float32)
    error = np.full((2, len(fields), h, w), np.inf, np.float32)

    def one_frame(t: int) -> None:
        for direction, raw in ((PAST, fields[t].past), (FUTURE, fields[t].future)):
            references = usable_references(facts, t, direction)
            if references and not np.isnan(raw[0]).all():
                others, distances = [lumas[r] for r in references], [abs(r - t) for r in references]
                found = best_reference(lumas[t], others, distances, raw)
                velocity[direction, t], error[direction, t] = found

    for _ in mapper(one_frame, range(len(fields))):
        pass  # an error of a thread is raised here
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
    for t in range(frames) if direction == PAST else range(frames - 1, -1, -1):
        n, opposite = t + step, t - step  # the neighbour we look for, and the frame on the other side
        if not 0 <= n < frames:
            continue
        own = velocity[direction, t]
        if not invert:
            field[t] = np.where(np.isnan(own), np.float32(0), own)
            error[t] = matching_error(lumas[t], lumas[n], field[t])
            continue
        candidates = [
            Candidate(own),
            Candidate(velocity[other, t], -1),
            Candidate(velocity[other, n], -1, velocity_error[other, n]),
        ]
        if 0 <= opposite < frames:
            candidates.append(Candidate(velocity[direction, opposite], 1, velocity_error[direction, opposite]))
        if 0 <= n + step < frames:
            candidates.append(Candidate(-field[n], -1, error[n]))
        candidates.append(Candidate(None))
        field[t], error[t] = best_candidate(lumas[t], lumas[n], candidates, (h, w))
    return field, error


def raw_fields(fields: Sequence[BlockField]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Vectors taken as motion between neighbours whatever their reference: what ``--ablate-resolve`` shows.

    Centred and scaled right, but not divided by the reference distance; a frame without future vectors gets its own
    past vectors negated. Returns to_prev and to_next, (T, 2, h, w) each, zero where there is no vector.
    """
    past = np.stack([f.past for f in fields])
    future = np.stack([f.future if not np.isnan(f.future).all() else -f.past for f in fields])
    return np.nan_to_num(past, nan=0.0), np.nan_to_num(future, nan=0.0)
