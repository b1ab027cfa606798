"""From raw vectors to motion between neighbouring frames.

A vector is the displacement of a block since *some* reference picture, one to several frames away. This module finds, per cell,
which reference it was, how fast that is per frame, and, for both directions, which of several plausible velocities matches the
decoded pictures best.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from codecvsr.motion import ops
from codecvsr.motion.grid import grid_shape
from codecvsr.motion.ops.records import Candidate
from codecvsr.motion.types import PAST, STEPS, TYPE_CODES, Array, BlockField, Luma, Sums

_MAX_REFERENCES = (4, 3)  # pictures tried per list, nearest first
_FARTHER_MUST_WIN_BY = 0.92
_MAX_REORDERED = 32  # places between the orders of decoding and of display; the standard allows 16 frames
MAX_REFERENCE = (32, 16)  #: frames, by direction; encoders put at most 16 B-frames between two others

Velocity = tuple[Array, Array]  #: the result of :func:`block_velocity`


@dataclass(frozen=True)
class StreamFacts:
    """Codec data of T frames, in display order.

    Attributes:
        types: (T,) uint8, 1 = I, 2 = P, 3 = B.
        is_reference: (T,) bool.
        is_idr: (T,) bool.
        decode_order: (T,) int, the decode index of each displayed frame.
        max_references: number of pictures in the reference buffer (``max_num_ref_frames``), None where unknown.
        references_per_list: pictures that the vectors of one list can mean: 1 before H.264; None: as many as are stored.
    """

    types: npt.NDArray[np.uint8]
    is_reference: npt.NDArray[np.bool_]
    is_idr: npt.NDArray[np.bool_]
    decode_order: npt.NDArray[np.int32]
    max_references: int | None = None
    references_per_list: int | None = None

    @cached_property
    def order(self) -> list[int]:
        """``decode_order`` as a list."""
        return self.decode_order.tolist()

    @cached_property
    def used(self) -> list[bool]:
        """``is_reference`` as a list."""
        return self.is_reference.tolist()

    @cached_property
    def anchors(self) -> list[int]:
        """The decode indices of the reference pictures that are no B-frames, in rising order."""
        return sorted(self.decode_order[self.is_reference & (self.types != TYPE_CODES["B"])].tolist())

    @cached_property
    def idrs(self) -> list[int]:
        """Those of the IDR pictures."""
        return sorted(self.decode_order[self.is_idr].tolist())


def usable_references(facts: StreamFacts, t: int, direction: int) -> list[int]:
    """Returns the frames that a block of frame ``t`` can be predicted from, nearest first.

    A reference picture was decoded earlier, is marked as used for reference, and is not older than the last IDR
    picture in decode order (ITU-T H.264 clause 8.2.5.1). Of those, the last ``max_references`` decoded ones remain
    (clause 8.2.5.3); B-frames do not count, since encoders remove them earlier. None is farther away than
    :data:`MAX_REFERENCE`.

    Codecs before H.264 know one picture a list: the nearest that is no B-frame (ISO/IEC 13818-2 clause 7.6.2).
    """
    decode, is_reference = facts.order, facts.used
    limit = min(_MAX_REFERENCES[direction], facts.references_per_list or _MAX_REFERENCES[direction])
    oldest_anchor = -1
    if facts.max_references:
        limit = min(limit, facts.max_references)
        earlier = bisect_left(facts.anchors, decode[t])
        if earlier >= facts.max_references:
            oldest_anchor = facts.anchors[earlier - facts.max_references]
    idrs = bisect_right(facts.idrs, decode[t])
    oldest = max(facts.idrs[idrs - 1] if idrs else -1, oldest_anchor)
    step = STEPS[direction]
    found: list[int] = []
    r = t + step
    while 0 <= r < len(decode) and len(found) < limit and abs(r - t) <= MAX_REFERENCE[direction]:
        if not oldest - _MAX_REORDERED <= decode[r] < decode[t] + _MAX_REORDERED:
            break
        if is_reference[r] and oldest <= decode[r] < decode[t]:
            found.append(r)
        r += step
    return found


def block_velocity(
    t: int, raw: Array, references: Sequence[int], lumas: Mapping[int, Luma] | Sequence[Luma]
) -> Velocity | None:
    """Returns the motion per frame of every block of frame ``t``, and how well its best reference matches.

    Args:
        t: index of the frame.
        raw: (2, h, w) its vectors of one list in pixels, NaN where there are none.
        references: frames that they may point at (:func:`usable_references`).
        lumas: pictures by frame, whole cells.

    Returns:
        velocity (2, h, w) in pixels per frame along the list's direction, NaN where there is none, and error (h, w), the
        matching error of the chosen reference in luma steps, infinity where there is none; None if no cell has a vector.
    """
    if not references or np.isnan(raw[0]).all():
        return None
    pictures, distances = [lumas[r] for r in references], [abs(r - t) for r in references]
    return ops.table().best_reference(lumas[t], pictures, distances, raw, _FARTHER_MUST_WIN_BY)


def best_motion(
    t: int,
    direction: int,
    lumas: Mapping[int, Luma] | Sequence[Luma],
    velocities: Mapping[int, tuple[Velocity | None, Velocity | None]],
    found: Mapping[int, tuple[Array, Array]],
    *,
    invert: bool = True,
) -> tuple[Array, Array, Sums | None]:
    """Returns motion from frame ``t`` to its neighbour in ``direction``: per cell the candidate that matches best.

    Candidates: the block's own velocity; its velocity in the other list, negated; the neighbour's motion towards this
    frame, carried along itself and negated; the opposite neighbour's motion, carried here; the field found before for
    the neighbour, carried here; no motion. Without ``invert`` only the block's own velocity.

    Args:
        t: index of the frame; its neighbour exists.
        direction: ``PAST`` or ``FUTURE``.
        lumas: pictures by frame, whole cells.
        velocities: :func:`block_velocity` by frame, of both lists, for ``t`` and the frames around it that exist.
        found: fields and errors by frame; used if the neighbour's are among them.
        invert: off: a missing direction stays empty.

    Returns:
        field (2, h, w) in pixels, error (h, w) in luma steps, and the sums of :func:`block_search.search`, None without
        ``invert``.
    """
    other, n, opposite = 1 - direction, t + STEPS[direction], t - STEPS[direction]
    cells = grid_shape(*lumas[t].shape)
    own = velocities[t][direction]
    if not invert:
        field = np.zeros((2, *cells), np.float32) if own is None else np.where(np.isnan(own[0]), np.float32(0), own[0])
        return field, ops.table().matching_error(lumas[t], lumas[n], field), None
    candidates = [Candidate(own[0])] if own else []
    if reverse := velocities[t][other]:
        candidates.append(Candidate(reverse[0], -1))
    if towards := velocities[n][other]:
        candidates.append(Candidate(towards[0], -1, towards[1]))
    if opposite in velocities and (along := velocities[opposite][direction]):
        candidates.append(Candidate(along[0], 1, along[1]))
    if n in found:
        candidates.append(Candidate(-found[n][0], -1, found[n][1]))
    candidates.append(Candidate(None))
    return ops.table().best_candidate(lumas[t], lumas[n], candidates, cells)


def raw_field(block: BlockField, direction: int) -> Array:
    """Returns vectors as motion between neighbours whatever their reference: ``--ablate-resolve``.

    Centred and scaled correctly, but not divided by the reference distance; a frame without future vectors gets its own
    past vectors negated. (2, h, w) in pixels, zero where there is no vector.
    """
    if direction == PAST:
        return np.nan_to_num(block.past, nan=0.0)
    return np.nan_to_num(-block.past if np.isnan(block.future).all() else block.future, nan=0.0)
