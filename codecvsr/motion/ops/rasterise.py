"""``cvsr_rasterise`` of the native field library (``native/include/cvsr_field.h``), bound with ctypes."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.frame import VECTOR_DTYPE
from codecvsr.constants import CELL


@cache
def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, size = ctypes.c_void_p, ctypes.c_int32
    library.cvsr_rasterise.argtypes = [pointer, ctypes.c_size_t, size, size, pointer, pointer, pointer]
    library.cvsr_rasterise.restype = size
    return library


def rasterise(
    library: ctypes.CDLL, vectors: npt.NDArray[np.void], height: int, width: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Paints vectors onto cells of 4x4 pixels; equal to ``motion.field.rasterise_numpy`` value by value.

    Args:
        library: the result of :func:`codecvsr.native_libraries.field_library`.
        vectors: (n,) array of ``VECTOR_DTYPE``.
        height: of the picture, in pixels.
        width: of the picture, in pixels.

    Returns:
        past (2, h, w) and future (2, h, w) in pixels, NaN where a cell has none, and partition (h, w), where
        h = ceil(height / 4) and w = ceil(width / 4).

    Raises:
        TypeError: ``vectors`` is no 1-d array of ``VECTOR_DTYPE``.
        ValueError: ``height`` or ``width`` is negative.
    """
    if vectors.dtype != VECTOR_DTYPE or vectors.ndim != 1:
        raise TypeError(f"vectors: a 1-d array of {VECTOR_DTYPE} was expected, got {vectors.dtype} {vectors.shape}")
    packed = np.ascontiguousarray(vectors)
    rows, columns = -(-height // CELL), -(-width // CELL)
    if rows < 0 or columns < 0:
        raise ValueError(f"height and width must not be negative, got {height} x {width}")
    past = np.empty((2, rows, columns), np.float32)
    future = np.empty((2, rows, columns), np.float32)
    partition = np.empty((rows, columns), np.uint8)
    outputs = (past.ctypes.data, future.ctypes.data, partition.ctypes.data)
    if _declared(library).cvsr_rasterise(packed.ctypes.data, len(packed), height, width, *outputs) != 0:
        raise ValueError(f"height and width must not be negative, got {height} x {width}")
    return past, future, partition
