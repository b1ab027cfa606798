"""Modulated deformable convolution: every tap of the kernel has an offset and a weight at every pixel.

Zhu et al., "Deformable ConvNets v2", CVPR 2019. In plain torch, so that it runs everywhere; on CUDA torchvision's operator
replaces it where that package can be imported.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def modulated_deform_conv2d(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None = None, *, padding: int = 1
) -> Tensor:
    """A convolution of stride 1 whose K = k * k taps are moved by ``offset`` and weighted by ``mask``.

    Positions are float32 whatever the features' type is. What lies outside the picture is zero, and a position less than
    a pixel outside fades into it.

    Args:
        x: (N, C, H, W), any floating type.
        offset: (N, 2 * G * K, H', W') in pixels, for each of G groups of channels and each tap y, then x.
        mask: (N, G * K, H', W').
        weight: (C', C, k, k).
        bias: (C',).
        padding: zeros around the picture; H' = H + 2 * padding - k + 1.

    Returns:
        (N, C', H', W').

    Raises:
        ValueError: the shapes do not match.
    """
    n, channels, height, width = x.shape
    out_channels, _, k, _ = weight.shape
    taps = k * k
    rows, columns = height + 2 * padding - k + 1, width + 2 * padding - k + 1
    groups = mask.shape[1] // taps
    wanted = (n, 2 * groups * taps, rows, columns), (n, groups * taps, rows, columns)
    if (offset.shape, mask.shape) != wanted or groups == 0 or channels % groups or weight.shape[1] != channels:
        raise ValueError(
            f"x.shape = {tuple(x.shape)}, offset.shape = {tuple(offset.shape)}, mask.shape = {tuple(mask.shape)}, "
            f"weight.shape = {tuple(weight.shape)}; expected offset.shape, mask.shape = {wanted}, groups that divide C."
        )
    if x.is_cuda and (operator := _torchvision_operator()) is not None:
        with torch.autocast("cuda", enabled=False):
            tensors = (t.float() for t in (x, offset, weight))
            added = None if bias is None else bias.float()
            return operator(*tensors, added, padding=(padding, padding), mask=mask.float()).to(x.dtype)

    # Channel by channel in memory, whatever the layout was: sampling and weighing go through planes.
    pictures = x.contiguous().view(n * groups, channels // groups, height, width)
    moved = offset.contiguous().view(n * groups, taps, 2, rows, columns)
    shares = mask.contiguous().view(n * groups, taps, 1, rows, columns)
    output = None
    for tap in range(taps):
        sampled = _sample(pictures, moved[:, tap], tap // k - padding, tap % k - padding) * shares[:, tap].to(x.dtype)
        part = F.conv2d(sampled.reshape(n, channels, rows, columns), weight[:, :, tap // k, tap % k, None, None])
        output = part if output is None else output + part
    assert output is not None  # a kernel has a tap
    return output if bias is None else output + bias.view(1, out_channels, 1, 1)


def _sample(pictures: Tensor, offset: Tensor, down: int, right: int) -> Tensor:
    """``pictures`` (N, C, H, W) at (row + down, column + right) + ``offset`` (N, 2, H', W'), y before x."""
    height, width = pictures.shape[2:]
    with torch.autocast(pictures.device.type, enabled=False):
        offset = offset.float()
        rows, columns = offset.shape[2:]
        y = offset[:, 0] + torch.arange(down, down + rows, device=offset.device, dtype=torch.float32)[:, None]
        x = offset[:, 1] + torch.arange(right, right + columns, device=offset.device, dtype=torch.float32)
        # Pixels as areas (align_corners=False): a picture of a single row or column has a scale along that axis too.
        grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)
        sampled = F.grid_sample(pictures.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return sampled.to(pictures.dtype)


@functools.cache
def _torchvision_operator() -> Callable[..., Tensor] | None:
    """The operator of torchvision, None where that package is missing or belongs to another build of torch."""
    try:
        from torchvision.ops import deform_conv2d
    except (ImportError, RuntimeError, AttributeError):  # its compiled part fails to load with one of these
        return None
    return deform_conv2d


class ModulatedDeformConv(nn.Module):
    """The weights of a 3x3 modulated deformable convolution; subclasses say where offsets and masks come from."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        bound = (in_channels * 9) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def convolve(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """The convolution of ``x`` (N, C, H, W) with offsets (N, 18 * G, H, W) and masks (N, 9 * G, H, W)."""
        return modulated_deform_conv2d(x, offset, mask, self.weight, self.bias)


class GuidedDeformConv(ModulatedDeformConv):
    """Offsets and masks are one convolution of other features. Keys ``weight``, ``bias``, ``conv_offset``.

    Args:
        channels: of the input, of the guiding features and of the output.
        groups: parts of the channels that move on their own.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(channels, channels)
        self.conv_offset = nn.Conv2d(channels, groups * 3 * 9, 3, padding=1)
        for parameter in self.conv_offset.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """(N, C, H, W) twice to (N, C, H, W)."""
        first, second, mask = self.conv_offset(guide).chunk(3, dim=1)
        return self.convolve(x, torch.cat((first, second), dim=1), torch.sigmoid(mask))
