"""Distinguishes out-of-memory errors from others."""

from __future__ import annotations

import torch

_NO_MEMORY = ("can't allocate memory", "not enough memory", "bad_alloc", "could not create a memory object")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a device or the machine has no memory left."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _NO_MEMORY)
