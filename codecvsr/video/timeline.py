"""Source times to output times: frames and packets whose times are missing, repeated or run backwards."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av

_MAX_REORDERED = 16  # places between the orders of coding and of display
_PREROLL = Fraction(1, 10)  # seconds: longer than a packet of sound
_USUAL_DURATION = Fraction(1, 50)  # seconds of a single packet that states none
_MAX_OVERLAP = Fraction(1, 10)  # seconds of sound where parts were joined


def display_times(times: Sequence[int | None], step: int) -> list[int]:
    """Returns strictly increasing display times of frames in display order.

    Missing times are interpolated. Times that came in coding order (AVI with B-frames) are sorted. Where the clock restarts,
    later frames follow ``step`` after the last one; a single time that lies before the last one is interpolated.

    Args:
        times: as the container states them, None where it does not.
        step: usual duration of a frame, in the same units; at least 1.
    """
    known = _fill(times, step)
    if _is_increasing(known):
        return known
    by_time = sorted(range(len(known)), key=known.__getitem__)
    ordered = [known[i] for i in by_time]
    if _is_increasing(ordered) and all(abs(i - place) <= _MAX_REORDERED for place, i in enumerate(by_time)):
        return ordered
    result: list[int] = []
    offset = 0
    for index, time in enumerate(known):
        moved = time + offset
        if result and moved <= result[-1]:
            last = result[-1]
            following = known[index + 1] + offset if index + 1 < len(known) else moved
            if following > last + 1 and following - last <= 3 * step:
                moved = last + max(min(step, (following - last) // 2), 1)
            elif following > last + 1 or moved == last:  # a single fault, or a repeated time
                moved = last + 1 if moved == last and following <= last + 1 else last + step
            else:
                moved = last + step
                offset = moved - time
        result.append(moved)
    return result


def _fill(times: Sequence[int | None], step: int) -> list[int]:
    """Returns ``times`` with missing ones interpolated, or continued by ``step`` at both ends."""
    known = [index for index, time in enumerate(times) if time is not None]
    if not known:
        return [index * step for index in range(len(times))]
    result = [0 if time is None else time for time in times]
    for index in range(known[0]):
        result[index] = result[known[0]] - (known[0] - index) * step
    for index in range(known[-1] + 1, len(times)):
        result[index] = result[index - 1] + step
    for left, right in itertools.pairwise(known):
        for index in range(left + 1, right):
            result[index] = result[left] + (result[right] - result[left]) * (index - left) // (right - left)
    return result


def _is_increasing(times: Sequence[int]) -> bool:
    return all(a < b for a, b in itertools.pairwise(times))


class PacketTimes:
    """Keeps the times of one copied stream's packets increasing, as muxers require.

    Sound without a time, or with one far before the last, begins where the last packet ended: it lasts as long as it plays.
    Other packets move by the least amount. A packet without a duration lasts as long as the one before.

    Attributes:
        moved: number of packets whose time was replaced.
    """

    def __init__(self, kind: str) -> None:
        """``kind``: PyAV's type of the stream, such as "audio"."""
        self.moved = 0
        self._is_sound = kind == "audio"
        self._is_subtitle = kind == "subtitle"
        self._step = 0
        self._min_step = 0 if kind == "subtitle" else 1
        self._last: int | None = None
        self._end = 0

    def correct(self, packet: av.Packet) -> None:
        """Changes the times of the next packet where they are missing or do not increase."""
        known = packet.pts if packet.dts is None else packet.dts
        if known is None:
            if not self._is_sound:
                return  # shown at no time
            packet.pts = packet.dts = known = self._end
            self.moved += 1
        elif self._last is not None and known < self._last + self._min_step:
            earliest = self._last + self._min_step
            if self._is_sound and (self._last - known) * packet.time_base > _MAX_OVERLAP:
                earliest = max(earliest, self._end)
                self.moved += 1
            by = earliest - known
            packet.pts = None if packet.pts is None else packet.pts + by
            packet.dts = None if packet.dts is None else packet.dts + by
            known = earliest
        if self._last is not None and known > self._last:
            self._step = known - self._last
        if not packet.duration and not self._is_subtitle:  # MP4 hides a last packet of no duration
            packet.duration = self._step or max(round(_USUAL_DURATION / packet.time_base), 1)
        self._last, self._end = known, known + (packet.duration or 0)


def shown_packets(packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
    """Yields packets that an edit list does not hide, and the hidden one before the first audio packet, for the decoder."""
    hidden: dict[int, av.Packet] = {}
    for packet in packets:
        if packet.is_discard:
            hidden[packet.stream_index] = packet
            continue
        before = hidden.pop(packet.stream_index, None)
        if before is not None and packet.stream.type == "audio":
            gap = (packet_time(packet) or 0) - (packet_time(before) or 0)
            if gap <= _PREROLL:
                yield before
        yield packet


def packet_time(packet: av.Packet) -> Fraction | None:
    """Returns when a packet is decoded or, where that is not known, shown, in seconds."""
    value = packet.pts if packet.dts is None else packet.dts
    return None if value is None else value * packet.time_base
