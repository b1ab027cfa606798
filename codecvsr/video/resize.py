"""Bicubic resizing as MATLAB's ``imresize`` defines it: the benchmark's down-sampler and its baseline up-sampler; and Lanczos'.

The bicubic kernel is Keys' cubic with a = -0.5; for shrinking it is widened by the scale, which removes detail that the
small picture cannot show (antialiasing). Beyond the border the picture continues as its mirror image, edge included.
Sums are in double precision and rounded once, .5 upwards; for scales that are powers of two every weight is a dyadic fraction
and sums have no rounding error, so every machine makes the same bytes. For other scales the last bits of a sum depend on the
order of its terms, which BLAS libraries choose by the threads that are free: what lies so near to a half counts as one.
"""

from __future__ import annotations

import ctypes
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr import native_libraries
from codecvsr.errors import InputError

_TIE = 1e-9  # far above rounding errors of sums, far below the steps of dyadic ones
_BLOCK = 16  # output rows computed by one matrix product: small enough to skip most zeros of the banded weights
#: Multiplications of one product. OpenBLAS shares out larger ones (from 2^18) among threads, which wait for each other in loops: on
#: a busy machine that was two thirds of the processor time.
_PRODUCTS = 250_000


class _Taps(ctypes.Structure):
    """``cvsr_taps``."""

    _fields_ = [("first", ctypes.c_int32), ("count", ctypes.c_int32), ("weights", ctypes.c_void_p)]


_POINTER, _INT = ctypes.c_void_p, ctypes.c_int32
_ARGUMENTS: list[Any] = [_POINTER, _INT, _INT, _POINTER, _INT, _POINTER, _INT, _POINTER]

