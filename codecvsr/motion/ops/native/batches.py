"""The operations on many frames: a few jobs in each call of the library, so that calls cost little and threads share them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.motion.ops.native.arguments import checked_prepared, field_shapes, floats
from codecvsr.motion.ops.native.library import address, check, library, refinement
from codecvsr.motion.ops.records import MAX_OTHERS, MAX_PARTS, ComposedMatch, TemporalWindow, run
from codecvsr.motion.types import Array, Mapper, Prepared

_MAX_JOBS = 4  # in one call
_MAX_CELLS = 20000  # in one call, unless it has one job; with more, one job is long enough for a call


class _Pointers:
    """The addresses of checked arrays of one clip; keeps the arrays alive."""

    def __init__(self, field: Array) -> None:
        """``field``: (2, h, w), the shape of all fields."""
        self.cells, _ = field_shapes(field)
        self._known: dict[int, tuple[int, npt.NDArray[Any], npt.NDArray[Any]]] = {}

    def field(self, array: Array) -> int:
        """Returns the address of a field."""
        known = self._known.get(id(array))
        return known[0] if known else self._add(array, floats(array, (2, *self.cells)))

    def prepared(self, array: Prepared) -> int:
        """Returns the address of a prepared picture."""
        known = self._known.get(id(array))
        return known[0] if known else self._add(array, checked_prepared(array, self.cells))

    def outputs(self, count: int) -> tuple[list[Array], list[int]]:
        """Returns new fields, and their addresses."""
        block = np.empty((count, 2, *self.cells), np.float32)
        first, size = block.ctypes.data, block[0].nbytes if count else 0
        return list(block), [first + i * size for i in range(count)]

    def _add(self, array: npt.NDArray[Any], contiguous: npt.NDArray[Any]) -> int:
        self._known[id(array)] = address(contiguous), array, contiguous
        return self._known[id(array)][0]


def compose(pairs: Sequence[tuple[Array, Array]], mapper: Mapper = map) -> list[Array]:
    """See ``MotionOps.compose``."""
    if not pairs:
        return []
    pointers = _Pointers(pairs[0][0])
    composed, at = pointers.outputs(len(pairs))
    jobs = [(pointers.field(first), pointers.field(second), at[i]) for i, (first, second) in enumerate(pairs)]
    _call(library().cvsr_compose, jobs, pointers.cells, mapper)
    return composed


def correct_composed(matches: Sequence[ComposedMatch], mapper: Mapper = map) -> list[Array]:
    """See ``MotionOps.correct_composed``."""
    if not matches:
        return []
    pointers = _Pointers(matches[0].first)
    corrections, at = pointers.outputs(len(matches))
    structs = [refinement(match.settings) for match in matches]
    jobs = [
        (
            pointers.prepared(match.current),
            pointers.prepared(match.other),
            pointers.field(match.first),
            pointers.field(match.second),
            ctypes.addressof(struct),
            output,
        )
        for match, struct, output in zip(matches, structs, at, strict=True)
    ]
    _call(library().cvsr_correct_composed, jobs, pointers.cells, mapper)
    return corrections


def add_mean(sums: Sequence[tuple[Array, Sequence[Array]]], gain: float, mapper: Mapper = map) -> list[Array]:
    """See ``MotionOps.add_mean``."""
    if not sums:
        return []
    pointers = _Pointers(sums[0][0])
    corrected, at = pointers.outputs(len(sums))
    jobs = [
        (pointers.field(field), *_padded([pointers.field(part) for part in parts], MAX_PARTS), output)
        for (field, parts), output in zip(sums, at, strict=True)
    ]
    _call(library().cvsr_add_mean, jobs, pointers.cells, mapper, gain)
    return corrected


def temporal_filter(windows: Sequence[TemporalWindow], shares: Sequence[float], mapper: Mapper = map) -> list[Array]:
    """See ``MotionOps.temporal_filter``."""
    if not windows:
        return []
    pointers = _Pointers(windows[0].field)
    filtered, at = pointers.outputs(len(windows))
    jobs = []
    for window, output in zip(windows, at, strict=True):
        others = [0 if other is None else pointers.field(other) for other in window.others]
        jobs.append((pointers.field(window.field), *_padded(others, MAX_OTHERS), output))
    weights = np.array([*shares, *[0.0] * (MAX_OTHERS - len(shares))], np.float32)
    tolerances = np.array([window.tolerance for window in windows], np.float32)
    _call(library().cvsr_temporal_filter, jobs, pointers.cells, mapper, address(weights), by_job=address(tolerances))
    return filtered


def ranges(count: int, cells: tuple[int, int]) -> Iterable[tuple[int, int]]:
    """Returns (begin, end) of the calls that ``count`` jobs are done in, few jobs each, so that every thread has some."""
    size = max(1, min(_MAX_JOBS, _MAX_CELLS // max(cells[0] * cells[1], 1)))
    return [(begin, min(begin + size, count)) for begin in range(0, count, size)]


def _padded(addresses: list[int], count: int) -> list[int]:
    if len(addresses) > count:
        raise ValueError(f"at most {count} fields were expected, got {len(addresses)}")
    return addresses + [0] * (count - len(addresses))


def _call(
    function: Callable[..., int],
    jobs: Sequence[Sequence[int]],
    cells: tuple[int, int],
    mapper: Mapper,
    *arguments: float,
    by_job: int | None = None,
) -> None:
    """Calls a function of the library that does jobs.

    Args:
        function: its parameters are jobs, their number, ``arguments``, ``by_job``, rows and columns.
        jobs: addresses, the same number in each, 0 for NULL.
        cells: rows and columns.
        mapper: runs the calls.
        arguments: the same for all jobs.
        by_job: the address of one float32 per job.
    """
    width = len(jobs[0])
    records = (ctypes.c_void_p * (len(jobs) * width))(*chain.from_iterable(jobs))
    first = ctypes.addressof(records)
    job_bytes = width * ctypes.sizeof(ctypes.c_void_p)
    calls = list(ranges(len(jobs), cells))

    def one_call(i: int) -> None:
        begin, end = calls[i]
        own = () if by_job is None else (by_job + 4 * begin,)
        check(function(first + begin * job_bytes, end - begin, *arguments, *own, *cells))

    run(mapper, one_call, range(len(calls)))
