"""IconVSR: BasicVSR with key frames refilled by EDVR and with one direction of propagation coupled into the other.

Chan et al., "BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond", CVPR 2021, section 4;
state-dict keys and arithmetic as BasicSR publishes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.models.edvr import FeatureExtractor
from codecvsr.models.layers.blocks import ConvResidualBlocks, X4Head, bilinear_x4, count_blocks, pad_to_multiple
from codecvsr.models.layers.warp import warp
from codecvsr.models.spynet import SPyNet, window_flows

_MULTIPLE = 4  # of the sides, for the pyramid of EDVR


class IconVSR(X4Head):
    """x4 super-resolution of a window of frames: (N, T, 3, H, W) to (N, T, 3, 4H, 4W); every frame sees the whole window.

    Chan et al., "BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond", CVPR 2021, section 4.

    Args:
        num_feat: channels of the recurrent features.
        num_block: residual blocks of each direction.
        keyframe_stride: every so many frames, and the last, are key frames; not in a state dict.
        temporal_padding: frames that EDVR sees to either side of a key frame: 2 (REDS) or 3 (Vimeo-90K).
    """

    scale = 4

    def __init__(
        self, *, num_feat: int = 64, num_block: int = 30, keyframe_stride: int = 5, temporal_padding: int = 2
    ) -> None:
        super().__init__(num_feat)
        self.num_feat, self.num_block = num_feat, num_block
        self.keyframe_stride, self.temporal_padding = keyframe_stride, temporal_padding
        self.edvr = FeatureExtractor(num_feat, 2 * temporal_padding + 1)
        self.spynet = SPyNet()
        self.backward_fusion = nn.Conv2d(2 * num_feat, num_feat, 3, padding=1)
        self.backward_trunk = ConvResidualBlocks(num_feat + 3, num_feat, num_block)
        self.forward_fusion = nn.Conv2d(2 * num_feat, num_feat, 3, padding=1)
        self.forward_trunk = ConvResidualBlocks(2 * num_feat + 3, num_feat, num_block)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> IconVSR:
        """Build the network a state dict belongs to, hyper-parameters read off it, and load it strictly.

        Raises:
            KeyError, RuntimeError: the state dict is not an IconVSR's.
        """
        channels, fused = state["edvr.fusion.feat_fusion.weight"].shape[:2]
        network = cls(
            num_feat=channels,
            num_block=count_blocks(state, "backward_trunk.main.2."),
            temporal_padding=fused // channels // 2,
        )
        network.load_state_dict(state)
        return network

    def forward(self, x: Tensor, flows_forward: Tensor | None = None, flows_backward: Tensor | None = None) -> Tensor:
        """Super-resolve a window; a direction whose flows are given does without SPyNet.

        Args:
            x: (N, T, 3, H, W) RGB in 0..1, any size from 1x1 and any T from 1.
            flows_forward: (N, T - 1, 2, H, W), see :func:`codecvsr.models.spynet.window_flows`.
            flows_backward: the same shape.

        Returns:
            (N, T, 3, 4H, 4W), not clipped.

        Raises:
            ValueError: a shape is not one of the above.
        """
        return torch.stack(list(self.iterate(x, flows_forward, flows_backward)), dim=1)

    def iterate(
        self, x: Tensor, flows_forward: Tensor | None = None, flows_backward: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Yield the pictures of :meth:`forward` one by one, (N, 3, 4H, 4W) each: only one is in memory at a time."""
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, _MULTIPLE)
        given = (continued(flows, (height, width), x.shape[-2:]) for flows in (flows_forward, flows_backward))
        flows_forward, flows_backward = window_flows(self.spynet, x, *given)
        n, t = x.shape[:2]
        refill = self._refill(x)

        start = x.new_zeros(n, self.num_feat, *x.shape[-2:])
        from_future: list[Tensor] = []
        state = start
        for i in reversed(range(t)):
            if i < t - 1:
                state = warp(state, flows_backward[:, i], padding="zeros")
            if i in refill:
                state = self.backward_fusion(torch.cat((state, refill[i]), dim=1))
            state = self.backward_trunk(torch.cat((x[:, i], state), dim=1))
            from_future.append(state)
        state = start
        for i in range(t):
            if i > 0:
                state = warp(state, flows_forward[:, i - 1], padding="zeros")
            if i in refill:
                state = self.forward_fusion(torch.cat((state, refill[i]), dim=1))
            state = self.forward_trunk(torch.cat((x[:, i], from_future.pop(), state), dim=1))
            yield (self.enlarge(state) + bilinear_x4(x[:, i]))[..., : 4 * height, : 4 * width]

    def key_frames(self, frames: int) -> list[int]:
        """The key frames of a window of so many frames."""
        keys = list(range(0, frames, self.keyframe_stride))
        return keys if keys[-1] == frames - 1 else [*keys, frames - 1]

    def _refill(self, x: Tensor) -> dict[int, Tensor]:
        """EDVR's features (N, C, H, W) of every key frame."""
        radius, last = self.temporal_padding, x.shape[1] - 1
        windows = {
            i: [inside(j, last, radius) for j in range(i - radius, i + radius + 1)] for i in self.key_frames(last + 1)
        }
        return {i: self.edvr(x[:, window]) for i, window in windows.items()}


def inside(index: int, last: int, radius: int) -> int:
    """The frame that stands in for one beyond an end: one that no window at that end has; the nearest in a short clip."""
    if index < 0:
        index = radius - index
    elif index > last:
        index = 2 * last - radius - index
    return min(max(index, 0), last)


def continued(flows: Tensor | None, size: tuple[int, int], padded: torch.Size) -> Tensor | None:
    """Given flows for the continued picture: their last row and column repeated; wrong shapes stay for the error."""
    if flows is None or flows.ndim != 5 or flows.shape[-2:] != size or flows.shape[1] == 0:
        return flows if flows is None or flows.shape[-2:] != size else flows.new_zeros(*flows.shape[:-2], *padded)
    sides = (0, padded[1] - size[1], 0, padded[0] - size[0])
    return F.pad(flows.flatten(0, 1), sides, mode="replicate").unflatten(0, flows.shape[:2])
