"""Copies pictures and fields to a device and back through pinned memory, while the device computes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def to_device(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Returns an array as a tensor of ``device``; on the CPU it shares the memory of a contiguous array."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def to_host(tensors: Iterable[Tensor], device: torch.device) -> Iterator[npt.NDArray[Any]]:
    """Yields tensors of ``device`` as arrays in order; on a GPU copying one overlaps with computing the next."""
    if device.type != "cuda":
        for tensor in tensors:
            yield tensor.cpu().numpy()
        return
    waiting: tuple[Tensor, torch.cuda.Event] | None = None
    for tensor in tensors:
        pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        pinned.copy_(tensor, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record(torch.cuda.current_stream(device))
        if waiting is not None:
            yield _arrived(*waiting)
        waiting = pinned, copied
    if waiting is not None:
        yield _arrived(*waiting)


def _arrived(tensor: Tensor, copied: torch.cuda.Event) -> npt.NDArray[Any]:
    copied.synchronize()
    return tensor.numpy()
