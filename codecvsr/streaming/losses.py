"""Counts what a live stream lost: frames that never came, and pictures that the decoder patched."""

from __future__ import annotations

import time
from collections.abc import Callable

from codecvsr.streaming.decoder import StreamDecoder
from codecvsr.streaming.events import Damaged, LiveEvent

_BETWEEN_EVENTS = 5.0  # seconds
_GAP, _MAX_GAP = 1.6, 2.0  # a gap in the times is a loss from so many usual distances on; up to so many seconds


class Losses:
    """Counts losses, and reports them at most every few seconds.

    Attributes:
        lost_frames: frames missing in the times of the stream; the picture before each is shown longer.
        concealed_frames: pictures that the decoder patched.
    """

    def __init__(self, name: str, on_event: Callable[[LiveEvent], None]) -> None:
        """``name`` of the input; ``on_event`` is called with :class:`Damaged`."""
        self.lost_frames = self.concealed_frames = 0
        self._name, self._on_event = name, on_event
        self._decoder: StreamDecoder | None = None
        self._counted = 0  # of this decoder's concealed pictures
        self._corrupt = 0  # of its packets
        self._is_damaged = False
        self._reported, self._at = (0, 0), 0.0

    def count(self, decoder: StreamDecoder) -> None:
        """Takes over what a decoder has counted, after each of its pictures."""
        if decoder is not self._decoder:
            self._decoder, self._counted, self._corrupt = decoder, 0, 0
        self.concealed_frames += decoder.concealed - self._counted
        self._is_damaged = self._is_damaged or decoder.corrupt_packets > self._corrupt
        self._counted, self._corrupt = decoder.concealed, decoder.corrupt_packets
        self.report()

    def count_gap(self, seconds: float, usual: float) -> None:
        """Takes note of the distance of two frames; ``usual`` is that of the stream, both in seconds."""
        if usual * _GAP < seconds < _MAX_GAP and self._is_damaged:
            self.lost_frames += round(seconds / usual) - 1
        if seconds < usual * _GAP:
            self._is_damaged = False

    def report(self, *, at_end: bool = False) -> None:
        """Emits what is new, if the last event is some seconds old."""
        counts = self.lost_frames, self.concealed_frames
        now = time.monotonic()
        if counts != self._reported and (at_end or now - self._at >= _BETWEEN_EVENTS):
            new = counts[0] - self._reported[0], counts[1] - self._reported[1]
            self._reported, self._at = counts, now
            self._on_event(Damaged(self._name, *new))
