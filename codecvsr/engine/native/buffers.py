"""Aligned arrays whose memory is reused once they are garbage-collected.

A window's features are gigabytes. For the system to provide them page by page for every window costs a tenth of the network's
own time.
"""

from __future__ import annotations

import contextlib
import mmap
import weakref
from collections import deque

import numpy as np
import numpy.typing as npt

LARGE = 1 << 17  #: bytes from which memory is reused
MAX_SPARE_BYTES = 1 << 30  #: unused memory retained; more goes back to the system at once
_ALIGNMENT = 64  # a cache line, and the largest vector
_STEP = 4096  # sizes are multiples of a page

_spare: dict[int, deque[mmap.mmap]] = {}  # by size; append and pop of a deque are atomic


def empty(*shape: int) -> npt.NDArray[np.float32]:
    """Returns an aligned, uninitialised float32 array of this shape."""
    return empty_bytes(4 * int(np.prod(shape))).view(np.float32).reshape(shape)


def empty_bytes(count: int) -> npt.NDArray[np.uint8]:
    """Returns aligned, uninitialised memory (count,).

    Raises:
        MemoryError: the system has no memory left.
    """
    if count < LARGE:
        small = np.empty(count + _ALIGNMENT, np.uint8)
        begin = -small.ctypes.data % _ALIGNMENT
        return small[begin : begin + count]
    pages = _allocate(-(-count // _STEP) * _STEP)
    memory = np.frombuffer(pages, np.uint8)  # views keep this array alive
    weakref.finalize(memory, _recycle, pages).atexit = False
    return memory[:count]


def spare_bytes() -> int:
    """Returns the bytes that wait for reuse."""
    return sum(size * len(pages) for size, pages in list(_spare.items()))


def _allocate(size: int) -> mmap.mmap:
    with contextlib.suppress(KeyError, IndexError):  # none left, or another thread was faster
        return _spare[size].pop()
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"{size} bytes") from error


def _recycle(pages: mmap.mmap) -> None:
    if spare_bytes() + len(pages) <= MAX_SPARE_BYTES:
        _spare.setdefault(len(pages), deque()).append(pages)
