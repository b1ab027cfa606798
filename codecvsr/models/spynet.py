"""SPyNet: optical flow from coarse to fine, as BasicVSR and its relatives use it.

Ranjan and Black, "Optical Flow Estimation using a Spatial Pyramid Network", CVPR 2017; state-dict keys and resizing
rules as BasicSR publishes them.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.models.layers.warp import warp

LEVELS = 6
_PAIRS_AT_ONCE = 8  # frame pairs in one call, so that a long window does not multiply its memory
_MULTIPLE = 2 ** (LEVELS - 1)


class _FlowStep(nn.Module):
    """The correction of one pyramid level: (reference, warped support, flow) = 8 channels to 2."""

    def __init__(self) -> None:
        super().__init__()
        channels = (8, 32, 64, 32, 16, 2)
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise(channels):
            layers += [nn.Conv2d(c_in, c_out, 7, padding=3), nn.ReLU(inplace=True)]
        self.basic_module = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(N, 8, H, W) to (N, 2, H, W)."""
        return self.basic_module(x)


class SPyNet(nn.Module):
    """Optical flow between two RGB pictures in 0..1."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.basic_module = nn.ModuleList(_FlowStep() for _ in range(LEVELS))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, reference: Tensor, support: Tensor) -> Tensor:
        """The flow that warps ``support`` onto ``reference``: on the reference's grid, pointing into the support.

        Sizes that are no multiple of 32 are resized to the next one, and the flow back. A side of 32 or less, for which
        the published code has an empty first level, works here.

        Args:
            reference: (N, 3, H, W).
            support: (N, 3, H, W).

        Returns:
            (N, 2, H, W) in pixels, x then y.
        """
        height, width = reference.shape[2:]
        inner = (_round_up(height), _round_up(width))
        resized = (F.interpolate(p, size=inner, mode="bilinear", align_corners=False) for p in (reference, support))
        flow = self._coarse_to_fine(*resized)
        flow = F.interpolate(flow, size=(height, width), mode="bilinear", align_corners=False)
        return flow * flow.new_tensor((width / inner[1], height / inner[0])).view(1, 2, 1, 1)

    def between(self, references: Tensor, supports: Tensor) -> Tensor:
        """The flows (N, T, 2, H, W) that warp each of ``supports`` onto its reference, both (N, T, 3, H, W)."""
        pairs = references.shape[:2]
        a, b = references.flatten(0, 1), supports.flatten(0, 1)
        parts = range(0, len(a), _PAIRS_AT_ONCE)
        flows = [self(a[i : i + _PAIRS_AT_ONCE], b[i : i + _PAIRS_AT_ONCE]) for i in parts]
        return torch.cat(flows).unflatten(0, pairs) if flows else references[:, :, :2]

    def _coarse_to_fine(self, reference: Tensor, support: Tensor) -> Tensor:
        references, supports = self._pyramid(reference), self._pyramid(support)
        count, _, height, width = references[0].shape
        flow = references[0].new_zeros(count, 2, height, width)
        for level, step in enumerate(self.basic_module):
            if level:
                flow = F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True) * 2.0
            pulled = warp(supports[level], flow, padding="border")
            flow = step(torch.cat((references[level], pulled, flow), dim=1)) + flow
        return flow

    def _pyramid(self, picture: Tensor) -> list[Tensor]:
        """The normalised picture at every level, coarsest first."""
        levels = [(picture - self.mean) / self.std]
        for _ in range(LEVELS - 1):
            levels.append(F.avg_pool2d(levels[-1], 2))
        return levels[::-1]


def _round_up(size: int) -> int:
    return -(-size // _MULTIPLE) * _MULTIPLE


def window_flows(
    spynet: SPyNet, x: Tensor, flows_forward: Tensor | None, flows_backward: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The flows of a recurrent network's window: those that are given, SPyNet's for a direction that has none.

    Args:
        spynet: the network's own.
        x: (N, T, 3, H, W).
        flows_forward: (N, T - 1, 2, H, W) in pixels, x then y: ``[:, i]`` lives on the grid of frame i + 1 and points into
            frame i (frame i + 1's ``to_prev``); it carries features forward in time.
        flows_backward: the same shape: ``[:, i]`` lives on the grid of frame i and points into frame i + 1 (frame i's
            ``to_next``); it carries features backward in time.

    Raises:
        ValueError: a shape is not one of the above.
    """
    if x.ndim != 5 or x.shape[2] != 3:
        raise ValueError(f"x.shape = {tuple(x.shape)}; expected (N, T, 3, H, W).")
    n, t, _, height, width = x.shape
    for name, given in (("flows_forward", flows_forward), ("flows_backward", flows_backward)):
        expected = (n, t - 1, 2, height, width)
        if given is not None and given.shape != expected:
            raise ValueError(f"{name}.shape = {tuple(given.shape)}; expected (N, T - 1, 2, H, W) = {expected}.")
    earlier, later = x[:, :-1], x[:, 1:]
    forward = spynet.between(later, earlier) if flows_forward is None else flows_forward
    return forward, spynet.between(earlier, later) if flows_backward is None else flows_backward
