"""Shift-and-add: the neighbours' pixels laid out on the finer grid, where the motion says they belong.

The oldest method to super-resolve a moving scene (Elad and Hel-Or, "A fast super-resolution reconstruction algorithm",
IEEE Transactions on Image Processing 2001; Farsiu et al., "Fast and robust multiframe super resolution", ibid. 2004): each
frame samples the scene at other points, so that aligned samples are jointly denser. A network that sees only warped
pictures would have to learn this product of pixel and sub-pixel position; here it gets the result as channels.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from codecvsr.constants import SCALE
from codecvsr.models.layers.warp import warp

#: Channels of :func:`shift_and_add`.
CHANNELS = 2 * SCALE**2

_TRUST = 10 / 255  # samples that differ much more than this are taken for something else
_PRIOR_WEIGHT = 0.3  # of "no difference": a sample far from a grid point counts less there
_BT601 = (0.299, 0.587, 0.114)


def luma(frames: Tensor) -> Tensor:
    """(..., 3, H, W) RGB to (..., 1, H, W) luma of the same range (ITU-R BT.601, 2.5.1)."""
    red, green, blue = frames.unbind(-3)
    return (_BT601[0] * red + _BT601[1] * green + _BT601[2] * blue).unsqueeze(-3)


def shift_and_add(here: Tensor, neighbours: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """What samples of neighbouring frames add to a frame on the grid of its x4 picture.

    From every neighbour each pixel uses the sample that lands nearest to its centre, subtracts what the frame itself,
    interpolated, has at that very point, and shares the difference out to the nearest of its 4x4 finer grid points. A
    sample's weight falls with its distance to the grid point and with the difference itself.

    Args:
        here: (N, 1, H, W) luma of the frame in 0..1.
        neighbours: luma (N, 1, H, W) of each neighbour, the flow (N, 2, H, W) to it from the frame in pixels, and a gate
            (N, 1, 1, 1) that is 0 for samples to be ignored.

    Returns:
        (N, 32, H, W): 16 mean differences by grid point, row by row, and 16 shares in 0..1: the weight behind each mean.
    """
    total = here.new_zeros(here.shape[0], SCALE**2, *here.shape[2:])
    weight = torch.zeros_like(total)
    for picture, flow, gate in neighbours:
        nearest, offset, inside = _nearest_samples(flow)
        difference = warp(picture, nearest, mode="nearest") - warp(here, offset, mode="bicubic")
        trust = torch.exp(-((difference / _TRUST) ** 2)) * inside * gate
        near = _near_grid(offset) * trust
        total = total + near * difference
        weight = weight + near
    return torch.cat([total, weight], dim=1) / torch.cat([weight + _PRIOR_WEIGHT] * 2, dim=1)


def _nearest_samples(flow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The whole-pixel flow to the nearest sample (N, 2, H, W), where it lies from the pixel's centre, if it exists."""
    height, width = flow.shape[2:]
    nearest = flow.detach().round()
    x = nearest[:, :1] + torch.arange(width, device=flow.device)
    y = nearest[:, 1:] + torch.arange(height, device=flow.device)[:, None]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return nearest, nearest - flow, inside


def _near_grid(offset: Tensor) -> Tensor:
    """(N, 2, H, W) offsets in pixels to (N, 16, H, W) weights: bilinear on the finer grid."""
    points = torch.arange(SCALE, device=offset.device, dtype=offset.dtype).view(1, -1, 1, 1) - (SCALE - 1) / 2
    along_x, along_y = ((1 - (offset[:, k : k + 1] * SCALE - points).abs()).clamp_min(0) for k in (0, 1))
    return (along_y[:, :, None] * along_x[:, None]).flatten(1, 2)
