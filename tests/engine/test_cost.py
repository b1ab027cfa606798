"""Counting what a network costs."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from codecvsr.engine.cost import Traffic, counting_macs, forget_peak, peak_bytes, peak_rates

CPU = torch.device("cpu")


def test_macs_of_layers_whose_cost_is_known() -> None:
    layer = nn.Conv2d(3, 8, 5, padding=2)
    with torch.inference_mode(), counting_macs() as macs:
        layer(torch.zeros(2, 3, 12, 10))
        torch.zeros(7, 11) @ torch.zeros(11, 13)
        torch.zeros(4, 4) * 2
    assert macs.total == 2 * 12 * 10 * 8 * 3 * 25 + 7 * 11 * 13


def test_bytes_of_layers_whose_traffic_is_known() -> None:
    layer, x, rows, columns = (
        nn.Conv2d(3, 8, 5, padding=2),
        torch.zeros(2, 3, 12, 10),
        torch.zeros(7, 11),
        torch.zeros(11, 13),
    )
    with torch.inference_mode(), Traffic() as traffic:
        layer(x)
        rows @ columns
        x * 2  # element-wise work can be part of its neighbours
    assert traffic.bytes == 4 * (x.numel() + 2 * 8 * 12 * 10 + 8 * 3 * 25 + 8 + 7 * 11 + 11 * 13 + 7 * 13)
    with torch.inference_mode(), Traffic() as traffic:
        layer.half()(x.half())
    assert traffic.bytes == 2 * (x.numel() + 2 * 8 * 12 * 10 + 8 * 3 * 25 + 8)


def test_rates_are_those_of_a_machine() -> None:
    macs, moved = peak_rates(CPU, torch.float32)
    assert 1e8 < macs < 1e15 and 1e8 < moved < 1e14


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems know no peak but the whole run's")
def test_peak_memory_begins_anew() -> None:
    forget_peak(CPU)
    large = np.ones(1 << 25)  # 256 MiB
    high = peak_bytes(CPU)
    del large
    if not forget_peak(CPU):
        pytest.skip("the system does not let a process forget its peak")
    low = peak_bytes(CPU)
    assert high - low > 200 << 20
    assert abs(peak_bytes(CPU) - low) < 32 << 20
