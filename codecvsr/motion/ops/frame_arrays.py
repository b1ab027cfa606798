"""Arrays by frame whose place in memory is known, so that the native library can be given many at once for little."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def address(array: Any) -> int:
    """Where the native library finds an array, in a quarter of the time ``array.ctypes`` takes."""
    if array.size and array.flags.writeable and array.flags.c_contiguous:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    return int(array.ctypes.data)


class Placed(dict[int, npt.NDArray[Any]]):
    """Contiguous arrays of one shape and type by frame; ``at`` holds their addresses.

    They go in through :meth:`put` and :meth:`make`, and out through :meth:`drop` and :meth:`drop_before`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[int, int] = {}

    @staticmethod
    def of(arrays: Mapping[int, npt.NDArray[Any]] | Sequence[npt.NDArray[Any]]) -> Placed:
        """Those of a mapping or a sequence; itself where it is one already."""
        if isinstance(arrays, Placed):
            return arrays
        placed = Placed()
        for t, array in arrays.items() if isinstance(arrays, Mapping) else enumerate(arrays):
            placed.put(t, array)
        return placed

    def put(self, t: int, array: npt.NDArray[Any]) -> None:
        """The array of frame ``t``."""
        self[t] = array = np.ascontiguousarray(array)
        self.at[t] = address(array)

    def make(self, frames: Iterable[int], shape: tuple[int, ...]) -> None:
        """Room for float32 arrays of these frames, to be written to."""
        frames = list(frames)
        block = np.empty((len(frames), *shape), np.float32)
        at = address(block)
        for t, array in zip(frames, block, strict=True):
            self[t], self.at[t] = array, at
            at += array.nbytes

    def share(self, t: int, other: Placed) -> None:
        """Take that of ``other``."""
        self[t], self.at[t] = other[t], other.at[t]

    def drop(self, t: int) -> npt.NDArray[Any]:
        """Take an array out."""
        del self.at[t]
        return self.pop(t)

    def drop_before(self, first: int) -> None:
        """Take out those of frames before ``first``."""
        for t in [t for t in self if t < first]:
            self.drop(t)
