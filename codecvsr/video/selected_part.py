"""The part of a source that was selected: which packets and chapters lie in it, on a clock that begins with it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av


class SelectedPart:
    """A part of a source, or all of it."""

    def __init__(self, begin: Fraction | None = None, end: Fraction | None = None) -> None:
        """``begin`` and ``end`` in seconds; None for all."""
        self._begin, self._end = begin, end

    def contains(self, packet: av.Packet) -> bool:
        """Moves a packet's time to the clock of the part; returns False for a packet outside of it.

        A subtitle that is shown when the part begins is shown from then on.
        """
        if self._begin is None or self._end is None:
            return True
        pts = packet.dts if packet.pts is None else packet.pts
        assert pts is not None
        base = packet.time_base
        start, stop = pts * base, (pts + (packet.duration or 0)) * base
        if packet.stream.type == "subtitle" and start < self._begin < stop and packet.pts is not None:
            late = round((self._begin - start) / base)
            packet.pts = packet.dts = packet.pts + late
            packet.duration = (packet.duration or 0) - late
        elif not self.has_time(start):
            return False
        self.shift(packet)
        return True

    def has_time(self, seconds: Fraction) -> bool:
        """Whether a time of the source lies in the part."""
        return self._begin is None or self._end is None or self._begin <= seconds < self._end

    def shift(self, packet: av.Packet) -> None:
        """Moves a packet's time to the clock of the part."""
        by = 0 if self._begin is None else round(self._begin / packet.time_base)
        if packet.pts is not None:
            packet.pts -= by
        if packet.dts is not None:
            packet.dts -= by

    def chapters(self, chapters: list[Any]) -> list[Any]:
        """Returns the chapters that lie in the part, cut to it."""
        if self._begin is None or self._end is None:
            return chapters
        selected = []
        for chapter in chapters:
            base = chapter["time_base"] or Fraction(1, 1000)
            start = max(chapter["start"] * base, self._begin) - self._begin
            stop = min(chapter["end"] * base, self._end) - self._begin
            if start < stop:
                selected.append({**chapter, "start": round(start / base), "end": round(stop / base)})
        return selected
