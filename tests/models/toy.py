"""A network small enough to read at a glance, added to codecvsr as docs/architecture.md describes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.models import runners
from codecvsr.models.architecture import Architecture, Training, has_keys
from codecvsr.models.layers.warp import warp


class Toy(nn.Module):
    """x4 super-resolution of every frame from itself and the frame before, pulled along the flow."""

    scale = 4

    def __init__(self, *, width: int = 8, depth: int = 1) -> None:
        super().__init__()
        channels = [6, *[width] * depth]
        self.body = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(channels))
        self.head = nn.Conv2d(width, 3 * self.scale**2, 3, padding=1)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> Toy:
        """Build the network that a state dict belongs to, and load it strictly."""
        depth = sum(key.startswith("body.") and key.endswith(".weight") for key in state)
        network = cls(width=state["head.weight"].shape[1], depth=depth)
        network.load_state_dict(state)
        return network

    def forward(self, x: Tensor, flows_forward: Tensor, flows_backward: Tensor) -> Tensor:
        """(N, T, 3, H, W) and flows (N, T - 1, 2, H, W) to (N, T, 3, 4H, 4W)."""
        output = []
        for i, frame in enumerate(x.unbind(1)):
            before = warp(x[:, i - 1], flows_forward[:, i - 1]) if i else frame
            features = torch.cat((frame, before), dim=1)
            for conv in self.body:
                features = torch.relu(conv(features))
            enlarged = F.interpolate(frame, scale_factor=self.scale, mode="bilinear")
            output.append(enlarged + F.pixel_shuffle(self.head(features), self.scale))
        return torch.stack(output, dim=1)


TOY = Architecture(
    title="a toy",
    network=Toy,
    runner=runners.run_on_flows,
    motions=("codec", "dis", "zero"),
    variants={"toy-wide": lambda **sizes: Toy(**{"width": 16, **sizes})},
    recognises=has_keys("body.0.weight", "head.weight"),
    from_state_dict=Toy.from_state_dict,
    accepts="the toy ('body.0.weight', 'head.weight')",
    training=Training("width", "depth", motions=("codec", "zero")),
)
