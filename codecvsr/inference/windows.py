"""Windows: the frames that a network sees at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

OVERLAP = 8  #: frames a window sees beyond each end of those it keeps


@dataclass(frozen=True)
class Window:
    """Frames ``start`` to ``stop - 1`` are the input; outputs ``keep_start`` to ``keep_stop - 1`` are used."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    def shortened(self, length: int) -> list[Window]:
        """Return windows that keep the same frames, at most ``length`` each, with as much overlap as this one has."""
        return self.cut(length, max(OVERLAP, self.keep_start - self.start, self.stop - self.keep_stop))

    def cut(self, length: int, overlap: int) -> list[Window]:
        """Return windows that keep the same frames, at most ``length`` each, of about equal length, overlapping within this one."""
        frames = self.keep_stop - self.keep_start
        count = -(-frames // length)
        bounds = [self.keep_start + round(i * frames / count) for i in range(count + 1)] if count else []
        return [Window(max(self.start, a - overlap), min(self.stop, b + overlap), a, b) for a, b in pairwise(bounds)]


def longest_window(height: int, width: int, channels: int, memory: int, *, beyond: int = 0) -> int:
    """Return how many frames of height x width pixels a window keeps by default.

    ``channels`` float32 features per pixel of these and of ``beyond`` more frames fit into ``memory`` bytes.
    """
    return max(15, memory // (height * width * channels * 4) - beyond)


def split(frames: int, length: int, overlap: int = OVERLAP) -> list[Window]:
    """Cut a clip into windows that keep at most ``length`` frames each, of about equal length, and overlap.

    Raises:
        ValueError: ``length`` is not positive.
    """
    if length < 1:
        raise ValueError(f"length = {length}; at least 1 was expected")
    return Window(0, frames, 0, frames).cut(length, overlap)
