"""Multiply-accumulates and peak memory."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from codecvsr.engine.cost import counting_macs, forget_peak, peak_bytes

CPU = torch.device("cpu")


def test_macs_of_known_layers() -> None:
    layer = nn.Conv2d(3, 8, 5, padding=2)
    with torch.inference_mode(), counting_macs() as macs:
        layer(torch.zeros(2, 3, 12, 10))
        torch.zeros(7, 11) @ torch.zeros(11, 13)
        torch.zeros(4, 4) * 2
    assert macs.total == 2 * 12 * 10 * 8 * 3 * 25 + 7 * 11 * 13


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems know no peak but the whole run's")
def test_peak_memory_can_be_reset() -> None:
    forget_peak(CPU)
    large = np.ones(1 << 25)  # 256 MiB
    high = peak_bytes(CPU)
    del large
    if not forget_peak(CPU):
        pytest.skip("the system does not let a process forget its peak")
    low = peak_bytes(CPU)
    assert high - low > 200 << 20
    assert abs(peak_bytes(CPU) - low) < 32 << 20
