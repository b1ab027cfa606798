"""Lanczos interpolation by 4 as a network without parameters."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LOBES = 3


class Lanczos(nn.Module):
    """Enlarges every frame by itself: Lanczos kernel of three lobes (Duchon 1979), mirrored border, no parameters.

    Computed in float32 whatever the input's type is.
    """

    scale = 4

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, 3, H, W) to (N, T, 3, 4H, 4W), not clipped."""
        n, t, channels, height, width = x.shape
        kernels = _kernels(self.scale).to(x.device)
        taps = kernels.shape[1]
        picture = x.reshape(n * t * channels, 1, height, width).float()
        picture = picture.index_select(2, _mirrored(height, x.device))
        with torch.autocast(x.device.type, enabled=False):
            rows = F.conv2d(picture, kernels.view(self.scale, 1, taps, 1))  # (N, 4, H, W): the rows of each phase
            tall = rows.transpose(1, 2).reshape(n * t * channels, 1, height * self.scale, width)
            tall = tall.index_select(3, _mirrored(width, x.device))
            columns = F.conv2d(tall, kernels.view(self.scale, 1, 1, taps))
        made = columns.permute(0, 2, 3, 1).reshape(n, t, channels, height * self.scale, width * self.scale)
        return made.to(x.dtype)


def _kernels(scale: int) -> Tensor:
    """Returns the weights of the pixels around each one, (scale, 2 * lobes + 1), for every phase; their sum is 1."""
    rows = []
    for phase in range(scale):
        centre = (phase + 0.5) / scale - 0.5
        weights = [_lanczos(tap - centre) for tap in range(-_LOBES, _LOBES + 1)]
        rows.append([weight / sum(weights) for weight in weights])
    return torch.tensor(rows, dtype=torch.float32)


def _lanczos(x: float) -> float:
    if x == 0:
        return 1.0
    if abs(x) >= _LOBES:
        return 0.0
    turn = math.pi * x
    return _LOBES * math.sin(turn) * math.sin(turn / _LOBES) / turn**2


def _mirrored(size: int, device: torch.device) -> Tensor:
    """Indices of an axis with its mirror image beyond both ends."""
    index = torch.arange(-_LOBES, size + _LOBES, device=device) % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)
