"""Large arrays whose memory is used again when nobody needs them any more.

What a window holds is gigabytes. To have the system hand out so much, page by page, window after window, takes it as long as a
tenth of what the network computes in them.
"""

from __future__ import annotations

import contextlib
import mmap
import weakref
from collections import deque

import numpy as np
import numpy.typing as npt

LARGE = 1 << 17  #: bytes of the smallest arrays this is worth while for
MAX_SPARE_BYTES = 1 << 30  #: unused memory retained at most; the rest goes back to the system at once
_ALIGNMENT = 64  # a line of cache, and the widest vector
_STEP = 4096  # sizes are multiples of a page

_spare: dict[int, deque[mmap.mmap]] = {}  # by size; appending and popping need no lock


def empty(*shape: int) -> npt.NDArray[np.float32]:
    """A float32 array for vectors to work on: aligned, with anything in it."""
    return empty_bytes(4 * int(np.prod(shape))).view(np.float32).reshape(shape)


def empty_bytes(count: int) -> npt.NDArray[np.uint8]:
    """Aligned memory (count,), with anything in it.

    Raises:
        MemoryError: there is none.
    """
    if count < LARGE:
        small = np.empty(count + _ALIGNMENT, np.uint8)
        begin = -small.ctypes.data % _ALIGNMENT
        return small[begin : begin + count]
    pages = _taken(-(-count // _STEP) * _STEP)
    memory = np.frombuffer(pages, np.uint8)  # what is made of it keeps it, and not the pages alone
    weakref.finalize(memory, _give_back, pages).atexit = False
    return memory[:count]


def spare_bytes() -> int:
    """What is kept for others."""
    return sum(size * len(kept) for size, kept in list(_spare.items()))


def _taken(size: int) -> mmap.mmap:
    with contextlib.suppress(KeyError, IndexError):  # there are none, or another thread was faster
        return _spare[size].pop()
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"{size} bytes") from error


def _give_back(pages: mmap.mmap) -> None:
    if spare_bytes() + len(pages) <= MAX_SPARE_BYTES:
        _spare.setdefault(len(pages), deque()).append(pages)
