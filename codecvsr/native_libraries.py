"""Finds, loads and checks the compiled libraries of ``native/``.

A library that was not built, or cannot be used, is None: callers then use numpy, PyAV or torch. ``CODECVSR_NATIVE=0`` in the
environment switches all of them off. The functions of a library are declared where they are bound.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from functools import cache
from pathlib import Path

_ABI = {"field": 13, "reader": 3, "net": 6}  #: CVSR_FIELD_ABI, CVSR_READER_ABI and CVSR_NET_ABI of native/include
_problems: dict[str, str] = {}
_WITHOUT_FIELD = "motion is computed by numpy, some 25 times slower, with equal results"
_WITHOUT_NET = "networks run in PyTorch on a CPU, some 2 to 3 times slower"

_logger = logging.getLogger(__name__)


def folders() -> list[Path]:
    """Returns the folders to search for built files: ``_native`` beside each part of the package.

    An editable install has two parts, the checkout and what was installed.
    """
    import codecvsr

    return [Path(folder) / "_native" for folder in codecvsr.__path__]


def is_enabled() -> bool:
    """Returns whether the environment allows native code (``CODECVSR_NATIVE`` is not 0)."""
    return os.environ.get("CODECVSR_NATIVE", "1") != "0"


def field_library() -> ctypes.CDLL | None:
    """Returns the library of vectors and motion fields (``cvsr_field.h``, ``cvsr_motion.h``), or None."""
    return _library("field") if is_enabled() else None


def reader_library() -> ctypes.CDLL | None:
    """Returns the library that reads H.264 (``cvsr_reader.h``), or None."""
    return _library("reader") if is_enabled() else None


def net_library() -> ctypes.CDLL | None:
    """Returns the library that computes networks (``cvsr_net.h``), or None."""
    return _library("net") if is_enabled() else None


@cache
def note_missing() -> None:
    """Logs, once per process, which libraries are missing and what that costs; nothing where the environment wants none."""
    if not is_enabled():
        return
    missing = [text for find, text in ((field_library, _WITHOUT_FIELD), (net_library, _WITHOUT_NET)) if find() is None]
    if missing:
        _logger.warning("The C library is not in use: %s. 'codecvsr doctor' says why.", "; ".join(missing))


def load_problems() -> dict[str, str]:
    """Returns, by library (``cvsr_field``...), why it cannot be used although it was built."""
    for find in (field_library, reader_library, net_library):
        find()
    return dict(_problems)


@cache
def _library(name: str) -> ctypes.CDLL | None:
    return _load(name, _ABI[name])


def _load(name: str, abi: int) -> ctypes.CDLL | None:
    """Loads ``libcvsr_NAME``. Returns None where it is missing or unusable; the latter is a problem for ``doctor``."""
    suffix = ".dll" if sys.platform == "win32" else ".so"  # CMake modules end in .so on macOS too
    for folder in folders():
        file = folder / f"libcvsr_{name}{suffix}"
        if not file.is_file():
            continue
        try:
            library = ctypes.CDLL(str(file))
            version = library[f"cvsr_{name}_abi"]
        except (OSError, AttributeError) as error:
            _problems[f"cvsr_{name}"] = f"{file}: {error}"
            continue
        version.restype, version.argtypes = ctypes.c_int32, []
        found = version()
        if found == abi:
            _problems.pop(f"cvsr_{name}", None)
            return library
        _problems[f"cvsr_{name}"] = f"{file}: is of interface version {found}, {abi} was expected; reinstall codecvsr"
    return None
