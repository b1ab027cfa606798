"""The motion functions of the native field library (``native/include/cvsr_motion.h``), bound with ctypes.

Each takes the library that :func:`codecvsr.native_libraries.field_library` returned and does what its numpy twin in
``sample``, ``resolve``, ``search``, ``refine``, ``drift``, ``steady`` or ``even`` does: pictures are matched and prepared in whole
numbers, with the same result, and the rest is float32 throughout, equal but for the order of sums. The interpreter's lock is
released while one runs, and results do not depend on how many run at once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.constants import CELL
from codecvsr.motion.ops.frame_arrays import address

Array = npt.NDArray[np.float32]
Luma = npt.NDArray[np.uint8]
Mapper = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]  #: ``map``, or that of a pool of threads
Prepared = npt.NDArray[np.int16]  #: (PREPARED, h, w), what ``refine.prepare`` makes of a picture

MAX_PARTS = 4  #: of ``cvsr_spreading``
MAX_OTHERS = 9  #: CVSR_OTHERS
_MAX_AT_ONCE = 4  # jobs in one call
_CELLS_AT_ONCE = 20000  # where there are more, a job is long enough

MAX_RADIUS = 8  #: CVSR_MOST_RADIUS: the widest filter, in samples to each side
PREPARED = 56  #: CVSR_PREPARED: numbers for each cell of a prepared picture


@dataclass(frozen=True)
class Candidate:
    """A field that may hold the motion looked for.

    Attributes:
        field: (2, h, w) in pixels, NaN where empty; None for no motion anywhere.
        sign: what its vectors are multiplied with.
        priority: (h, w); where given, the vectors are first carried along themselves (``sample.splat``).
    """

    field: Array | None
    sign: float = 1.0
    priority: Array | None = None


@dataclass(frozen=True, eq=False)
class Refinement:
    """How ``refine`` steps; ``window`` and ``smooth`` are half filters (``sample.gaussian_taps``)."""

    steps: int
    window: Array  #: on cells
    smooth: Array | None  #: on cells, for the field itself
    damping: float
    robust: float
    longest_step: float

    @cached_property
    def told(self) -> _Refinement:
        """The same for the library."""
        window = np.ascontiguousarray(self.window, np.float32)
        smooth = None if self.smooth is None else np.ascontiguousarray(self.smooth, np.float32)
        told = _Refinement(
            window.ctypes.data,
            None if smooth is None else smooth.ctypes.data,
            len(window) - 1,
            0 if smooth is None else len(smooth) - 1,
            self.steps,
            self.robust,
            self.damping,
            self.longest_step,
        )
        told.kept = window, smooth  # alive as long as the pointers to them
        return told

    @cached_property
    def at(self) -> int:
        """Where that lies."""
        return ctypes.addressof(self.told)


class _Candidate(ctypes.Structure):
    """``cvsr_candidate``."""

    _fields_ = [("field", ctypes.c_void_p), ("priority", ctypes.c_void_p), ("sign", ctypes.c_float)]


class _Refinement(ctypes.Structure):
    """``cvsr_refinement``."""

    _fields_ = [
        ("window", ctypes.c_void_p),
        ("smooth", ctypes.c_void_p),
        ("window_radius", ctypes.c_int32),
        ("smooth_radius", ctypes.c_int32),
        ("steps", ctypes.c_int32),
        ("robust", ctypes.c_float),
        ("damping", ctypes.c_float),
        ("longest_step", ctypes.c_float),
    ]
    kept: tuple[Array, Array | None]


@cache
def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, size, number = ctypes.c_void_p, ctypes.c_int32, ctypes.c_float
    signatures: dict[str, list[type]] = {
        "cvsr_matching_error": [pointer, pointer, pointer, size, size, pointer],
        "cvsr_best_reference": [pointer, pointer, pointer, size, pointer, size, size, number, pointer, pointer],
        "cvsr_splat": [pointer, number, pointer, size, size, pointer],
        "cvsr_fill_holes": [pointer, size, size, pointer],
        "cvsr_best_candidate": [pointer, pointer, pointer, size, size, size, pointer, pointer],
        "cvsr_search": [pointer, pointer, pointer, pointer, size, size, number, number, pointer, pointer],
        "cvsr_prepare": [pointer, size, size, pointer],
        "cvsr_refine": [pointer, pointer, pointer, size, size, pointer, pointer],
        "cvsr_steady": [pointer, size, pointer, pointer, size, size],
        "cvsr_compose": [pointer, size, size, size],
        "cvsr_correct": [pointer, size, size, size],
        "cvsr_spread": [pointer, size, number, size, size],
        "cvsr_even": [pointer, pointer, pointer, size, number, number, size, size, pointer],
        "cvsr_warp": [pointer, pointer, size, size, pointer],
    }
    for name, arguments in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = ctypes.c_int32, arguments
    return library


def _input(array: npt.NDArray[np.floating], shape: tuple[int, ...]) -> Array:
    """``array`` as the library reads it; its shape is checked, since C cannot."""
    if array.shape != shape:
        raise ValueError(f"expected shape {shape}, got shape = {array.shape}")
    return np.ascontiguousarray(array, np.float32)


def _picture(array: Luma, shape: tuple[int, int]) -> Luma:
    """Likewise for a picture, whose type must be right."""
    if array.shape != shape or array.dtype != np.uint8:
        raise ValueError(f"a picture {shape} of uint8 was expected, got {array.shape} of {array.dtype}")
    return np.ascontiguousarray(array)


def _prepared(array: Prepared, cells: tuple[int, int]) -> Prepared:
    """Likewise for a prepared picture."""
    if array.shape != (PREPARED, *cells) or array.dtype != np.int16:
        raise ValueError(f"a prepared picture {(PREPARED, *cells)} was expected, got {array.shape} of {array.dtype}")
    return np.ascontiguousarray(array)


def _list_of(arrays: Sequence[npt.NDArray[Any]]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*map(address, arrays))


def _shapes(field: Array) -> tuple[tuple[int, int], tuple[int, int]]:
    """The shapes of a plane of cells and of the picture that belongs to it."""
    if field.ndim != 3 or field.shape[0] != 2:
        raise ValueError(f"a field of shape (2, h, w) was expected, got shape = {field.shape}")
    rows, columns = field.shape[1:]
    return (rows, columns), (rows * CELL, columns * CELL)


def _check(status: int) -> None:
    if status == -2:
        raise MemoryError("not enough memory for the motion of one frame")
    if status:
        raise ValueError("the picture, the filter or the list is more than the motion library supports")


def matching_error(library: ctypes.CDLL, current: Luma, other: Luma, field: Array) -> Array:
    """``sample.matching_error_numpy``."""
    cells, pixels = _shapes(field)
    current, other, field = _picture(current, pixels), _picture(other, pixels), _input(field, field.shape)
    error = np.empty(cells, np.float32)
    inputs = (address(current), address(other), address(field))
    _check(_declared(library).cvsr_matching_error(*inputs, *cells, address(error)))
    return error


def best_reference(
    library: ctypes.CDLL, current: Luma, others: Sequence[Luma], distances: Sequence[int], raw: Array, win_by: float
) -> tuple[Array, Array]:
    """``resolve.best_reference_numpy``."""
    cells, pixels = _shapes(raw)
    current, raw = _picture(current, pixels), _input(raw, raw.shape)
    kept = [_picture(other, pixels) for other in others]
    pointers = _list_of(kept)
    far = np.array(distances, np.float32)
    velocity, error = np.empty(raw.shape, np.float32), np.empty(cells, np.float32)
    inputs = (address(current), pointers, address(far), len(kept), address(raw), *cells, win_by)
    _check(_declared(library).cvsr_best_reference(*inputs, address(velocity), address(error)))
    return velocity, error


def splat(library: ctypes.CDLL, field: Array, sign: float, priority: Array) -> Array:
    """``sample.splat_numpy``."""
    cells, _ = _shapes(field)
    field, priority = _input(field, field.shape), _input(priority, cells)
    landed = np.empty_like(field)
    inputs = (address(field), sign, address(priority), *cells)
    _check(_declared(library).cvsr_splat(*inputs, address(landed)))
    return landed


def fill_holes(library: ctypes.CDLL, field: Array) -> Array:
    """``sample.fill_holes_numpy``."""
    cells, _ = _shapes(field)
    field = _input(field, field.shape)
    filled = np.empty_like(field)
    _check(_declared(library).cvsr_fill_holes(address(field), *cells, address(filled)))
    return filled


def best_candidate(
    library: ctypes.CDLL, current: Luma, other: Luma, candidates: Sequence[Candidate], cells: tuple[int, int]
) -> tuple[Array, Array]:
    """``resolve.best_candidate_numpy``."""
    rows, columns = cells
    pixels = (rows * CELL, columns * CELL)
    current, other = _picture(current, pixels), _picture(other, pixels)
    kept: list[Array] = []
    listed = (_Candidate * len(candidates))()
    for entry, candidate in zip(listed, candidates, strict=True):
        entry.sign = candidate.sign
        if candidate.field is not None:
            kept.append(_input(candidate.field, (2, rows, columns)))
            entry.field = address(kept[-1])
        if candidate.priority is not None:
            kept.append(_input(candidate.priority, cells))
            entry.priority = address(kept[-1])
    field, error = np.empty((2, rows, columns), np.float32), np.empty(cells, np.float32)
    inputs = (address(current), address(other), listed, len(listed), rows, columns)
    _check(_declared(library).cvsr_best_candidate(*inputs, address(field), address(error)))
    return field, error


def search(
    library: ctypes.CDLL, current: Luma, other: Luma, field: Array, error: Array, bad_error: float, better: float
) -> tuple[Array, int]:
    """``search.search_numpy``."""
    cells, pixels = _shapes(field)
    current, other = _picture(current, pixels), _picture(other, pixels)
    field, error = _input(field, field.shape), _input(error, cells)
    found, taken = np.empty_like(field), ctypes.c_int32()
    inputs = (address(current), address(other), address(field), address(error), *cells, bad_error, better)
    _check(_declared(library).cvsr_search(*inputs, address(found), ctypes.byref(taken)))
    return found, taken.value


def prepare(library: ctypes.CDLL, luma: Luma) -> Prepared:
    """``refine.prepare_numpy``."""
    rows, columns = luma.shape[0] // CELL, luma.shape[1] // CELL
    luma = _picture(luma, (rows * CELL, columns * CELL))
    prepared = np.empty((PREPARED, rows, columns), np.int16)
    _check(_declared(library).cvsr_prepare(address(luma), rows, columns, address(prepared)))
    return prepared


def refine(library: ctypes.CDLL, current: Prepared, other: Prepared, field: Array, how: Refinement) -> Array:
    """``refine.refine_numpy``."""
    cells, _ = _shapes(field)
    current, other, field = _prepared(current, cells), _prepared(other, cells), _input(field, field.shape)
    refined = np.empty_like(field)
    inputs = (address(current), address(other), address(field), *cells, ctypes.byref(how.told))
    _check(_declared(library).cvsr_refine(*inputs, address(refined)))
    return refined


def run(mapper: Mapper, work: Callable[[int], None], items: Iterable[int]) -> None:
    """Do ``work`` for every frame or piece; an error of a thread is raised here."""
    for _ in mapper(work, items):
        pass


def in_pieces(work: Callable[[int, int], None], count: int, cells: tuple[int, int], mapper: Mapper) -> None:
    """Do ``work(begin, end)`` for pieces of ``count`` jobs, few enough for every processor to have some."""
    size = max(1, min(_MAX_AT_ONCE, _CELLS_AT_ONCE // max(cells[0] * cells[1], 1)))
    begins = range(0, count, size)
    run(mapper, lambda begin: work(begin, min(begin + size, count)), begins)


def _do(
    function: Callable[..., int],
    jobs: Sequence[Sequence[int]],
    cells: tuple[int, int],
    mapper: Mapper,
    *also: float,
    by_job: int | None = None,
) -> None:
    """One of the functions that take jobs; each is a list of addresses, 0 where there is none.

    Args:
        function: takes jobs, their number, what else it is given, rows and columns.
        jobs: of the same number of pointers each.
        cells: rows and columns.
        mapper: runs pieces of the list.
        also: what else it is given.
        by_job: the address of float32 numbers, one for each job; given last.
    """
    if not jobs:
        return
    width = len(jobs[0])
    table = (ctypes.c_void_p * (len(jobs) * width))(*chain.from_iterable(jobs))
    at = ctypes.addressof(table)
    job_bytes = width * ctypes.sizeof(ctypes.c_void_p)

    def work(begin: int, end: int) -> None:
        last = () if by_job is None else (by_job + 4 * begin,)
        _check(function(at + begin * job_bytes, end - begin, *also, *last, *cells))

    in_pieces(work, len(jobs), cells, mapper)


def compose(library: ctypes.CDLL, jobs: Sequence[Sequence[int]], cells: tuple[int, int], mapper: Mapper = map) -> None:
    """``drift.compose_numpy`` of each job: the addresses of ``first``, ``second`` and what is composed."""
    _do(_declared(library).cvsr_compose, jobs, cells, mapper)


def correct(library: ctypes.CDLL, jobs: Sequence[Sequence[int]], cells: tuple[int, int], mapper: Mapper = map) -> None:
    """``drift.correction_numpy``: ``current``, ``other``, ``first``, ``second``, ``how.told`` and the correction."""
    _do(_declared(library).cvsr_correct, jobs, cells, mapper)


def spread(
    library: ctypes.CDLL, jobs: Sequence[Sequence[int]], gain: float, cells: tuple[int, int], mapper: Mapper = map
) -> None:
    """``drift.spread_numpy``: a field, up to :data:`MAX_PARTS` parts, and what is corrected."""
    _do(_declared(library).cvsr_spread, jobs, cells, mapper, gain)


def steady(
    library: ctypes.CDLL,
    jobs: Sequence[Sequence[int]],
    shares: Sequence[float],
    tolerances: Sequence[float],
    cells: tuple[int, int],
    mapper: Mapper = map,
) -> None:
    """``steady.steady_numpy``: a field, :data:`MAX_OTHERS` others and what is steadied; a tolerance for each."""
    weights = np.array([*shares, *[0.0] * (MAX_OTHERS - len(shares))], np.float32)
    limits = np.array(tolerances, np.float32)
    _do(_declared(library).cvsr_steady, jobs, cells, mapper, address(weights), by_job=address(limits))


def even(library: ctypes.CDLL, field: Array, share: Array, taps: Array, strength: float, max_tolerance: float) -> Array:
    """``even.even_numpy``."""
    cells, _ = _shapes(field)
    field, share, taps = _input(field, field.shape), _input(share, cells), _input(taps, (len(taps),))
    evened = np.empty_like(field)
    inputs = (address(field), address(share), address(taps), len(taps) - 1, strength, max_tolerance, *cells)
    _check(_declared(library).cvsr_even(*inputs, address(evened)))
    return evened


def warp(library: ctypes.CDLL, picture: Array, flow: Array) -> Array:
    """``sample.warp_numpy`` of one plane (H, W)."""
    height, width = picture.shape
    picture, flow = _input(picture, (height, width)), _input(flow, (2, height, width))
    warped = np.empty_like(picture)
    _check(_declared(library).cvsr_warp(address(picture), address(flow), height, width, address(warped)))
    return warped
