"""Windows: the stretches of a clip a network sees at once, and what stands in beyond the clip's ends."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

OVERLAP = 8  #: frames a window looks at beyond each of its ends


@dataclass(frozen=True)
class Window:
    """Frames ``start`` to ``stop - 1`` go in; of what comes out, ``keep_start`` to ``keep_stop - 1`` are kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    def shortened(self, length: int) -> list[Window]:
        """Windows that keep the same frames, at most ``length`` each, and look as far beyond them as this one may."""
        return self.cut(length, max(OVERLAP, self.keep_start - self.start, self.stop - self.keep_stop))

    def cut(self, length: int, overlap: int) -> list[Window]:
        """Windows that keep the same frames, at most ``length`` each, as even as possible, and overlap within this one."""
        kept = self.keep_stop - self.keep_start
        count = -(-kept // length)
        bounds = [self.keep_start + round(i * kept / count) for i in range(count + 1)] if count else []
        return [Window(max(self.start, a - overlap), min(self.stop, b + overlap), a, b) for a, b in pairwise(bounds)]


def longest_window(height: int, width: int, channels: int, memory: int, *, beyond: int = 0) -> int:
    """So many frames of height x width pixels a window keeps unless the user says otherwise.

    ``channels`` of float32 features are held of every pixel of these and of ``beyond`` other frames, in at most ``memory``
    bytes.
    """
    return max(15, memory // (height * width * channels * 4) - beyond)


def split(frames: int, length: int, overlap: int = OVERLAP) -> list[Window]:
    """Cut a clip into windows that keep at most ``length`` frames each, as even as possible, and overlap.

    Raises:
        ValueError: ``length`` is not positive.
    """
    if length < 1:
        raise ValueError(f"length = {length}; at least 1 was expected")
    return Window(0, frames, 0, frames).cut(length, overlap)
