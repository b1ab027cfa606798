"""Matches over several frames: what keeps composed fields from drifting.

Errors of one-frame fields add up along a track. A direct match between frames further apart sees their sum: the last
fields are composed, the composed match is refined once, and its correction goes evenly to the fields it consists of.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from codecvsr.constants import CELL
from codecvsr.motion.ops import native
from codecvsr.motion.ops.frame_arrays import Placed
from codecvsr.motion.ops.native import Mapper, Prepared, Refinement, run
from codecvsr.motion.ops.reference import Array, gaussian_taps, warp_numpy
from codecvsr.motion.refine import by_qp, refine_numpy
from codecvsr.native_libraries import field_library

FRAMES = 4  #: frames that a direct match spans
_WINDOW = (2.6, 6.4)  # sigma in pixels, at fine and at coarse quantisers
_DAMPING = (1.0, 8.0)
_LONGEST_STEP = 0.6  # pixels, over all the frames
_GAIN = 1.5  # a field has its part of up to four corrections, each of which finds half of what is missing

Fields = Mapping[int, Array] | Sequence[Array]


@lru_cache(maxsize=64)
def settings(qp: float) -> Refinement:
    """One short step at a mean quantiser."""
    return Refinement(
        steps=1,
        window=gaussian_taps(by_qp(_WINDOW, qp) / CELL),
        smooth=None,
        damping=by_qp(_DAMPING, qp),
        robust=6.0,
        longest_step=_LONGEST_STEP,
    )


def compose_numpy(first: Array, second: Array) -> Array:
    """(2, h, w) in pixels: ``first``, then ``second`` from where it points, bilinear between cell centres."""
    carried = warp_numpy(np.ascontiguousarray(second.transpose(1, 2, 0)), first / np.float32(CELL))
    return np.asarray(first + carried.transpose(2, 0, 1), np.float32)


def correction_numpy(current: Prepared, other: Prepared, first: Array, second: Array, how: Refinement) -> Array:
    """What refining ``first`` and then ``second`` (2, h, w) changes, from ``current`` to ``other``."""
    composed = compose_numpy(first, second)
    return np.asarray(refine_numpy(current, other, composed, how) - composed, np.float32)


def spread_numpy(field: Array, parts: Sequence[Array], gain: float) -> Array:
    """A field (2, h, w) and ``gain`` times the mean of up to four others."""
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    total *= np.float32(gain) / np.float32(len(parts))
    total += field
    return total


class Drift:
    """The matches of one direction, kept while fields to come still need them."""

    def __init__(self, step: int) -> None:
        """``step``: index of the neighbour the fields point at, -1 or +1."""
        self._step = step
        self._pairs = Placed()
        self._found = Placed()

    def correct(
        self,
        frames: Sequence[int],
        field: Fields,
        prepared: Mapping[int, Prepared] | Sequence[Prepared],
        qp: Mapping[int, float] | Sequence[float],
        stays_in_scene: Callable[[int, int], bool],
        mapper: Mapper = map,
        into: Placed | None = None,
    ) -> Placed:
        """The fields of ``frames``, so that their composition over :data:`FRAMES` frames matches better.

        Args:
            frames: which fields, in rising order, each frame once in the life of the object.
            field: motion between neighbouring frames (2, h, w) by frame, in pixels: of ``frames`` and of the three
                frames to each side, where there are such frames.
            prepared: pictures by frame (:func:`codecvsr.motion.refine.prepare`), one farther.
            qp: mean luma quantisers by frame.
            stays_in_scene: whether both of two frames exist and no cut lies between them.
            mapper: runs the frames; what it runs at once does not depend on each other.
            into: where the fields go.

        Returns:
            ``into``, (2, h, w) by frame. A field changes by no more than a quarter of the longest step times the gain: 0.225
            pixels.
        """
        corrected = Placed() if into is None else into
        if not frames:
            return corrected
        step = self._step
        passing = {t - k * step for t in frames for k in range(FRAMES)}
        starts = [t for t in sorted(passing - self._found.keys()) if stays_in_scene(t, t + FRAMES * step)]
        pairs = sorted({start + k * step for start in starts for k in (0, 2)} - self._pairs.keys())
        # A match that starts up to three frames earlier on its way passes here too. Its correction is smoother than
        # what moves between those frames, so it is taken at the same place of the picture.
        reached = self._found.keys() | set(starts)
        parts = {t: [start for k in range(FRAMES) if (start := t - k * step) in reached] for t in frames}
        library = field_library()
        if library is None:
            self._correct_numpy(pairs, starts, parts, field, prepared, qp, mapper, corrected)
        else:
            self._correct_natively(
                library, pairs, starts, parts, Placed.of(field), Placed.of(prepared), qp, mapper, corrected
            )
        for kept in (self._pairs, self._found):
            kept.drop_before(frames[-1] + 2 - FRAMES)
        return corrected

    def _correct_numpy(
        self,
        pairs: Sequence[int],
        starts: Sequence[int],
        parts: Mapping[int, Sequence[int]],
        field: Fields,
        prepared: Mapping[int, Prepared] | Sequence[Prepared],
        qp: Mapping[int, float] | Sequence[float],
        mapper: Mapper,
        corrected: Placed,
    ) -> None:
        def join(t: int) -> None:
            self._pairs.put(t, compose_numpy(field[t], field[t + self._step]))

        def match(t: int) -> None:
            pictures = prepared[t], prepared[t + FRAMES * self._step]
            joined = self._pairs[t], self._pairs[t + 2 * self._step]
            self._found.put(t, correction_numpy(*pictures, *joined, settings(qp[t])))

        run(mapper, join, pairs)
        run(mapper, match, starts)
        for t, passing in parts.items():
            found = [self._found[start] for start in passing]
            corrected.put(t, spread_numpy(field[t], found, _GAIN / FRAMES) if found else field[t])

    def _correct_natively(
        self,
        library: ctypes.CDLL,
        pairs: Sequence[int],
        starts: Sequence[int],
        parts: Mapping[int, Sequence[int]],
        field: Placed,
        prepared: Placed,
        qp: Mapping[int, float] | Sequence[float],
        mapper: Mapper,
        corrected: Placed,
    ) -> None:
        step, at, picture = self._step, field.at, prepared.at
        shape = field[next(iter(parts))].shape
        cells = shape[1], shape[2]
        self._pairs.make(pairs, shape)
        joined = self._pairs.at
        native.compose(library, [(at[t], at[t + step], joined[t]) for t in pairs], cells, mapper)
        self._found.make(starts, shape)
        found = self._found.at
        hows = [settings(qp[t]) for t in starts]
        jobs = [
            (picture[t], picture[t + FRAMES * step], joined[t], joined[t + 2 * step], how.at, found[t])
            for t, how in zip(starts, hows, strict=True)
        ]
        native.correct(library, jobs, cells, mapper)
        changed = [t for t, passing in parts.items() if passing]
        corrected.make(changed, shape)
        for t in parts.keys() - corrected.keys():
            corrected.share(t, field)
        spreads = [
            (at[t], *[found[start] for start in parts[t]], *[0] * (FRAMES - len(parts[t])), corrected.at[t])
            for t in changed
        ]
        native.spread(library, spreads, _GAIN / FRAMES, cells, mapper)
