"""Matches over several frames: what keeps composed fields from drifting.

Errors of one-frame fields add up along a track. A direct match between frames further apart sees their sum: the last
fields are composed, the composed match is refined once, and its correction goes evenly to the fields it consists of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from codecvsr.bitstream.native import fields_library
from codecvsr.motion import kernels
from codecvsr.motion.field import CELL
from codecvsr.motion.kernels import Refinement
from codecvsr.motion.refine import by_qp, refine_numpy
from codecvsr.motion.resolve import Mapper
from codecvsr.motion.sample import Array, gaussian_taps, warp_numpy

FRAMES = 4  #: frames that a direct match spans
_WINDOW = (2.6, 6.4)  # sigma in pixels, at fine and at coarse quantisers
_DAMPING = (3.0, 8.0)
_LONGEST_STEP = 0.6  # pixels, over all the frames
_GAIN = 1.5  # a field has its part of up to four corrections, each of which finds half of what is missing


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


def compose(first: Array, second: Array) -> Array:
    """:func:`compose_numpy`, done by the native library where it was built."""
    library = fields_library()
    return compose_numpy(first, second) if library is None else kernels.compose(library, first, second)


def correction_numpy(current: Array, other: Array, first: Array, second: Array, how: Refinement) -> Array:
    """What refining ``first`` and then ``second`` (2, h, w) changes, from ``current`` to ``other``."""
    composed = compose_numpy(first, second)
    return np.asarray(refine_numpy(current, other, composed, how) - composed, np.float32)


def correction(current: Array, other: Array, first: Array, second: Array, how: Refinement) -> Array:
    """:func:`correction_numpy`, done by the native library where it was built."""
    library = fields_library()
    if library is None:
        return correction_numpy(current, other, first, second, how)
    return kernels.correct(library, current, other, first, second, how)


def spread_numpy(field: Array, parts: Sequence[Array], share: float) -> Array:
    """A field (2, h, w) and ``share`` times the sum of one or more others."""
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    total *= np.float32(share)
    total += field
    return total


def spread(field: Array, parts: Sequence[Array], share: float) -> Array:
    """:func:`spread_numpy`, done by the native library where it was built."""
    library = fields_library()
    return spread_numpy(field, parts, share) if library is None else kernels.spread(library, field, parts, share)


class Drift:
    """The matches of one direction, kept while fields to come still need them."""

    def __init__(self, step: int) -> None:
        """``step``: index of the neighbour the fields point at, -1 or +1."""
        self._step = step
        self._pairs: dict[int, Array] = {}
        self._found: dict[int, Array] = {}

    def correct(
        self,
        frames: Sequence[int],
        field: Mapping[int, Array] | Sequence[Array],
        blurred: Mapping[int, Array] | Sequence[Array],
        qp: Mapping[int, float] | Sequence[float],
        stays_in_scene: Callable[[int, int], bool],
        mapper: Mapper = map,
    ) -> list[Array]:
        """The fields of ``frames``, so that their composition over :data:`FRAMES` frames matches better.

        Args:
            frames: which fields, in rising order, each frame once in the life of the object.
            field: motion between neighbouring frames (2, h, w) by frame, in pixels: of ``frames`` and of the three
                frames to each side, where there are such frames.
            blurred: pictures by frame (:func:`codecvsr.motion.refine.pre_blur`), one farther.
            qp: mean luma quantisers by frame.
            stays_in_scene: whether both of two frames exist and no cut lies between them.
            mapper: runs the frames; what it runs at once does not depend on each other.

        Returns:
            (2, h, w) each. A field changes by no more than a quarter of the longest step times the gain: 0.225 pixels.
        """
        step = self._step
        passing = {t - k * step for t in frames for k in range(FRAMES)}
        starts = [t for t in sorted(passing - self._found.keys()) if stays_in_scene(t, t + FRAMES * step)]

        def join(t: int) -> None:
            self._pairs[t] = compose(field[t], field[t + step])

        def match(t: int) -> None:
            pictures, fields = (blurred[t], blurred[t + FRAMES * step]), (self._pairs[t], self._pairs[t + 2 * step])
            self._found[t] = correction(*pictures, *fields, settings(qp[t]))

        run(mapper, join, sorted({start + k * step for start in starts for k in (0, 2)} - self._pairs.keys()))
        run(mapper, match, starts)
        corrected = [self._corrected(t, field[t]) for t in frames]
        if frames:
            for kept in (self._pairs, self._found):
                for t in [t for t in kept if t + FRAMES <= frames[-1] + 1]:
                    del kept[t]
        return corrected

    def _corrected(self, t: int, field: Array) -> Array:
        # A match that starts up to three frames earlier on its way passes here too. Its correction is smoother than
        # what moves between those frames, so it is taken at the same place of the picture.
        parts = [self._found[start] for k in range(FRAMES) if (start := t - k * self._step) in self._found]
        if not parts:
            return field
        return spread(field, parts, _GAIN / (FRAMES * len(parts)))


def run(mapper: Mapper, work: Callable[[int], None], frames: Iterable[int]) -> None:
    """Do ``work`` for every frame; an error of a thread is raised here."""
    for _ in mapper(work, frames):
        pass
