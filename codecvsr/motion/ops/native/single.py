"""The operations on one frame."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.frame import VECTOR_DTYPE
from codecvsr.constants import CELL
from codecvsr.motion.grid import grid_shape
from codecvsr.motion.ops.native.arguments import checked_picture, checked_prepared, checked_sums, field_shapes, floats
from codecvsr.motion.ops.native.library import CandidateStruct, address, check, library, refinement
from codecvsr.motion.ops.records import PREPARED_CHANNELS, Candidate, RefineSettings
from codecvsr.motion.types import Array, BlockField, Luma, Prepared, Sums


def rasterise(vectors: npt.NDArray[np.void], height: int, width: int) -> BlockField:
    """See ``MotionOps.rasterise``. Raises TypeError for records of another type, ValueError for a negative size."""
    if vectors.dtype != VECTOR_DTYPE or vectors.ndim != 1:
        raise TypeError(f"vectors: a 1-d array of {VECTOR_DTYPE} was expected, got {vectors.dtype} {vectors.shape}")
    if height < 0 or width < 0:
        raise ValueError(f"height and width must not be negative, got {height} x {width}")
    records = np.ascontiguousarray(vectors)
    rows, columns = grid_shape(height, width)
    past, future = np.empty((2, rows, columns), np.float32), np.empty((2, rows, columns), np.float32)
    partition = np.empty((rows, columns), np.uint8)
    outputs = (address(past), address(future), address(partition))
    check(library().cvsr_rasterise(records.ctypes.data, len(records), height, width, *outputs))
    return BlockField(past, future, partition)


def warp(picture: Array, flow: Array) -> Array:
    """See ``MotionOps.warp``."""
    height, width = picture.shape
    plane, flow = floats(picture, (height, width)), floats(flow, (2, height, width))
    warped = np.empty_like(plane)
    check(library().cvsr_warp(address(plane), address(flow), height, width, address(warped)))
    return warped


def matching_error(current: Luma, other: Luma, field: Array) -> Array:
    """See ``MotionOps.matching_error``."""
    cells, pixels = field_shapes(field)
    current, other, field = checked_picture(current, pixels), checked_picture(other, pixels), floats(field, field.shape)
    error = np.empty(cells, np.float32)
    inputs = (address(current), address(other), address(field))
    check(library().cvsr_matching_error(*inputs, *cells, address(error)))
    return error


def splat(field: Array, sign: float, priority: Array) -> Array:
    """See ``MotionOps.splat``."""
    cells, _ = field_shapes(field)
    field, priority = floats(field, field.shape), floats(priority, cells)
    landed = np.empty_like(field)
    inputs = (address(field), sign, address(priority), *cells)
    check(library().cvsr_splat(*inputs, address(landed)))
    return landed


def fill_holes(field: Array) -> Array:
    """See ``MotionOps.fill_holes``."""
    cells, _ = field_shapes(field)
    field = floats(field, field.shape)
    filled = np.empty_like(field)
    check(library().cvsr_fill_holes(address(field), *cells, address(filled)))
    return filled


def best_reference(
    current: Luma, others: Sequence[Luma], distances: Sequence[int], raw: Array, must_win_by: float
) -> tuple[Array, Array]:
    """See ``MotionOps.best_reference``."""
    cells, pixels = field_shapes(raw)
    current, raw = checked_picture(current, pixels), floats(raw, raw.shape)
    pictures = [checked_picture(other, pixels) for other in others]
    pointers = (ctypes.c_void_p * len(pictures))(*map(address, pictures))
    frames = np.array(distances, np.float32)
    velocity, error = np.empty(raw.shape, np.float32), np.empty(cells, np.float32)
    inputs = (address(current), pointers, address(frames), len(pictures), address(raw), *cells, must_win_by)
    check(library().cvsr_best_reference(*inputs, address(velocity), address(error)))
    return velocity, error


def best_candidate(
    current: Luma, other: Luma, candidates: Sequence[Candidate], cells: tuple[int, int]
) -> tuple[Array, Array, Sums]:
    """See ``MotionOps.best_candidate``."""
    rows, columns = cells
    pixels = (rows * CELL, columns * CELL)
    current, other = checked_picture(current, pixels), checked_picture(other, pixels)
    alive: list[Array] = []  # arrays that the structures point to
    structs = (CandidateStruct * len(candidates))()
    for struct, candidate in zip(structs, candidates, strict=True):
        struct.sign = candidate.sign
        if candidate.field is not None:
            alive.append(floats(candidate.field, (2, rows, columns)))
            struct.field = address(alive[-1])
        if candidate.priority is not None:
            alive.append(floats(candidate.priority, cells))
            struct.priority = address(alive[-1])
    field, error = np.empty((2, rows, columns), np.float32), np.empty(cells, np.float32)
    sums = np.empty(cells, np.int32)
    inputs = (address(current), address(other), structs, len(structs), rows, columns)
    check(library().cvsr_best_candidate(*inputs, address(field), address(error), address(sums)))
    return field, error, sums


def search(
    current: Luma,
    other: Luma,
    field: Array,
    error: Array,
    bad_error: float,
    max_ratio: float,
    sums: Sums | None = None,
) -> tuple[Array, Array, int]:
    """See ``MotionOps.search``."""
    cells, pixels = field_shapes(field)
    current, other = checked_picture(current, pixels), checked_picture(other, pixels)
    own_field, own_error = floats(field, field.shape), floats(error, cells)
    known = None if sums is None else checked_sums(sums, cells)
    found, found_error, count = np.empty_like(own_field), np.empty_like(own_error), ctypes.c_int32()
    inputs = (address(current), address(other), address(own_field), address(own_error))
    of_cells = None if known is None else address(known)
    outputs = (address(found), address(found_error), ctypes.addressof(count))
    check(library().cvsr_block_search(*inputs, of_cells, *cells, bad_error, max_ratio, *outputs))
    return (found, found_error, count.value) if count.value else (field, error, 0)


def prepare(luma: Luma) -> Prepared:
    """See ``MotionOps.prepare``."""
    rows, columns = luma.shape[0] // CELL, luma.shape[1] // CELL
    luma = checked_picture(luma, (rows * CELL, columns * CELL))
    result = np.empty((PREPARED_CHANNELS, rows, columns), np.int16)
    check(library().cvsr_prepare(address(luma), rows, columns, address(result)))
    return result


def refine(current: Prepared, other: Prepared, field: Array, settings: RefineSettings) -> Array:
    """See ``MotionOps.refine``."""
    cells, _ = field_shapes(field)
    current, other, field = checked_prepared(current, cells), checked_prepared(other, cells), floats(field, field.shape)
    refined = np.empty_like(field)
    inputs = (address(current), address(other), address(field), *cells, ctypes.addressof(refinement(settings)))
    check(library().cvsr_refine(*inputs, address(refined)))
    return refined


def static_smoothing(field: Array, share: Array, taps: Array, strength: float, max_tolerance: float) -> Array:
    """See ``MotionOps.static_smoothing``."""
    cells, _ = field_shapes(field)
    field, share, taps = floats(field, field.shape), floats(share, cells), floats(taps, (len(taps),))
    smoothed = np.empty_like(field)
    inputs = (address(field), address(share), address(taps), len(taps) - 1, strength, max_tolerance, *cells)
    check(library().cvsr_static_smoothing(*inputs, address(smoothed)))
    return smoothed
