"""Vectors to motion: of a whole clip, of a file, or of an endless stream."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from pathlib import Path

from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.reader import Backend, read_video
from codecvsr.errors import InputError
from codecvsr.motion.motion_stream import MotionStream
from codecvsr.motion.types import FULL_REPAIR, ClipMotion, Mapper, MotionOptions, join
from codecvsr.prefetch import Prefetcher

RESTART = 8  #: frames of a stream in which motion to the next frame is chosen backwards at once
_MAX_THREADS = 8
_BATCH = 8  # frames that are read before the stages run


def estimate_motion(
    frames: Iterable[CodedFrame],
    options: MotionOptions = FULL_REPAIR,
    *,
    restart: int | None = None,
    threads: int | None = None,
) -> ClipMotion:
    """Repairs the vectors of a clip into motion between neighbouring frames.

    Args:
        frames: the clip in display order, one size. Only its luma and codec data stay in memory. With more than one thread an
            iterator is read in a thread of its own.
        options: parts of the repair that are on.
        restart: as in :func:`stream_motion`; None: never.
        threads: their number, at least 1; None for one per processor, at most 8. The result does not depend on it.

    Raises:
        InputError: there are no frames.
    """
    parts = list(_parts(frames, options, restart, threads))
    if not parts:
        raise InputError("The clip has no frames; at least one was expected.")
    return parts[0] if len(parts) == 1 else join(parts)


def stream_motion(
    frames: Iterable[CodedFrame],
    options: MotionOptions = FULL_REPAIR,
    *,
    stretch: int = RESTART,
    threads: int | None = None,
) -> Iterator[tuple[list[CodedFrame], ClipMotion]]:
    """Repairs the vectors of a stream of any length in one pass.

    Joined, the parts are bit by bit the result of :func:`estimate_motion` of the whole with ``restart=stretch``. At most about
    60 frames are in memory; the first part is yielded when so many were read. With more than one thread the frames are read in
    a thread of their own, ahead of the motion.

    Args:
        frames: the stream in display order, one size.
        options: parts of the repair that are on.
        stretch: after so many frames the motion to the next frame is found without the help of the frame after it.
        threads: their number, at least 1; None for one per processor, at most 8. The result does not depend on it.

    Yields:
        Consecutive frames, and their motion.
    """
    waiting: deque[CodedFrame] = deque()

    def stored() -> Iterator[CodedFrame]:
        for frame in frames:
            waiting.append(frame)
            yield frame

    for part in _parts(stored(), options, stretch, threads):
        yield [waiting.popleft() for _ in range(len(part))], part


def motion_fields(
    path: str | Path,
    options: MotionOptions = FULL_REPAIR,
    *,
    backend: Backend = "auto",
    allow_damaged: bool = False,
    threads: int | None = None,
) -> ClipMotion:
    """Returns the repaired motion of a file: :func:`estimate_motion` of :func:`read_video`, which lists the errors."""
    frames = read_video(path, backend=backend, allow_damaged=allow_damaged)
    return estimate_motion(frames, options, threads=threads)


def _parts(
    frames: Iterable[CodedFrame], options: MotionOptions, restart: int | None, threads: int | None
) -> Iterator[ClipMotion]:
    with _mapper(threads) as mapper, _batches(frames, ahead=mapper is not map) as batches:
        stream = MotionStream(options, restart, mapper)
        for batch in batches:
            for frame in batch:
                stream.add(frame)
            if len(batch) == _BATCH and (part := stream.advance()):
                yield part
        if part := stream.advance(ended=True):
            yield part


def _batches(frames: Iterable[CodedFrame], *, ahead: bool) -> AbstractContextManager[Iterable[list[CodedFrame]]]:
    """Returns ``frames`` in lists of :data:`_BATCH`, the last one with what remains, to be read within ``with``.

    ``ahead``: frames that are not in memory yet are read, which may mean decoded, in a thread of its own, one list ahead.
    """
    source = iter(frames)
    lists = iter(lambda: list(islice(source, _BATCH)), [])
    return Prefetcher(lambda _: lists) if ahead and not isinstance(frames, Sequence) else nullcontext(lists)


@contextmanager
def _mapper(threads: int | None) -> Iterator[Mapper]:
    """Yields ``map``, or that of a pool of threads."""
    count = threads or min(os.cpu_count() or 1, _MAX_THREADS)
    if count == 1:
        yield map
        return
    with ThreadPoolExecutor(count) as pool:
        yield pool.map
