"""The motion functions of the native field library (``native/cvsr_motion.h``), bound with ctypes.

Each takes the library that :func:`codecvsr.bitstream.native.fields_library` returned and does what its numpy twin in
``sample``, ``resolve``, ``refine``, ``drift``, ``steady`` or ``even`` does: float32 throughout, equal but for the order of sums. The
interpreter's lock is released while one runs, and results do not depend on how many run at once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.motion.field import CELL

Array = npt.NDArray[np.float32]

MOST_RADIUS = 8  #: CVSR_MOST_RADIUS: the widest filter, in samples to each side


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
        "cvsr_blur": [pointer, size, size, pointer, size, pointer],
        "cvsr_refine": [pointer, pointer, pointer, size, size, pointer, pointer],
        "cvsr_steady": [pointer, pointer, pointer, size, number, size, size, pointer],
        "cvsr_compose": [pointer, pointer, size, size, pointer],
        "cvsr_correct": [pointer, pointer, pointer, pointer, size, size, pointer, pointer],
        "cvsr_spread": [pointer, pointer, size, number, size, size, pointer],
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


def _at(array: Any) -> int:
    """Where the library finds an array, in half the time ``array.ctypes`` takes."""
    if array.size and array.flags.writeable:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    return int(array.ctypes.data)


def _list_of(arrays: Sequence[Array]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*map(_at, arrays))


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
        raise ValueError("the picture or the filter is larger than the motion library supports")


def matching_error(library: ctypes.CDLL, current: Array, other: Array, field: Array) -> Array:
    """``sample.matching_error_numpy``."""
    cells, pixels = _shapes(field)
    current, other, field = _input(current, pixels), _input(other, pixels), _input(field, field.shape)
    error = np.empty(cells, np.float32)
    inputs = (_at(current), _at(other), _at(field))
    _check(_declared(library).cvsr_matching_error(*inputs, *cells, _at(error)))
    return error


def best_reference(
    library: ctypes.CDLL, current: Array, others: Sequence[Array], distances: Sequence[int], raw: Array, win_by: float
) -> tuple[Array, Array]:
    """``resolve.best_reference_numpy``."""
    cells, pixels = _shapes(raw)
    current, raw = _input(current, pixels), _input(raw, raw.shape)
    kept = [_input(other, pixels) for other in others]
    pointers = _list_of(kept)
    far = np.array(distances, np.float32)
    velocity, error = np.empty(raw.shape, np.float32), np.empty(cells, np.float32)
    inputs = (_at(current), pointers, _at(far), len(kept), _at(raw), *cells, win_by)
    _check(_declared(library).cvsr_best_reference(*inputs, _at(velocity), _at(error)))
    return velocity, error


def splat(library: ctypes.CDLL, field: Array, sign: float, priority: Array) -> Array:
    """``sample.splat_numpy``."""
    cells, _ = _shapes(field)
    field, priority = _input(field, field.shape), _input(priority, cells)
    landed = np.empty_like(field)
    inputs = (_at(field), sign, _at(priority), *cells)
    _check(_declared(library).cvsr_splat(*inputs, _at(landed)))
    return landed


def fill_holes(library: ctypes.CDLL, field: Array) -> Array:
    """``sample.fill_holes_numpy``."""
    cells, _ = _shapes(field)
    field = _input(field, field.shape)
    filled = np.empty_like(field)
    _check(_declared(library).cvsr_fill_holes(_at(field), *cells, _at(filled)))
    return filled


def best_candidate(
    library: ctypes.CDLL, current: Array, other: Array, candidates: Sequence[Candidate], cells: tuple[int, int]
) -> tuple[Array, Array]:
    """``resolve.best_candidate_numpy``."""
    rows, columns = cells
    pixels = (rows * CELL, columns * CELL)
    current, other = _input(current, pixels), _input(other, pixels)
    kept: list[Array] = []
    listed = (_Candidate * len(candidates))()
    for entry, candidate in zip(listed, candidates, strict=True):
        entry.sign = candidate.sign
        if candidate.field is not None:
            kept.append(_input(candidate.field, (2, rows, columns)))
            entry.field = _at(kept[-1])
        if candidate.priority is not None:
            kept.append(_input(candidate.priority, cells))
            entry.priority = _at(kept[-1])
    field, error = np.empty((2, rows, columns), np.float32), np.empty(cells, np.float32)
    inputs = (_at(current), _at(other), listed, len(listed), rows, columns)
    _check(_declared(library).cvsr_best_candidate(*inputs, _at(field), _at(error)))
    return field, error


def blur(library: ctypes.CDLL, picture: Array, taps: Array) -> Array:
    """``sample.blur_numpy``."""
    height, width = picture.shape
    picture, taps = _input(picture, (height, width)), _input(taps, (len(taps),))
    blurred = np.empty_like(picture)
    inputs = (_at(picture), height, width, _at(taps), len(taps) - 1)
    _check(_declared(library).cvsr_blur(*inputs, _at(blurred)))
    return blurred


def refine(library: ctypes.CDLL, current: Array, other: Array, field: Array, how: Refinement) -> Array:
    """``refine.refine_numpy``."""
    cells, pixels = _shapes(field)
    current, other, field = _input(current, pixels), _input(other, pixels), _input(field, field.shape)
    refined = np.empty_like(field)
    inputs = (_at(current), _at(other), _at(field), *cells, ctypes.byref(how.told))
    _check(_declared(library).cvsr_refine(*inputs, _at(refined)))
    return refined


def compose(library: ctypes.CDLL, first: Array, second: Array) -> Array:
    """``drift.compose_numpy``."""
    cells, _ = _shapes(first)
    first, second = _input(first, first.shape), _input(second, first.shape)
    composed = np.empty_like(first)
    _check(_declared(library).cvsr_compose(_at(first), _at(second), *cells, _at(composed)))
    return composed


def correct(library: ctypes.CDLL, current: Array, other: Array, first: Array, second: Array, how: Refinement) -> Array:
    """``drift.correction_numpy``."""
    cells, pixels = _shapes(first)
    current, other = _input(current, pixels), _input(other, pixels)
    first, second = _input(first, first.shape), _input(second, first.shape)
    correction = np.empty_like(first)
    inputs = (_at(current), _at(other), _at(first), _at(second), *cells, ctypes.byref(how.told))
    _check(_declared(library).cvsr_correct(*inputs, _at(correction)))
    return correction


def spread(library: ctypes.CDLL, field: Array, parts: Sequence[Array], share: float) -> Array:
    """``drift.spread_numpy``."""
    cells, _ = _shapes(field)
    field = _input(field, field.shape)
    kept = [_input(part, field.shape) for part in parts]
    corrected = np.empty_like(field)
    _check(_declared(library).cvsr_spread(_at(field), _list_of(kept), len(kept), share, *cells, _at(corrected)))
    return corrected


def steady(
    library: ctypes.CDLL, field: Array, others: Sequence[Array], shares: Sequence[float], tolerance: float
) -> Array:
    """``steady.steady_numpy``."""
    cells, _ = _shapes(field)
    field = _input(field, field.shape)
    kept = [_input(other, field.shape) for other in others]
    pointers = _list_of(kept)
    weights = _input(np.array(shares, np.float32), (len(kept),))
    averaged = np.empty_like(field)
    inputs = (_at(field), pointers, _at(weights), len(kept), tolerance, *cells)
    _check(_declared(library).cvsr_steady(*inputs, _at(averaged)))
    return averaged


def even(
    library: ctypes.CDLL, field: Array, share: Array, taps: Array, strength: float, most_tolerance: float
) -> Array:
    """``even.even_numpy``."""
    cells, _ = _shapes(field)
    field, share, taps = _input(field, field.shape), _input(share, cells), _input(taps, (len(taps),))
    evened = np.empty_like(field)
    inputs = (_at(field), _at(share), _at(taps), len(taps) - 1, strength, most_tolerance, *cells)
    _check(_declared(library).cvsr_even(*inputs, _at(evened)))
    return evened


def warp(library: ctypes.CDLL, picture: Array, flow: Array) -> Array:
    """``sample.warp_numpy`` of one plane (H, W)."""
    height, width = picture.shape
    picture, flow = _input(picture, (height, width)), _input(flow, (2, height, width))
    warped = np.empty_like(picture)
    _check(_declared(library).cvsr_warp(_at(picture), _at(flow), height, width, _at(warped)))
    return warped
