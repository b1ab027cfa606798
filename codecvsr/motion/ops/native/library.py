"""The C side: structures and signatures of ``native/include/cvsr_field.h`` and ``cvsr_motion.h``."""

from __future__ import annotations

import ctypes
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr import native_libraries
from codecvsr.motion.ops.records import RefineSettings

_POINTER, _INT, _FLOAT, _SIZE = ctypes.c_void_p, ctypes.c_int32, ctypes.c_float, ctypes.c_size_t
_SIGNATURES: dict[str, list[type]] = {
    "cvsr_rasterise": [_POINTER, _SIZE, _INT, _INT, _POINTER, _POINTER, _POINTER],
    "cvsr_matching_error": [_POINTER, _POINTER, _POINTER, _INT, _INT, _POINTER],
    "cvsr_best_reference": [_POINTER, _POINTER, _POINTER, _INT, _POINTER, _INT, _INT, _FLOAT, _POINTER, _POINTER],
    "cvsr_splat": [_POINTER, _FLOAT, _POINTER, _INT, _INT, _POINTER],
    "cvsr_fill_holes": [_POINTER, _INT, _INT, _POINTER],
    "cvsr_best_candidate": [_POINTER, _POINTER, _POINTER, _INT, _INT, _INT, _POINTER, _POINTER, _POINTER],
    "cvsr_block_search": [*[_POINTER] * 5, _INT, _INT, _FLOAT, _FLOAT, _POINTER, _POINTER, _POINTER],
    "cvsr_prepare": [_POINTER, _INT, _INT, _POINTER],
    "cvsr_refine": [_POINTER, _POINTER, _POINTER, _INT, _INT, _POINTER, _POINTER],
    "cvsr_compose": [_POINTER, _INT, _INT, _INT],
    "cvsr_correct_composed": [_POINTER, _INT, _INT, _INT],
    "cvsr_add_mean": [_POINTER, _INT, _FLOAT, _INT, _INT],
    "cvsr_temporal_filter": [_POINTER, _INT, _POINTER, _POINTER, _INT, _INT],
    "cvsr_static_smoothing": [_POINTER, _POINTER, _POINTER, _INT, _FLOAT, _FLOAT, _INT, _INT, _POINTER],
    "cvsr_warp": [_POINTER, _POINTER, _INT, _INT, _POINTER],
}


class CandidateStruct(ctypes.Structure):
    """``cvsr_candidate``."""

    _fields_ = [("field", _POINTER), ("priority", _POINTER), ("sign", _FLOAT)]


class RefinementStruct(ctypes.Structure):
    """``cvsr_refinement``; ``arrays`` are what its pointers point to."""

    _fields_ = [
        ("window", _POINTER),
        ("smooth", _POINTER),
        ("window_radius", _INT),
        ("smooth_radius", _INT),
        ("steps", _INT),
        ("robust", _FLOAT),
        ("damping", _FLOAT),
        ("max_step", _FLOAT),
    ]
    arrays: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]


@lru_cache(maxsize=256)
def refinement(settings: RefineSettings) -> RefinementStruct:
    """Returns settings as the library reads them."""
    window = np.ascontiguousarray(settings.window, np.float32)
    smooth = None if settings.smooth is None else np.ascontiguousarray(settings.smooth, np.float32)
    struct = RefinementStruct(
        window.ctypes.data,
        None if smooth is None else smooth.ctypes.data,
        len(window) - 1,
        0 if smooth is None else len(smooth) - 1,
        settings.steps,
        settings.robust,
        settings.damping,
        settings.max_step,
    )
    struct.arrays = window, smooth
    return struct


@cache
def library() -> ctypes.CDLL:
    """Returns the field library with all signatures declared. Raises RuntimeError where it is not built."""
    found = native_libraries.field_library()
    if found is None:
        raise RuntimeError("the native field library is not built or is switched off; use ops.reference")
    for name, arguments in _SIGNATURES.items():
        function = getattr(found, name)
        function.restype, function.argtypes = ctypes.c_int32, arguments
    return found


def address(array: Any) -> int:
    """Returns the address of the data of a numpy array, in a quarter of the time of ``array.ctypes``."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (TypeError, ValueError):  # read-only, or empty
        return int(array.ctypes.data)


def check(status: int) -> None:
    """Raises the error that a status other than 0 stands for."""
    if status == -2:
        raise MemoryError("not enough memory for the motion of one frame")
    if status:
        raise ValueError("the picture, the filter or the list is larger than the motion library supports")
