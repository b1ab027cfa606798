"""The roofline of a device, for the speed tables."""

from __future__ import annotations

import roofline
import torch
from torch import nn

CPU = torch.device("cpu")


def test_traffic_of_known_layers() -> None:
    layer, x, rows, columns = (
        nn.Conv2d(3, 8, 5, padding=2),
        torch.zeros(2, 3, 12, 10),
        torch.zeros(7, 11),
        torch.zeros(11, 13),
    )
    with torch.inference_mode(), roofline.Traffic() as traffic:
        layer(x)
        rows @ columns
        x * 2  # element-wise work can be part of its neighbours
    assert traffic.bytes == 4 * (x.numel() + 2 * 8 * 12 * 10 + 8 * 3 * 25 + 8 + 7 * 11 + 11 * 13 + 7 * 13)
    with torch.inference_mode(), roofline.Traffic() as traffic:
        layer.half()(x.half())
    assert traffic.bytes == 2 * (x.numel() + 2 * 8 * 12 * 10 + 8 * 3 * 25 + 8)


def test_rates_are_plausible() -> None:
    macs, moved = roofline.peak_rates(CPU, torch.float32)
    assert 1e8 < macs < 1e15 and 1e8 < moved < 1e14
