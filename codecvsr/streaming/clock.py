"""The clock of a live stream: it goes on where the source's clock jumps, and where the source is opened again."""

from __future__ import annotations

import time

import av

from codecvsr.bitstream.clock import Clock

_UNIT = 1_000_000  # microseconds
_TOLERANCE = 2 * _UNIT  # of a gap in the source's times that is a gap in real time, too


class StreamClock(Clock):
    """Moves the packets of a source onto one clock.

    A jump of the source's clock is removed, unless as much time has really passed. A source that is opened again goes on as
    much later as it was away.
    """

    def __init__(self) -> None:
        """Starts with the first packet's own time."""
        super().__init__(None)
        self._last_wall = 0.0  # when the latest packet came
        self._resumes_at: int | None = None

    def opened(self, container: av.container.InputContainer, *, is_file: bool) -> None:
        """Declares what the packets come from; a file of a format whose clock does not jump may have long gaps."""
        self.is_active = not is_file or Clock(container).is_active

    def resume(self) -> None:
        """Declares that the next packet comes from the source opened again."""
        self._expected.clear()
        if self._latest is not None:
            self._resumes_at = self._latest + self._passed()

    def move(self, packet: av.Packet) -> None:
        """Moves the next packet of the source."""
        if self._resumes_at is not None and packet.dts is not None:
            self._offset = self._resumes_at - round(packet.dts * packet.time_base * _UNIT)
            self._latest, self._resumes_at = None, None
        super().move(packet)
        self._last_wall = time.monotonic()

    def _passed(self) -> int:
        return round((time.monotonic() - self._last_wall) * _UNIT)

    def _jump(self, stream: int, dts: int) -> int:
        jump = super()._jump(stream, dts)
        return 0 if jump > 0 and abs(jump - self._passed()) < _TOLERANCE else jump
