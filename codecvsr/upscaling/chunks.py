"""Shards: the stretches of a video that are worked on, and kept, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from codecvsr.inference.windows import OVERLAP, Window

_BYTES_AT_ONCE = 1 << 30  #: what the frames and motion of one shard may take
_BYTES_PER_PIXEL = 24  # of a decoded frame: its YUV, RGB and luma, and its motion
_MINIMUM, _MAXIMUM = 24, 120  # frames of a shard
_LONG = 480  # frames from which a video is long: a short first shard then costs 3 % at most, by its overlaps
_EARLY = 4  # frames of such a video's first shard


@dataclass(frozen=True)
class Shard:
    """Frames ``start`` to ``stop - 1`` come out; the network sees ``context_start`` to ``context_stop - 1``."""

    index: int
    start: int
    stop: int
    context_start: int
    context_stop: int

    def windows(self, length: int, overlap: int = OVERLAP) -> list[Window]:
        """The shard in windows of at most ``length`` frames, counted from ``context_start``, as even as possible."""
        frames = self.stop - self.start
        count = -(-frames // length)
        bounds = [self.start - self.context_start + round(i * frames / count) for i in range(count + 1)]
        last = self.context_stop - self.context_start
        return [Window(max(0, a - overlap), min(last, b + overlap), a, b) for a, b in pairwise(bounds)]


def usual_chunk(height: int, width: int) -> int:
    """Frames of a shard unless the user says otherwise: about as many as memory sensibly holds."""
    return min(max(_BYTES_AT_ONCE // (height * width * _BYTES_PER_PIXEL), _MINIMUM), _MAXIMUM)


def first_chunk(frames: int) -> int:
    """Frames of the first shard: few in a long video, so that there is something to be seen soon; 0 for as many as usual."""
    return _EARLY if frames >= _LONG else 0


def plan(keys: Sequence[bool], chunk: int, overlap: int = OVERLAP, first: int = 0) -> list[Shard]:
    """Cut a video into shards of at most ``chunk`` frames, where the stream itself begins anew if that is possible.

    Args:
        keys: for each frame, whether it is an intra picture: encoders put those at scene cuts.
        chunk: most frames of a shard.
        overlap: frames a shard looks at beyond each of its ends: the warm-up of the recurrent states and the look-ahead.
        first: frames of the first shard; 0 for no other than the rest.

    Raises:
        ValueError: ``chunk`` is not positive or ``overlap`` is negative.
    """
    if chunk < 1 or overlap < 0:
        raise ValueError(f"chunk = {chunk}, overlap = {overlap}; at least 1 and 0 were expected")
    frames, bounds = len(keys), [0]
    if 0 < first < min(frames, chunk):
        bounds.append(first)
    while (rest := frames - bounds[-1]) > chunk:
        start = bounds[-1]
        even = -(-rest // -(-rest // chunk))
        inside = [k for k in range(start + max(chunk // 2, 1), start + chunk + 1) if k < frames and keys[k]]
        bounds.append(inside[-1] if inside else start + even)
    bounds.append(frames)
    return [
        Shard(index, a, b, max(0, a - overlap), min(frames, b + overlap))
        for index, (a, b) in enumerate(pairwise(bounds))
        if b > a
    ]
