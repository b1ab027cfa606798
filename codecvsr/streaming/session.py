"""A live stream from its frames to its pictures: windows, their network, and the pace."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codecvsr.errors import CodecVSRError
from codecvsr.streaming.controller import Controller
from codecvsr.streaming.frame_queue import FrameQueue, LiveFrame, Section
from codecvsr.streaming.levels import Level
from codecvsr.streaming.motion import LiveMotion
from codecvsr.streaming.schedule import Schedule

_MAX_WINDOW = 32  # frames: more look-ahead gains nothing, and costs memory
_MAX_LOOK_AHEAD = 4  # frames that are seen beyond those that are made: more are worth nothing (docs/live.md)
_LATE = 0.25  # seconds that a frame waits longer than planned, before the window begins with what is there
_MEASURED_STEPS = 4  # of a window, before the time of its end is estimated
_THREADS = 4


class _TooSlow(Exception):
    """The window would end too late; ``behind`` seconds."""

    def __init__(self, behind: float) -> None:
        super().__init__(behind)
        self.behind = behind


@dataclass(frozen=True)
class MadePicture:
    """An enlarged picture.

    Attributes:
        rgb: (4H, 4W, 3).
        frame: the frame it was made of.
        model: the network that made it.
    """

    rgb: npt.NDArray[np.uint8]
    frame: LiveFrame
    model: str


@dataclass(frozen=True)
class WindowPlan:
    """How many frames a window makes, and how many it sees beyond them.

    A frame waits for at most ``made + look_ahead - 1`` frames after it.
    """

    made: int
    look_ahead: int

    @classmethod
    def of(cls, latency: float, rate: float) -> WindowPlan:
        """Returns the plan for ``latency`` seconds at ``rate`` frames per second: half of the latency is look-ahead."""
        waiting = min(int(latency * rate + 1e-6), _MAX_WINDOW - 1)
        look_ahead = min((waiting + 1) // 2, _MAX_LOOK_AHEAD)
        return cls(waiting + 1 - look_ahead, look_ahead)


class Session:
    """Makes the pictures of a live stream.

    Attributes:
        controller: chooses the network.
    """

    def __init__(
        self, queue: FrameQueue, levels: Sequence[Level], controller: Controller, latency: float, *, is_paced: bool
    ) -> None:
        """Takes the frames of ``queue``.

        Args:
            queue: filled by a reader.
            levels: the networks, the best first.
            controller: of these networks.
            latency: seconds that a frame may wait for those after it.
            is_paced: the source gives frames at a rate of its own; where none comes, those that wait are made.
        """
        self._queue, self._levels, self._latency, self._is_paced = queue, levels, latency, is_paced
        self.controller = controller
        self._schedule = Schedule()
        self._pool = ThreadPoolExecutor(min(os.cpu_count() or 1, _THREADS))
        self._pending: list[LiveFrame] = []
        self._added = 0  # of them, to the motion
        self._motion: LiveMotion | None = None
        self._section: Section | None = None
        self._plan = WindowPlan(1, 0)

    def pictures(self) -> Iterator[MadePicture]:
        """Yields the pictures in display order, each once its window is made.

        Raises:
            InputError: the input cannot be used.
        """
        try:
            while True:
                frame = self._next()
                if frame is None:  # nothing comes: make what is there
                    yield from self._flush()
                    continue
                if frame.section is not self._section:
                    yield from self._flush()
                    self._begin(frame.section)
                self._schedule.add(frame)
                self._pending.append(frame)
                while self._is_ready():
                    self._choose()
                    yield from self._make(max(1, len(self._pending) - self._look_ahead))
        except EOFError:
            yield from self._flush()
        except CodecVSRError:
            yield from self._flush()
            raise
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _next(self) -> LiveFrame | None:
        """Returns the next frame; None where the first that waits has waited too long."""
        if not self._pending or not self._is_paced:
            while (frame := self._queue.get(timeout=1.0)) is None:
                pass
            return frame
        left = self._pending[0].arrived + self._latency + _LATE - time.monotonic()
        return self._queue.get(timeout=max(left, 0.0))

    @property
    def _level(self) -> Level:
        return self._levels[self.controller.level]

    @property
    def _look_ahead(self) -> int:
        return self._plan.look_ahead if self._level.needs_motion else 0

    def _is_ready(self) -> bool:
        count = len(self._pending)
        if not count or not self._level.needs_motion:
            return count > 0
        span = self._pending[-1].seconds - self._pending[0].seconds
        is_full = count >= self._plan.made + self._plan.look_ahead
        return is_full or (count > self._plan.look_ahead and span >= self._latency)

    def _begin(self, section: Section) -> None:
        self._schedule.restart()
        self._section, self._plan = section, WindowPlan.of(self._latency, float(section.rate))
        self._reset()

    def _reset(self) -> None:
        """Forgets the past: the next frame begins anew."""
        self._motion, self._added = None, 0
        for level in self._levels:
            level.reset()

    def _flush(self) -> Iterator[MadePicture]:
        """Makes all frames that are there, without look-ahead."""
        while self._pending:
            yield from self._make(len(self._pending))

    def _choose(self) -> None:
        """Chooses the network of the window that is complete."""
        first, level = self._pending[0], self.controller.level
        planned = (self._plan.made + self._plan.look_ahead - 1) / float(first.section.rate)
        self.controller.choose(self._schedule.age(first) - planned)
        if self.controller.level != level:
            self._reset()

    def _make(self, count: int) -> Iterator[MadePicture]:
        """Makes the first ``count`` frames that wait; with a faster network where the one in use does not keep up."""
        while count:
            begun = time.monotonic()
            done = 0
            try:
                for picture in self._upscaled(count):
                    done += 1
                    yield picture
            except _TooSlow as error:
                self._reset()
                self.controller.fall_back(error.behind)
            self._pending = self._pending[done:]
            self._added = max(self._added - done, 0)
            count -= done
            if done and self._section is not None:
                self.controller.measured(time.monotonic() - begun, done / float(self._section.rate))

    def _upscaled(self, count: int) -> Iterator[MadePicture]:
        level, frames = self._level, self._pending
        if not level.needs_motion:
            if self._motion is not None:
                self._reset()
            pixels = np.stack([frame.coded.rgb for frame in frames[:count]])
            made = level.upscale(pixels, None, count, None)
        else:
            assert self._section is not None
            if self._motion is None:
                self._motion = LiveMotion(self._section, self._pool.map)
            for frame in frames[self._added :]:
                self._motion.add(frame)
            self._added = len(frames)
            watch = self._watch(len(frames) + count)
            pixels = np.stack([frame.coded.rgb for frame in frames])
            made = level.upscale(pixels, self._motion.window(count), count, watch)
        for frame, rgb in zip(frames[:count], made, strict=True):
            yield MadePicture(rgb, frame, level.name)

    def _watch(self, steps: int) -> Callable[[], None]:
        """Returns a function to call after each step of a window; it raises where the window would end too late."""
        begun, first, done = time.monotonic(), self._pending[0], 0
        # A window may last until the next one is complete.
        planned = (2 * self._plan.made + self._plan.look_ahead) / float(first.section.rate)

        def step() -> None:
            nonlocal done
            done += 1
            if done < _MEASURED_STEPS:
                return
            left = (time.monotonic() - begun) / done * max(steps - done, 0)
            behind = self._schedule.age(first) + left - planned
            if self.controller.is_too_slow(behind):
                raise _TooSlow(behind)

        return step
