"""Matches over several frames, which keep composed fields from drifting.

Errors of fields between neighbours add up along a track, and a direct match between frames farther apart sees their sum. The
fields over :data:`FRAMES` frames are composed, the composed field is refined by one step, and its correction is shared equally
among the fields that it consists of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from codecvsr.constants import CELL
from codecvsr.motion import ops
from codecvsr.motion.frame_store import StaysInScene, discard_before
from codecvsr.motion.ops.records import ComposedMatch, RefineSettings, gaussian_taps
from codecvsr.motion.qp_scaling import by_qp
from codecvsr.motion.types import Array, Mapper, Prepared

FRAMES = 4  #: frames that a direct match spans
_WINDOW = (2.6, 6.4)  # sigma in pixels, at low and at high QP
_DAMPING = (1.0, 8.0)
_ROBUST = 6.0  # luma steps
_MAX_STEP = 0.6  # pixels, over all the frames
_GAIN = 1.5  # of the mean of up to four corrections, each of which finds about 50 % of what is missing


@lru_cache(maxsize=64)
def settings(qp: float) -> RefineSettings:
    """Returns the settings of one short step at a mean luma QP."""
    return RefineSettings(
        steps=1,
        window=gaussian_taps(by_qp(_WINDOW, qp) / CELL),
        smooth=None,
        damping=by_qp(_DAMPING, qp),
        robust=_ROBUST,
        max_step=_MAX_STEP,
    )


class Drift:
    """Corrects the fields of one direction; stores the matches that later fields need."""

    def __init__(self, step: int) -> None:
        """``step``: index of the neighbour that the fields point at, -1 or +1."""
        self._step = step
        self._composed: dict[int, Array] = {}  # over two frames, by first frame
        self._corrections: dict[int, Array] = {}  # over FRAMES frames, by first frame

    def correct(
        self,
        frames: Sequence[int],
        fields: Mapping[int, Array] | Sequence[Array],
        prepared: Mapping[int, Prepared] | Sequence[Prepared],
        qp: Mapping[int, float] | Sequence[float],
        stays_in_scene: StaysInScene,
        mapper: Mapper = map,
    ) -> dict[int, Array]:
        """Corrects fields so that their composition over :data:`FRAMES` frames matches better.

        Args:
            frames: indices in rising order, each frame once in the life of the object.
            fields: motion between neighbouring frames (2, h, w) by frame, in pixels: of ``frames`` and of the three
                frames on each side, where they exist.
            prepared: prepared pictures by frame, of one frame more on each side.
            qp: mean luma QP by frame.
            stays_in_scene: whether two frames exist and no cut lies between them.
            mapper: runs independent frames.

        Returns:
            The fields (2, h, w) by frame. A field changes by at most a quarter of the longest step times the gain: 0.225
            pixels.
        """
        if not frames:
            return {}
        step, table = self._step, ops.table()
        starting = {t - k * step for t in frames for k in range(FRAMES)}
        starts = [t for t in sorted(starting - self._corrections.keys()) if stays_in_scene(t, t + FRAMES * step)]
        pairs = sorted({start + k * step for start in starts for k in (0, 2)} - self._composed.keys())
        composed = table.compose([(fields[t], fields[t + step]) for t in pairs], mapper)
        self._composed.update(zip(pairs, composed, strict=True))
        matches = [
            ComposedMatch(
                prepared[t],
                prepared[t + FRAMES * step],
                self._composed[t],
                self._composed[t + 2 * step],
                settings(qp[t]),
            )
            for t in starts
        ]
        self._corrections.update(zip(starts, table.correct_composed(matches, mapper), strict=True))

        # A match that starts up to three frames earlier on the track includes this field too. Its correction is smoother than
        # the motion between those frames, so it is read at the same place of the picture.
        corrected, changed, sums = {}, [], []
        for t in frames:
            parts = [self._corrections[start] for k in range(FRAMES) if (start := t - k * step) in self._corrections]
            if parts:
                changed.append(t)
                sums.append((fields[t], parts))
            else:
                corrected[t] = fields[t]
        corrected.update(zip(changed, table.add_mean(sums, _GAIN / FRAMES, mapper), strict=True))
        discard_before(frames[-1] + 2 - FRAMES, self._composed, self._corrections)
        return corrected

    def rewind(self, first: int) -> None:
        """Deletes the matches in which frames from ``first`` on take part; :meth:`correct` accepts these frames again."""
        for matches, frames in ((self._composed, 2), (self._corrections, FRAMES)):
            for t in [t for t in matches if max(t, t + frames * self._step) >= first]:
                del matches[t]
