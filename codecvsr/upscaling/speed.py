"""Speed and remaining time of a run, without its start-up; and events that are passed on seldom enough to cost nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from codecvsr.upscaling.chunk_events import ChunkAdvanced
from codecvsr.upscaling.chunks import Chunk

_EVERY_SECONDS = 0.2  # between two events of a phase


class Throttle:
    """Says when the next event is due: at once, then every fifth of a second."""

    def __init__(self) -> None:
        self._last = -float("inf")

    def is_due(self) -> bool:
        """Returns whether so much time has passed since it last returned True."""
        now = time.monotonic()
        if now - self._last < _EVERY_SECONDS:
            return False
        self._last = now
        return True


class Seldom:
    """Passes events of chunks on: the first of a phase, then as :class:`Throttle` says."""

    def __init__(self, emit: Callable[[ChunkAdvanced], None]) -> None:
        """``emit`` receives the events."""
        self._emit, self._phase, self._throttle = emit, "", Throttle()

    def __call__(self, event: ChunkAdvanced) -> None:
        """Passes ``event`` on, or not."""
        if event.phase != self._phase:
            self._phase, self._throttle = event.phase, Throttle()
        if self._throttle.is_due():
            self._emit(event)


class Meter:
    """Measures how fast frames are made, from the network's first step on.

    A frame counts by the share of its work that is done: a recurrent network passes over all frames of a window before the
    first one is complete.
    """

    def __init__(self, total: int) -> None:
        """``total``: frames that this run makes."""
        self._total = total
        self._shares: dict[int, float] = {}  # frames done by chunk, with parts of frames
        self._frames: Counter[int] = Counter()
        self._begun: float | None = None
        self._at_begin = 0.0

    @property
    def position(self) -> float:
        """Frames done, with parts of frames."""
        return min(sum(self._shares.values()), float(self._total))

    @property
    def frames(self) -> int:
        """Whole frames done."""
        return self._frames.total()

    def advance(self, chunk: Chunk, done: float) -> None:
        """Notes that ``done`` frames of a chunk's work are done; fewer than before change nothing."""
        self._shares[chunk.index] = max(self._shares.get(chunk.index, 0.0), done)
        if self._begun is None:
            self._begun, self._at_begin = time.monotonic(), self.position

    def set_frames(self, chunk: Chunk, frames: int) -> None:
        """Notes the whole frames of a chunk."""
        self._frames[chunk.index] = frames
        self.advance(chunk, frames)

    def lose(self, chunk: Chunk) -> None:
        """Notes that a chunk is made again."""
        self._frames[chunk.index], self._shares[chunk.index] = 0, 0.0

    def count_of(self, chunk: Chunk) -> int:
        """Returns the whole frames of a chunk."""
        return self._frames[chunk.index]

    def frames_per_second(self) -> float:
        """Returns the speed without start-up; that of a run of one step is unknown and 0."""
        if self._begun is None:
            return 0.0
        elapsed = time.monotonic() - self._begun
        return max(self.position - self._at_begin, 0.0) / elapsed if elapsed > 0 else 0.0

    def eta_seconds(self) -> float | None:
        """Returns the expected time to the last frame; None while the speed is unknown."""
        speed = self.frames_per_second()
        return (self._total - self.position) / speed if speed > 0 else None
