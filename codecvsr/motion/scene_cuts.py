"""Scene cuts: where pictures match badly and the codec predicts little from the past."""

from __future__ import annotations

import numpy as np

from codecvsr.motion.coded_frames import CodedFrames
from codecvsr.motion.frame_store import discard_before, discard_from

_MIN_ERROR = 10.0  # luma steps
_MIN_RATIO = 3.0  # to the median error of the frames around
_MIN_INTRA_SHARE = 0.5  # of the cells: those without a vector to the past
CONTEXT = 3  #: frames on each side that a frame is compared with


class SceneCuts:
    """Finds the first frames of scenes, frame after frame."""

    def __init__(self, coded: CodedFrames) -> None:
        self._coded = coded
        self.known = 0  #: for frames before this one it is known whether they are cuts
        self.error: dict[int, float] = {}  #: mean matching error to the previous frame in luma steps, set by the caller
        self.is_cut: dict[int, bool] = {}
        self._scene: dict[int, int] = {}  # number of cuts up to a frame

    def find(self, end: int) -> None:
        """Decides for the frames before ``end``; :attr:`error` of up to :data:`CONTEXT` frames more is known.

        A cut matches the frame before badly, far worse than the frames around do, and consists mostly of cells that are
        intra-coded or predicted from the future alone.
        """
        for t in range(self.known, end):
            self.is_cut[t] = False
            if t > 0 and self.error[t] > _MIN_ERROR:
                near = range(max(t - CONTEXT, 1), t + CONTEXT + 1)
                around = [self.error[k] for k in near if k != t and self._coded.exists(k)]
                usual = float(np.median(around)) if around else 0.0
                intra_share = np.isnan(self._coded.blocks[t].past[0]).mean()
                self.is_cut[t] = bool(self.error[t] > _MIN_RATIO * usual and intra_share >= _MIN_INTRA_SHARE)
            self._scene[t] = self._scene.get(t - 1, 0) + self.is_cut[t]
        self.known = max(self.known, end)

    def stays_in_scene(self, t: int, other: int) -> bool:
        """Returns whether two frames exist and no cut lies between them."""
        return self._coded.exists(t) and self._coded.exists(other) and self._scene[t] == self._scene[other]

    def discard_before(self, first: int) -> None:
        """Deletes the entries of frames before ``first``."""
        discard_before(first, self.error, self.is_cut, self._scene)

    def rewind(self, first: int) -> None:
        """Deletes the decisions on frames from ``first`` on; :meth:`find` makes them again."""
        self.known = min(self.known, first)
        discard_from(first, self.error, self.is_cut, self._scene)
