"""Checks of the arrays that the library reads, since C cannot check them. Each returns a contiguous array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codecvsr.constants import CELL
from codecvsr.motion.ops.records import PREPARED_CHANNELS
from codecvsr.motion.types import Array, Luma, Prepared, Sums


def field_shapes(field: Array) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the shapes (h, w) of a plane of cells of a field and (4h, 4w) of its picture."""
    if field.ndim != 3 or field.shape[0] != 2:
        raise ValueError(f"a field of shape (2, h, w) was expected, got shape = {field.shape}")
    rows, columns = field.shape[1:]
    return (rows, columns), (rows * CELL, columns * CELL)


def floats(array: npt.NDArray[np.floating], shape: tuple[int, ...]) -> Array:
    """Returns ``array`` as float32."""
    if array.shape != shape:
        raise ValueError(f"expected shape {shape}, got shape = {array.shape}")
    return np.ascontiguousarray(array, np.float32)


def checked_picture(array: Luma, shape: tuple[int, int]) -> Luma:
    """Returns a picture, which must be of uint8."""
    if array.shape != shape or array.dtype != np.uint8:
        raise ValueError(f"a picture {shape} of uint8 was expected, got {array.shape} of {array.dtype}")
    return np.ascontiguousarray(array)


def checked_prepared(array: Prepared, cells: tuple[int, int]) -> Prepared:
    """Returns a prepared picture, which must be of int16."""
    shape = (PREPARED_CHANNELS, *cells)
    if array.shape != shape or array.dtype != np.int16:
        raise ValueError(f"a prepared picture {shape} was expected, got {array.shape} of {array.dtype}")
    return np.ascontiguousarray(array)


def checked_sums(array: Sums, cells: tuple[int, int]) -> Sums:
    """Returns sums of differences of cells, which must be of int32."""
    if array.shape != cells or array.dtype != np.int32:
        raise ValueError(f"sums {cells} of int32 were expected, got {array.shape} of {array.dtype}")
    return np.ascontiguousarray(array)
