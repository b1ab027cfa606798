"""Windows: the stretches of a clip a recurrent network sees at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

_BYTES_AT_ONCE = 3 << 30  #: what the features of one window may take
_FEATURES_PER_PIXEL = 3 * 64 * 4  # bytes: three feature maps of 64 float32 channels are kept per frame
OVERLAP = 8  #: frames a window looks at beyond each of its ends


@dataclass(frozen=True)
class Window:
    """Frames ``start`` to ``stop - 1`` go in; of what comes out, ``keep_start`` to ``keep_stop - 1`` are kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def longest_window(height: int, width: int) -> int:
    """So many frames of height x width pixels are looked at together unless the user says otherwise."""
    return max(15, _BYTES_AT_ONCE // (height * width * _FEATURES_PER_PIXEL))


def split(frames: int, length: int, overlap: int = OVERLAP) -> list[Window]:
    """Cut a clip into windows that keep at most ``length`` frames each, as even as possible, and overlap.

    Raises:
        ValueError: ``length`` is not positive.
    """
    if length < 1:
        raise ValueError(f"length = {length}; at least 1 was expected")
    count = -(-frames // length)
    bounds = [round(i * frames / count) for i in range(count + 1)] if count else []
    return [Window(max(0, a - overlap), min(frames, b + overlap), a, b) for a, b in pairwise(bounds)]
