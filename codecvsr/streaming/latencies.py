"""Latencies of millions of frames in constant memory."""

from __future__ import annotations

_STEP = 0.01  # seconds
_BINS = 6000


class Latencies:
    """A histogram of latencies, in steps of 10 ms up to a minute."""

    def __init__(self) -> None:
        self._counts = [0] * (_BINS + 1)
        self._total = 0

    def add(self, seconds: float) -> None:
        """Adds one latency."""
        self._counts[min(max(int(seconds / _STEP), 0), _BINS)] += 1
        self._total += 1

    def quantile(self, share: float) -> float | None:
        """Returns the latency in seconds that ``share`` of the frames do not exceed; None without frames."""
        wanted, seen = share * self._total, 0
        for place, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return round((place + 1) * _STEP, 2)
        return None
