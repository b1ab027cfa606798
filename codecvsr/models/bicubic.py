"""The bicubic baseline as a network: MATLAB's ``imresize`` by 4."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_RADIUS = 2  # pixels to each side that a kernel of width 4 can touch


class Bicubic(nn.Module):
    """Enlarges every frame by itself: kernel a = -0.5, mirrored border, no parameters.

    Torch's antialiased bicubic has this kernel and, enlarging, this width; it only ends differently at the border, so
    the mirror image is put around the picture first. Computed in float32 whatever the input's type is.
    """

    scale = 4

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, 3, H, W) to (N, T, 3, 4H, 4W), not clipped."""
        n, t, channels, height, width = x.shape
        rows, columns = (_mirrored(size, x.device) for size in (height, width))
        padded = x.reshape(n * t, channels, height, width).float().index_select(2, rows).index_select(3, columns)
        enlarged = F.interpolate(padded, scale_factor=self.scale, mode="bicubic", align_corners=False, antialias=True)
        edge = _RADIUS * self.scale
        inner = enlarged[..., edge : edge + height * self.scale, edge : edge + width * self.scale]
        return inner.unflatten(0, (n, t)).to(x.dtype)


def _mirrored(size: int, device: torch.device) -> Tensor:
    """Indices of an axis with two pixels more at both ends, where the picture goes on as its mirror image."""
    index = torch.arange(-_RADIUS, size + _RADIUS, device=device) % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)
