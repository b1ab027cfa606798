"""Chunks: the ranges of frames of a video that are upscaled, and saved, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from codecvsr.inference.windows import OVERLAP, Window

_MAX_BYTES = 1 << 30  # of the frames and motion of one chunk
_BYTES_PER_PIXEL = 24  # of a decoded frame: its YUV, RGB and luma, and its motion
_MINIMUM, _MAXIMUM = 24, 120  # frames of a chunk
_LONG = 480  # frames from which a video is long: a short first chunk then costs 3 % at most, by its overlaps
_FIRST = 4  # frames of such a video's first chunk


@dataclass(frozen=True)
class Chunk:
    """Frames ``start`` to ``stop - 1`` are output; the network sees ``context_start`` to ``context_stop - 1``."""

    index: int
    start: int
    stop: int
    context_start: int
    context_stop: int

    def windows(self, length: int, overlap: int = OVERLAP) -> list[Window]:
        """Returns windows of at most ``length`` frames, counted from ``context_start``, as equal as possible."""
        frames = self.stop - self.start
        count = -(-frames // length)
        bounds = [self.start - self.context_start + round(i * frames / count) for i in range(count + 1)]
        last = self.context_stop - self.context_start
        return [Window(max(0, a - overlap), min(last, b + overlap), a, b) for a, b in pairwise(bounds)]


def usual_chunk(height: int, width: int) -> int:
    """Returns the frames of a chunk by default: as many as fit into about 1 GiB."""
    return min(max(_MAX_BYTES // (height * width * _BYTES_PER_PIXEL), _MINIMUM), _MAXIMUM)


def first_chunk(frames: int) -> int:
    """Returns the frames of the first chunk: few in a long video, for an early preview; 0 for no special length."""
    return _FIRST if frames >= _LONG else 0


def plan_around(
    breaks: Sequence[int], keys: Sequence[bool], chunk_frames: int, overlap: int = OVERLAP, first: int = 0
) -> list[Chunk]:
    """Cuts a video as :func:`plan` does; no chunk has frames, nor context frames, of both sides of a break.

    Args:
        breaks: frames that begin something new, increasing.
        keys: as in :func:`plan`, and so are the others.
        chunk_frames: maximum frames of a chunk.
        overlap: context frames at both ends of a chunk.
        first: frames of the first chunk; 0 for no special length.

    Raises:
        ValueError: ``chunk_frames`` is not positive or ``overlap`` is negative.
    """
    chunks: list[Chunk] = []
    for begin, end in pairwise((0, *breaks, len(keys))):
        for part in plan(keys[begin:end], chunk_frames, overlap, 0 if begin else first):
            places = (part.start, part.stop, part.context_start, part.context_stop)
            chunks.append(Chunk(len(chunks), *(begin + place for place in places)))
    return chunks


def plan(keys: Sequence[bool], chunk_frames: int, overlap: int = OVERLAP, first: int = 0) -> list[Chunk]:
    """Cuts a video into chunks of at most ``chunk_frames`` frames, at intra pictures where possible.

    Args:
        keys: for each frame, whether it is an intra picture: encoders put those at scene cuts.
        chunk_frames: maximum frames of a chunk.
        overlap: context frames at both ends of a chunk: the warm-up of the recurrent states and the frames after the chunk.
        first: frames of the first chunk; 0 for no special length.

    Raises:
        ValueError: ``chunk_frames`` is not positive or ``overlap`` is negative.
    """
    if chunk_frames < 1 or overlap < 0:
        raise ValueError(f"chunk_frames = {chunk_frames}, overlap = {overlap}; at least 1 and 0 were expected")
    frames, bounds = len(keys), [0]
    if 0 < first < min(frames, chunk_frames):
        bounds.append(first)
    while (remaining := frames - bounds[-1]) > chunk_frames:
        start = bounds[-1]
        equal = -(-remaining // -(-remaining // chunk_frames))
        inside = [
            k for k in range(start + max(chunk_frames // 2, 1), start + chunk_frames + 1) if k < frames and keys[k]
        ]
        bounds.append(inside[-1] if inside else start + equal)
    bounds.append(frames)
    return [
        Chunk(index, a, b, max(0, a - overlap), min(frames, b + overlap))
        for index, (a, b) in enumerate(pairwise(bounds))
        if b > a
    ]
