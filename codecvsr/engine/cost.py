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
    """Count the multiply-accumulates of every convolution and matrix product that torch runs inside.

    Sampling, activations and element-wise work are not among them. On the CPU every network of the zoo is made of
    operations that torch's counter knows; a deformable convolution of a GPU extension is not one.
    """
    macs = Macs()
    with FlopCounterMode(display=False) as counter:
        yield macs
    macs.total = counter.get_total_flops() // 2


def forget_peak(device: torch.device) -> bool:
    """Let the peak memory of ``device`` begin anew; False where the system only knows the process's peak so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    if not sys.platform.startswith("linux"):
        return False
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:  # a system without it, or one that forbids it
        return False
    return True


def peak_bytes(device: torch.device) -> int:
    """The most memory taken since :func:`forget_peak`: by tensors on a GPU, by the whole process on the CPU."""
    if device.type != "cuda" and sys.platform.startswith("linux"):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_memory_bytes(device)
