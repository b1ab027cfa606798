"""Backward warping: every network and every measurement samples along a flow with this one function."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from codecvsr.models.layers import triton_warp

Padding = Literal["border", "zeros"]
Mode = Literal["bilinear", "bicubic", "nearest"]


def warp(features: Tensor, flow: Tensor, *, padding: Padding = "border", mode: Mode = "bilinear") -> Tensor:
    """Pull ``features`` along ``flow``: ``output(p) = features(p + flow(p))``.

    Positions are float32 whatever the features' type is, under autocast too: with 8 or 11 bits of mantissa a coordinate
    of a wide picture is off by pixels. On the CPU, features in ``channels_last`` are gathered pixel by pixel, about
    three times as fast as ``grid_sample``, which everything else goes through; positions then differ by 1e-5 of a pixel. On
    a GPU with Triton such features go through :mod:`.triton_warp` where no gradients are wanted.

    Args:
        features: (N, C, H, W), any floating type.
        flow: (N, 2, H, W) in pixels, x then y, from each output pixel to its source.
        padding: what lies outside: the ``border``'s nearest pixel, or ``zeros``.
        mode: interpolation between pixels.

    Returns:
        (N, C, H, W) of the features' type.

    Raises:
        ValueError: the two shapes do not match.
    """
    if features.ndim != 4 or flow.shape != (features.shape[0], 2, *features.shape[2:]):
        raise ValueError(
            f"features.shape = {tuple(features.shape)} and flow.shape = {tuple(flow.shape)}; "
            "expected (N, C, H, W) and (N, 2, H, W)."
        )
    if mode == "bilinear" and triton_warp.is_supported(features, flow):
        made = triton_warp.warp_or_none(features, flow, padding, lambda: _warp(features, flow, padding, mode))
        if made is not None:
            return made
    return _warp(features, flow, padding, mode)


def _warp(features: Tensor, flow: Tensor, padding: Padding, mode: Mode) -> Tensor:
    height, width = features.shape[2:]
    with torch.autocast(features.device.type, enabled=False):
        flow = flow.float()
        x = flow[:, 0] + torch.arange(width, device=flow.device, dtype=torch.float32)
        y = flow[:, 1] + torch.arange(height, device=flow.device, dtype=torch.float32)[:, None]
        if mode == "bilinear" and _is_channels_last_on_cpu(features):
            return _gather(features.float(), x, y, padding).to(features.dtype)
        # The order of these operations is the published networks': their golden outputs depend on its rounding.
        x = x.mul_(2.0).div_(max(width - 1, 1)).sub_(1.0)
        y = y.mul_(2.0).div_(max(height - 1, 1)).sub_(1.0)
        grid = torch.stack((x, y), dim=-1)
        output = F.grid_sample(features.float(), grid, mode=mode, padding_mode=padding, align_corners=True)
        return output.to(features.dtype)


def _is_channels_last_on_cpu(features: Tensor) -> bool:
    return (
        features.device.type == "cpu"
        and not torch.compiler.is_compiling()  # an exported network has other runtimes' operations
        and features.is_contiguous(memory_format=torch.channels_last)
        and not features.is_contiguous()
    )


def _gather(features: Tensor, x: Tensor, y: Tensor, padding: Padding) -> Tensor:
    """The bilinear warp of (N, C, H, W) float32 ``channels_last`` features at positions ``x``, ``y`` (N, H, W).

    Stored as rows of C channels, a pixel of the output is the weighted sum of four rows: an embedding bag.
    """
    count, channels, height, width = features.shape
    x0, x_weights = _neighbours(x, width, padding)
    y0, y_weights = _neighbours(y, height, padding)
    step_x, step_y = int(width > 1), width * int(height > 1)
    picture = torch.arange(count, device=x.device)[:, None, None] * (height * width)
    corner = picture + y0 * width + x0
    rows = torch.stack((corner, corner + step_x, corner + step_y, corner + step_y + step_x), dim=-1)
    weights = (y_weights[..., :, None] * x_weights[..., None, :]).flatten(-2)
    table = features.permute(0, 2, 3, 1).reshape(-1, channels)
    output = F.embedding_bag(rows.view(-1, 4), table, mode="sum", per_sample_weights=weights.view(-1, 4))
    return output.view(count, height, width, channels).permute(0, 3, 1, 2)


def _neighbours(position: Tensor, size: int, padding: Padding) -> tuple[Tensor, Tensor]:
    """The lower of the two neighbours of each position on an axis (N, H, W), and the weights of both (N, H, W, 2)."""
    last = size - 1
    bordered = padding == "border" or size == 1  # grid_sample, too, never leaves an axis of a single pixel
    position = position.clamp(0, last) if bordered else position.clamp(-1, size)
    lower = position.detach().floor().long().clamp(0, max(last - 1, 0))
    offset = position - lower
    if bordered:
        return lower, torch.stack((1 - offset, offset), dim=-1)
    of_lower = torch.where(offset < 0, 1 + offset, 1 - offset)  # beyond the border the last pixel fades within one step
    of_upper = torch.where(offset > 1, 2 - offset, offset)
    return lower, torch.stack((of_lower, of_upper), dim=-1).clamp_min(0)
