"""When the frames of a live stream are due."""

from __future__ import annotations

import time

from codecvsr.streaming.frame_queue import LiveFrame

_LEAK = 0.02  # seconds per second: how fast a delay of the source is forgotten


class Schedule:
    """The times at which a source gives its frames, whatever the load of this machine.

    A source that gives several seconds at once (HLS) is on time, not early: the latest arrivals count. A frame that the reader
    could not take at once says nothing, as its arrival is the reader's.
    """

    def __init__(self) -> None:
        self._offset: float | None = None  # from the time of a frame to its arrival
        self._updated = 0.0

    def add(self, frame: LiveFrame) -> None:
        """Takes note of a frame's arrival."""
        if frame.was_late and self._offset is not None:
            return
        offset = frame.arrived - frame.seconds
        if self._offset is None:
            self._offset = offset
        else:
            self._offset = max(self._offset - _LEAK * (frame.arrived - self._updated), offset)
        self._updated = frame.arrived

    def restart(self) -> None:
        """Forgets the arrivals: the source was lost and found."""
        self._offset = None

    def age(self, frame: LiveFrame) -> float:
        """Returns the seconds since a frame was due to arrive."""
        return 0.0 if self._offset is None else time.monotonic() - (self._offset + frame.seconds)
