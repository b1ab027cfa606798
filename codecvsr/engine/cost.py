"""What running a network costs: multiply-accumulate operations and peak memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from codecvsr.engine.device import peak_memory_bytes

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_RESET_PEAK = "5"  # proc(5): the peak of the resident set becomes its present size


class Macs:
    """Multiply-accumulate operations counted so far."""

    def __init__(self) -> None:
        self.total = 0


@contextmanager
def counting_macs() -> Iterator[Macs]:
    """Counts the multiply-accumulates of every convolution and matrix product that torch runs inside.

    Sampling, activations and element-wise operations do not count, nor does the deformable convolution of a GPU extension,
    which torch's counter does not know.
    """
    macs = Macs()
    with FlopCounterMode(display=False) as counter:
        yield macs
    macs.total = counter.get_total_flops() // 2


def forget_peak(device: torch.device) -> bool:
    """Resets the peak memory of ``device``; returns False where the system cannot reset the process's peak."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    if not sys.platform.startswith("linux"):
        return False
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:  # the system lacks it or forbids it
        return False
    return True


def peak_bytes(device: torch.device) -> int:
    """Returns the peak memory in bytes since :func:`forget_peak`: of tensors on a GPU, of the process on the CPU."""
    if device.type != "cuda" and sys.platform.startswith("linux"):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_memory_bytes(device)
