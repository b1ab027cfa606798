"""Devices: which there is, how a network gets there, and what it took."""

from __future__ import annotations

import resource
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import nn

from codecvsr.errors import InputError


def choose_device(name: str = "auto") -> torch.device:
    """The device called ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; ``auto`` is the first GPU where there is one.

    Raises:
        InputError: a GPU was asked for that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"Device {name}: PyTorch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices here. "
            "Use --device cpu, or install a CUDA build of PyTorch."
        )
    return device


N = TypeVar("N", bound=nn.Module)


def place(network: N, device: torch.device) -> N:
    """Move a network to ``device``, in the memory layout its convolutions are fastest in (channels last)."""
    network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.to(memory_format=torch.channels_last)
    return network


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """The context a network is run in; nothing at all for fp32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory taken so far: by tensors on a GPU, by the whole process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
