"""Vectors to motion: of a whole clip, of a file, or of a stream without end."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.reader import Backend, read_video
from codecvsr.errors import InputError
from codecvsr.motion.clip_motion import FULL_REPAIR, ClipMotion, MotionOptions, join
from codecvsr.motion.motion_stream import MotionStream
from codecvsr.motion.ops.native import Mapper

STRETCH = 8  #: frames of a stream in which motion to the next frame is chosen backwards in one go
_MAX_THREADS = 8
_AT_ONCE = 8  # frames that are read before what can be finished is


def estimate_motion(
    frames: Iterable[CodedFrame],
    options: MotionOptions = FULL_REPAIR,
    *,
    stretch: int | None = None,
    threads: int | None = None,
) -> ClipMotion:
    """Repair the vectors of a clip into motion between neighbouring frames.

    Args:
        frames: the clip in display order, one size. Only its luma and codec data are kept in memory.
        options: what to leave out.
        stretch: as in :func:`stream_motion`; None: the whole clip is one stretch.
        threads: how many to use, at least 1; None for one per processor, at most 8. The result is the same with any.

    Raises:
        InputError: there are no frames.
    """
    pieces = list(_pieces(frames, options, stretch, threads))
    if not pieces:
        raise InputError("The clip holds no frames; at least one was expected.")
    return pieces[0] if len(pieces) == 1 else join(pieces)


def stream_motion(
    frames: Iterable[CodedFrame],
    options: MotionOptions = FULL_REPAIR,
    *,
    stretch: int = STRETCH,
    threads: int | None = None,
) -> Iterator[tuple[list[CodedFrame], ClipMotion]]:
    """Repair the vectors of a stream of any length in one pass: pieces of a few frames with their motion, in order.

    Joined, the pieces are what :func:`estimate_motion` makes of the whole with the same ``stretch``, bit by bit. No more
    than about 50 frames are held; the first piece comes when so many were read.

    Args:
        frames: the stream in display order, one size.
        options: what to leave out.
        stretch: every so many frames the motion to the next frame is found without the help of the frame after it.
        threads: how many to use, at least 1; None for one per processor, at most 8. The result is the same with any.
    """
    waiting: deque[CodedFrame] = deque()

    def held() -> Iterator[CodedFrame]:
        for frame in frames:
            waiting.append(frame)
            yield frame

    for piece in _pieces(held(), options, stretch, threads):
        yield [waiting.popleft() for _ in range(len(piece))], piece


def motion_fields(
    path: str | Path,
    options: MotionOptions = FULL_REPAIR,
    *,
    backend: Backend = "auto",
    allow_damaged: bool = False,
    threads: int | None = None,
) -> ClipMotion:
    """The repaired motion of an H.264 file: :func:`estimate_motion` of :func:`read_video`, which names the errors."""
    frames = read_video(path, backend=backend, allow_damaged=allow_damaged)
    return estimate_motion(frames, options, threads=threads)


def _pieces(
    frames: Iterable[CodedFrame], options: MotionOptions, stretch: int | None, threads: int | None
) -> Iterator[ClipMotion]:
    with _mapper(threads) as mapper:
        stream = MotionStream(options, stretch, mapper)
        for count, frame in enumerate(frames, 1):
            stream.add(frame)
            if count % _AT_ONCE == 0 and (piece := stream.take()):
                yield piece
        if piece := stream.take(ended=True):
            yield piece


@contextmanager
def _mapper(threads: int | None) -> Iterator[Mapper]:
    """``map``, or that of a pool of threads."""
    count = threads or min(os.cpu_count() or 1, _MAX_THREADS)
    if count == 1:
        yield map
        return
    with ThreadPoolExecutor(count) as pool:
        yield pool.map
