"""The last stages, in rounds: drift correction, then the temporal filter.

Each stage processes a frame as soon as the later frames that it needs are there.
"""

from __future__ import annotations

from collections.abc import Mapping

from codecvsr.motion.drift import FRAMES, Drift
from codecvsr.motion.frame_store import StaysInScene, discard_before, discard_from
from codecvsr.motion.temporal_filter import RADIUS, filter_over_time
from codecvsr.motion.types import STEPS, Array, Mapper, Prepared

ROUNDS = 2
_CONTEXT = max(FRAMES - 1, RADIUS + 1)  # frames on each side whose fields a stage needs


class Finishing:
    """Stores refined fields and returns finished ones as soon as they can be."""

    def __init__(self, *, both: bool = True) -> None:
        """``both``: fields of one direction also serve the other one."""
        self._both = both
        self._drift = [[Drift(step) for step in STEPS] for _ in range(ROUNDS)]
        # fields by direction and frame, before, between and after the stages
        self._layers: list[tuple[dict[int, Array], dict[int, Array]]] = [({}, {}) for _ in range(2 * ROUNDS + 1)]
        self._until = [0] * (2 * ROUNDS + 1)

    @property
    def done(self) -> int:
        """The number of frames whose fields are finished."""
        return self._until[-1]

    def add(self, direction: int, t: int, field: Array) -> None:
        """Adds the refined field (2, h, w) of frame ``t``, to the previous (0) or to the next frame (1); each once."""
        self._layers[0][direction][t] = field

    def pop(self, direction: int, t: int) -> Array:
        """Removes and returns the finished field of frame ``t``."""
        return self._layers[-1][direction].pop(t)

    def advance(
        self,
        end: int,
        prepared: Mapping[int, Prepared],
        qp: Mapping[int, float],
        stays_in_scene: StaysInScene,
        mapper: Mapper,
        *,
        ended: bool,
        again: int | None = None,
    ) -> None:
        """Runs every stage as far as it can.

        Args:
            end: the fields of the frames before were added; of frame ``end`` itself picture and cuts are known.
            prepared: prepared pictures by frame.
            qp: mean luma QP by frame.
            stays_in_scene: whether two frames exist and no cut lies between them.
            mapper: runs the frames of a stage.
            ended: no frames come after ``end``.
            again: :meth:`rewind` to this frame follows; what that needs stays stored.
        """
        self._until[0] = end
        for stage in range(2 * ROUNDS):
            before, after = self._layers[stage], self._layers[stage + 1]
            frames = range(self._until[stage + 1], end if ended else self._until[stage] - _CONTEXT)
            if not frames:
                break
            if stage % 2 == 0:
                for drift, source, result in zip(self._drift[stage // 2], before, after, strict=True):
                    result.update(drift.correct(frames, source, prepared, qp, stays_in_scene, mapper))
            else:
                filtered = filter_over_time(frames, before, qp, stays_in_scene, mapper, both=self._both)
                for result, fields in zip(after, filtered, strict=True):
                    result.update(fields)
            self._until[stage + 1] = frames.stop
            stored = frames.stop if again is None else min(frames.stop, again)
            discard_before(stored - _CONTEXT, *before)

    def rewind(self, first: int, returned: int) -> None:
        """Deletes the fields of frames from ``first`` on, which are added again.

        The finished fields of frames before ``returned`` are deleted too: nobody asks for them any more.
        """
        self._until = [min(until, first) for until in self._until]
        for stage, layer in enumerate(self._layers):
            discard_from(first, *layer)
            if stage == 2 * ROUNDS:
                discard_before(returned, *layer)
        for drift in (drift for both in self._drift for drift in both):
            drift.rewind(first)
