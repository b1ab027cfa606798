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


def circled(centre: int, frames: int, radius: int) -> list[int]:
    """The ``2 * reach + 1`` frames around ``centre``.

    For those beyond an end come the next ones on the other side, farthest first (EDVR's ``new_info``: 4, 3, 0, 1, 2 around
    0); in a clip too short for that, the nearest frame.
    """
    last = frames - 1
    around = []
    for i in range(centre - radius, centre + radius + 1):
        if i < 0:
            i = centre + radius - i
        elif i > last:
            i = centre - radius - (i - last)
        around.append(min(max(i, 0), last))
    return around


def mirrored(index: int, frames: int) -> int:
    """The frame at ``index`` of a clip that runs backwards beyond either end, and forwards again, as long as is needed."""
    if frames == 1:
        return 0
    index %= 2 * (frames - 1)
    return min(index, 2 * (frames - 1) - index)
