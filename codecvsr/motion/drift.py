"""Matches over several frames: what keeps composed fields from drifting.

Errors of one-frame fields add up along a track. A direct match between frames further apart sees their sum: the last
fields are composed, the composed match is refined once, and its correction goes evenly to the fields it consists of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.native import fields_library
from codecvsr.motion import kernels
from codecvsr.motion.field import CELL
from codecvsr.motion.kernels import Refinement
from codecvsr.motion.refine import by_qp, refine_as
from codecvsr.motion.resolve import Mapper
from codecvsr.motion.sample import Array, gaussian_taps, warp

FRAMES = 4  #: frames that a direct match spans
_WINDOW = (2.4, 5.0)  # sigma in pixels, at fine and at coarse quantisers
_DAMPING = (6.0, 16.0)
_LONGEST_STEP = 0.6  # pixels, over all the frames
_GAIN = 2.0  # a field has its part of up to four corrections, each of which finds half of what is missing


def settings(qp: float) -> Refinement:
    """One step at a mean quantiser, taken wherever it leads: it is short, and few cells match worse for it."""
    return Refinement(
        steps=1,
        window=gaussian_taps(by_qp(_WINDOW, qp) / 2),
        smooth=None,
        damping=by_qp(_DAMPING, qp),
        robust=6.0,
        longest_step=_LONGEST_STEP,
        keep_ratio=np.inf,
        keep_offset=0.0,
    )


def compose_numpy(first: Array, second: Array) -> Array:
    """(2, h, w) in pixels: ``first``, then ``second`` from where it points, bilinear between cell centres."""
    carried = warp(np.ascontiguousarray(second.transpose(1, 2, 0)), first / np.float32(CELL))
    return np.asarray(first + carried.transpose(2, 0, 1), np.float32)


def compose(first: Array, second: Array) -> Array:
    """:func:`compose_numpy`, done by the native library where it was built."""
    library = fields_library()
    return compose_numpy(first, second) if library is None else kernels.compose(library, first, second)


def correct(
    field: Array,
    step: int,
    blurred: Sequence[Array],
    qp: Sequence[float],
    is_cut: npt.NDArray[np.bool_],
    mapper: Mapper = map,
) -> Array:
    """Fields whose composition over :data:`FRAMES` frames matches better.

    Args:
        field: (T, 2, h, w) motion between neighbouring frames, in pixels.
        step: index of the neighbour the fields point at: -1 or +1.
        blurred: the T pictures (:func:`codecvsr.motion.refine.pre_blur`).
        qp: T mean luma quantisers.
        is_cut: (T,) where a new scene begins: no match crosses it.
        mapper: runs the frames; what it runs at once does not depend on each other.

    Returns:
        (T, 2, h, w). A field changes by no more than a quarter of the longest step times the gain: 0.3 pixels.
    """
    frames = len(field)
    starts = [t for t in range(frames) if _stays_in_scene(is_cut, t, t + FRAMES * step)]
    pairs: dict[int, Array] = {}
    found: dict[int, Array] = {}

    def join(t: int) -> None:
        pairs[t] = compose(field[t], field[t + step])

    def match(t: int) -> None:
        composed = compose(pairs[t], pairs[t + 2 * step])
        found[t] = refine_as(blurred[t], blurred[t + FRAMES * step], composed, settings(qp[t])) - composed

    _run(mapper, join, sorted({start + k * step for start in starts for k in (0, 2)}))
    _run(mapper, match, starts)
    corrected = field.copy()
    for t in range(frames):
        # A match that starts up to three frames earlier on its way passes here too. Its correction is smoother than
        # what moves between those frames, so it is taken at the same place of the picture.
        parts = [found[t - k * step] for k in range(FRAMES) if t - k * step in found]
        if parts:
            corrected[t] += np.float32(_GAIN / (FRAMES * len(parts))) * np.sum(parts, axis=0)
    return corrected


def _stays_in_scene(is_cut: npt.NDArray[np.bool_], t: int, end: int) -> bool:
    return 0 <= end < len(is_cut) and not is_cut[min(t, end) + 1 : max(t, end) + 1].any()


def _run(mapper: Mapper, work: Callable[[int], None], frames: Sequence[int]) -> None:
    for _ in mapper(work, frames):
        pass  # an error of a thread is raised here
