"""Frames on their way from the reader to the network: a queue of bounded length."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

from codecvsr.bitstream.frame import CodedFrame

CAPACITY = 64  #: frames


@dataclass(frozen=True)
class Section:
    """A part of a stream that is decoded and upscaled in one run: between losses of the source and changes of its size.

    Attributes:
        number: counts the sections of a stream.
        codec: libav's name of the codec.
        height: of its pictures, in pixels.
        width: of its pictures.
        rate: frames per second, as the stream states them or as they come.
        has_vectors: its frames have motion vectors of whole pictures.
        pixel_aspect: width / height of a pixel.
    """

    number: int
    codec: str
    height: int
    width: int
    rate: Fraction
    has_vectors: bool
    pixel_aspect: Fraction = Fraction(1)


@dataclass(frozen=True)
class LiveFrame:
    """A decoded frame.

    Attributes:
        coded: the frame.
        seconds: when it is shown, on the clock of the stream.
        arrived: when it was decoded, on the clock of ``time.monotonic``.
        was_late: the reader had to wait for room before it: its arrival says nothing about the source.
        section: of the stream.
    """

    coded: CodedFrame
    seconds: float
    arrived: float
    was_late: bool
    section: Section


class FrameQueue:
    """At most :data:`CAPACITY` frames; the reader waits where it is full, so that memory does not grow."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._frames: deque[LiveFrame] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._ended = self._stopped = False

    def wait_for_room(self) -> bool:
        """Waits until there is room; returns whether that took time. For the only thread that puts frames."""
        with self._changed:
            waited = len(self._frames) >= self._capacity
            self._changed.wait_for(lambda: self._stopped or len(self._frames) < self._capacity)
            return waited

    def put(self, frame: LiveFrame) -> None:
        """Adds a frame; call :meth:`wait_for_room` before."""
        with self._changed:
            self._frames.append(frame)
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """Declares that no frame follows; ``error`` is raised where the next one is asked for."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Declares that nobody takes frames any more; a reader that waits for room goes on."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def is_stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped

    def get(self, timeout: float) -> LiveFrame | None:
        """Returns the next frame; None if none comes within ``timeout`` seconds.

        Raises:
            EOFError: the stream has ended.
            BaseException: the error that ended it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._ended, timeout)
            if self._frames:
                frame = self._frames.popleft()
                self._changed.notify_all()
                return frame
            if self._error is not None:
                raise self._error
            if self._ended:
                raise EOFError
            return None