#: How ``meta.json`` describes :func:`downsample`.
DOWNSAMPLER = "bicubic, a=-0.5, antialiased (MATLAB imresize), symmetric border, rounded to 8 bits"


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic convolution kernel with a = -0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _lanczos(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Lanczos kernel of three lobes (Duchon 1979)."""
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


_KERNELS = {"bicubic": (_cubic, 2), "lanczos": (_lanczos, 3)}  # and their radius in samples


@lru_cache(maxsize=32)
def resize_weights(size: int, new_size: int, scale: Fraction, kernel: str = "bicubic") -> npt.NDArray[np.float64]:
    """Returns the (new_size, size) matrix that resizes one axis of ``size`` samples by ``scale`` (new / old).

    Rows sum to 1. Sample centres follow ``imresize``: output i is centred at (i + 0.5) / scale - 0.5.
    """
    support = max(1.0, float(1 / scale))
    centre = (np.arange(new_size) + 0.5) * float(1 / scale) - 0.5
    function, radius = _KERNELS[kernel]
    first = np.floor(centre - radius * support).astype(np.int64)
    taps = first[:, None] + np.arange(int(np.ceil(2 * radius * support)) + 2)
    weights = function((centre[:, None] - taps) / support)
    weights /= weights.sum(axis=1, keepdims=True)
    folded = taps % (2 * size)
    mirrored = np.where(folded < size, folded, 2 * size - 1 - folded)
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size)[:, None], mirrored), weights)
    matrix.flags.writeable = False
    return matrix


def _weigh_rows(matrix: npt.NDArray[np.float64], rows: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """``matrix @ rows`` for a banded matrix, a block of output rows and some columns at a time."""
    result = np.empty((len(matrix), rows.shape[1]))
    for start in range(0, len(matrix), _BLOCK):
        block = matrix[start : start + _BLOCK]
        used = np.flatnonzero(block.any(axis=0))
        low, high = used[0], used[-1] + 1
        weights = np.ascontiguousarray(block[:, low:high])
        samples = rows[low:high].astype(np.float64, copy=False)
        step = max(1, _PRODUCTS // weights.size)
        for first in range(0, rows.shape[1], step):
            columns = slice(first, first + step)
            np.matmul(weights, samples[:, columns], out=result[start : start + _BLOCK, columns])
    return result


def imresize(frame: npt.NDArray[np.generic], scale: Fraction | int) -> npt.NDArray[np.float64]:
    """Resize (H, W, C) by ``scale`` (new / old) to (ceil(H * scale), ceil(W * scale), C), unrounded."""
    scale = Fraction(scale)
    height, width = frame.shape[:2]
    vertical = resize_weights(height, -(-height * scale // 1), scale)
    horizontal = resize_weights(width, -(-width * scale // 1), scale)
    return _weigh(frame, vertical, horizontal)


def _weigh(
    frame: npt.NDArray[np.generic], vertical: npt.NDArray[np.float64], horizontal: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Both axes of (H, W, C), the one that leaves less to do for the other first."""
    width, channels = frame.shape[1:]
    new_height, new_width = len(vertical), len(horizontal)

    def across(picture: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
        rows = picture.shape[0]
        columns = np.ascontiguousarray(picture.transpose(1, 0, 2)).reshape(width, rows * channels)
        return _weigh_rows(horizontal, columns).reshape(new_width, rows, channels).transpose(1, 0, 2)

    def down(picture: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
        rows, columns = picture.shape[:2]
        return _weigh_rows(vertical, picture.reshape(rows, columns * channels)).reshape(new_height, columns, channels)

    return across(down(frame)) if new_height < frame.shape[0] else down(across(frame))


@lru_cache(maxsize=32)
def _taps(size: int, new_size: int, scale: Fraction, kernel: str) -> tuple[ctypes.Array[_Taps], object]:
    """Returns the rows of :func:`resize_weights` as ``cvsr_taps``, and the memory that they refer to."""
    matrix = resize_weights(size, new_size, scale, kernel)
    taps, memory = (_Taps * new_size)(), []
    for row, weights in zip(taps, matrix, strict=True):
        used = np.flatnonzero(weights)
        row.first, row.count = int(used[0]), int(used[-1] - used[0]) + 1
        memory.append(np.ascontiguousarray(weights[used[0] : used[-1] + 1]))
        row.weights = memory[-1].ctypes.data
    return taps, memory


def _resize_in_c(
    frame: npt.NDArray[np.uint8], height: int, width: int, scales: tuple[Fraction, Fraction], kernel: str = "bicubic"
) -> npt.NDArray[np.uint8] | None:
    """Returns a frame resized by (vertical, horizontal) scales; None for other types, or where the library is not built."""
    library = native_libraries.field_library()
    if library is None or frame.dtype != np.uint8:
        return None
    frame = np.ascontiguousarray(frame)
    result = np.empty((height, width, frame.shape[2]), np.uint8)
    down, _ = _taps(frame.shape[0], height, scales[0], kernel)
    across, _ = _taps(frame.shape[1], width, scales[1], kernel)
    resize = library.cvsr_resize
    resize.restype, resize.argtypes = ctypes.c_int32, _ARGUMENTS
    if resize(frame.ctypes.data, *frame.shape[1:], down, height, across, width, result.ctypes.data):
        raise MemoryError(f"a line of {frame.shape[1]} pixels")
    return result


def _to_8_bits(picture: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    picture = np.add(picture, 0.5 + _TIE, order="C")
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8)  # the cast truncates: halves go up, as in MATLAB


def downsample(frame: npt.NDArray[np.uint8], scale: int) -> npt.NDArray[np.uint8]:
    """Shrink (H, W, 3) uint8 to (H / scale, W / scale, 3) uint8.

    Raises:
        InputError: H or W is not a multiple of ``scale``.
    """
    height, width = frame.shape[:2]
    if height % scale or width % scale:
        raise InputError(
            f"a frame of {width}x{height} is not divisible by the scale {scale}; "
            f"crop it to {width // scale * scale}x{height // scale * scale}."
        )
    made = _resize_in_c(frame, height // scale, width // scale, (Fraction(1, scale), Fraction(1, scale)))
    return _to_8_bits(imresize(frame, Fraction(1, scale))) if made is None else made


def resample(
    frame: npt.NDArray[np.uint8], height: int, width: int, *, kernel: str = "bicubic"
) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 at any other size, the whole picture onto the whole picture, antialiased where it shrinks.

    Args:
        frame: the picture.
        height: of the result.
        width: of the result.
        kernel: "bicubic" or "lanczos".
    """
    old_height, old_width = frame.shape[:2]
    if (old_height, old_width) == (height, width):
        return frame
    scales = Fraction(height, old_height), Fraction(width, old_width)
    made = _resize_in_c(frame, height, width, scales, kernel)
    if made is not None:
        return made
    vertical = resize_weights(old_height, height, scales[0], kernel)
    horizontal = resize_weights(old_width, width, scales[1], kernel)
    return _to_8_bits(_weigh(frame, vertical, horizontal))
