"""The last stages from refined fields to finished ones, in rounds: drift corrected, then steadied.

Each stage takes its turn as soon as the frames to come that it looks at are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from codecvsr.motion.drift import FRAMES, Drift
from codecvsr.motion.ops.frame_arrays import Placed
from codecvsr.motion.ops.native import Mapper, Prepared
from codecvsr.motion.ops.reference import Array
from codecvsr.motion.temporal_filter import RADIUS, STEPS, steady

ROUNDS = 2
_LOOK = max(FRAMES - 1, RADIUS + 1)  # frames to each side whose fields a stage looks at

Fields = tuple[Placed, Placed]  # motion to the previous and to the next frame, by frame


class Finishing:
    """Takes refined fields in, and gives finished ones back when their turn has come."""

    def __init__(self, *, both: bool = True) -> None:
        """``both``: fields of one direction tell of the other too."""
        self._both = both
        self._drift = [[Drift(step) for step in STEPS] for _ in range(ROUNDS)]
        self._layers: list[Fields] = [
            (Placed(), Placed()) for _ in range(2 * ROUNDS + 1)
        ]  # before, between and after the stages
        self._until = [0] * (2 * ROUNDS + 1)

    @property
    def done(self) -> int:
        """Fields of so many frames are finished."""
        return self._until[-1]

    def add(self, direction: int, t: int, field: Array) -> None:
        """The refined field of frame ``t``, to the previous (0) or to the next frame (1); each once."""
        self._layers[0][direction].put(t, field)

    def take(self, direction: int, t: int) -> Array:
        """The finished field of frame ``t``, which is given once."""
        return self._layers[-1][direction].drop(t)

    def advance(
        self,
        end: int,
        prepared: Mapping[int, Prepared],
        qp: Mapping[int, float],
        stays_in_scene: Callable[[int, int], bool],
        mapper: Mapper,
        *,
        ended: bool,
    ) -> None:
        """Do what can be done.

        Args:
            end: fields of frames before it were added, and of the frame at it at least picture and cuts are known.
            prepared: pictures by frame (:func:`codecvsr.motion.refine.prepare`).
            qp: mean luma quantisers by frame.
            stays_in_scene: whether both of two frames exist and no cut lies between them.
            mapper: runs the frames of a stage.
            ended: no frames come after ``end``.
        """
        self._until[0] = end
        for stage in range(2 * ROUNDS):
            before, after = self._layers[stage], self._layers[stage + 1]
            frames = range(self._until[stage + 1], end if ended else self._until[stage] - _LOOK)
            if not frames:
                break
            if stage % 2 == 0:
                for drift, found, given in zip(self._drift[stage // 2], after, before, strict=True):
                    drift.correct(frames, given, prepared, qp, stays_in_scene, mapper, into=found)
            else:
                steady(frames, before, qp, stays_in_scene, mapper, after, both=self._both)
            self._until[stage + 1] = frames.stop
            for fields_by_frame in before:
                fields_by_frame.drop_before(frames.stop - _LOOK)
