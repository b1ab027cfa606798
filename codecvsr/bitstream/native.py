"""The compiled libraries of ``native/``, loaded with ctypes where they were built."""

from __future__ import annotations


def fields_library() -> None:
    """The field library, or None where it was not built."""
    return None
