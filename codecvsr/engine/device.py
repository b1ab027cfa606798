"""Devices: choice, placement of a network, autocast, peak memory."""

from __future__ import annotations

import resource
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import nn

from codecvsr.errors import InputError


def choose_device(name: str = "auto") -> torch.device:
    """Returns the device called ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; ``auto`` is the first GPU, or the CPU.

    Raises:
        InputError: the GPU does not exist.
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
    """Moves a network to ``device`` in channels-last memory, the fastest layout for convolutions; returns the network."""
    network.to(device)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.to(memory_format=torch.channels_last)
    return network


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Returns the autocast context of a type; a null context for float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def peak_memory_bytes(device: torch.device) -> int:
    """Returns the peak memory in bytes so far: of tensors on a GPU, of the process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
