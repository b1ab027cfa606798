"""BasicVSR: bidirectional recurrent super-resolution along optical flow.

Chan et al., "BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond", CVPR 2021; state-dict
keys and arithmetic as BasicSR publishes them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.models.blocks import ConvResidualBlocks, ShuffleConv, leaky_relu
from codecvsr.models.spynet import SPyNet
from codecvsr.motion.warp import warp

_HEAD_CHANNELS = 64
_PAIRS_AT_ONCE = 8  # frame pairs in one call of SPyNet, so that a long window does not multiply its memory


class BasicVSR(nn.Module):
    """x4 super-resolution of a window of frames; every frame sees the whole window.

    Args:
        num_feat: channels of the recurrent features.
        num_block: residual blocks of each direction.
    """

    scale = 4

    def __init__(self, *, num_feat: int = 64, num_block: int = 30) -> None:
        super().__init__()
        self.num_feat = num_feat
        self.num_block = num_block
        self.spynet = SPyNet()
        self.backward_trunk = ConvResidualBlocks(num_feat + 3, num_feat, num_block)
        self.forward_trunk = ConvResidualBlocks(num_feat + 3, num_feat, num_block)
        self.fusion = nn.Conv2d(num_feat * 2, num_feat, 1)
        self.upconv1 = ShuffleConv(num_feat, num_feat)
        self.upconv2 = ShuffleConv(num_feat, _HEAD_CHANNELS)
        self.conv_hr = nn.Conv2d(_HEAD_CHANNELS, _HEAD_CHANNELS, 3, padding=1)
        self.conv_last = nn.Conv2d(_HEAD_CHANNELS, 3, 3, padding=1)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> BasicVSR:
        """Build the network a state dict belongs to, channels and blocks read off it, and load it strictly.

        Raises:
            KeyError, RuntimeError: the state dict is not a BasicVSR's.
        """
        prefix = "backward_trunk.main.2."
        blocks = {key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)}
        network = cls(num_feat=state["fusion.weight"].shape[0], num_block=len(blocks))
        network.load_state_dict(state)
        return network

    def forward(self, x: Tensor, flows_forward: Tensor | None = None, flows_backward: Tensor | None = None) -> Tensor:
        """Super-resolve a window; a direction whose flows are given does without SPyNet.

        Args:
            x: (N, T, 3, H, W) RGB in 0..1, any size from 1x1 and any T from 1.
            flows_forward: (N, T - 1, 2, H, W) in pixels, x then y: ``[:, i]`` lives on the grid of frame i + 1 and
                points into frame i (frame i + 1's ``to_prev``); it carries features forward in time.
            flows_backward: the same shape: ``[:, i]`` lives on the grid of frame i and points into frame i + 1 (frame
                i's ``to_next``); it carries features backward in time.

        Returns:
            (N, T, 3, 4H, 4W), not clipped.

        Raises:
            ValueError: a shape is not one of the above.
        """
        if x.ndim != 5 or x.shape[2] != 3:
            raise ValueError(f"x.shape = {tuple(x.shape)}; expected (N, T, 3, H, W).")
        n, t, _, height, width = x.shape
        if flows_forward is None:
            flows_forward = self._flows(x[:, 1:], x[:, :-1])
        if flows_backward is None:
            flows_backward = self._flows(x[:, :-1], x[:, 1:])
        for name, flows in (("flows_forward", flows_forward), ("flows_backward", flows_backward)):
            if flows.shape != (n, t - 1, 2, height, width):
                expected = (n, t - 1, 2, height, width)
                raise ValueError(f"{name}.shape = {tuple(flows.shape)}; expected (N, T - 1, 2, H, W) = {expected}.")

        start = x.new_zeros(n, self.num_feat, height, width)
        from_future: list[Tensor] = []
        state = start
        for i in reversed(range(t)):
            if i < t - 1:
                state = warp(state, flows_backward[:, i], padding="zeros")
            state = self.backward_trunk(torch.cat((x[:, i], state), dim=1))
            from_future.append(state)
        output = []
        state = start
        for i in range(t):
            if i > 0:
                state = warp(state, flows_forward[:, i - 1], padding="zeros")
            state = self.forward_trunk(torch.cat((x[:, i], state), dim=1))
            output.append(self._reconstruct(x[:, i], from_future.pop(), state))
        return torch.stack(output, dim=1)

    def _reconstruct(self, frame: Tensor, from_future: Tensor, from_past: Tensor) -> Tensor:
        """(N, 3, 4H, 4W) from the features of both directions: a correction of the bilinear picture."""
        out = leaky_relu(self.fusion(torch.cat((from_future, from_past), dim=1)))
        out = leaky_relu(self.upconv1(out))
        out = leaky_relu(self.upconv2(out))
        out = self.conv_last(leaky_relu(self.conv_hr(out)))
        return out + F.interpolate(frame, scale_factor=4, mode="bilinear", align_corners=False)

    def _flows(self, references: Tensor, supports: Tensor) -> Tensor:
        """SPyNet's flows (N, T, 2, H, W) that warp each of ``supports`` onto its reference, both (N, T, 3, H, W)."""
        n, pairs, _, height, width = references.shape
        flat_references, flat_supports = references.flatten(0, 1), supports.flatten(0, 1)
        flows = [
            self.spynet(flat_references[i : i + _PAIRS_AT_ONCE], flat_supports[i : i + _PAIRS_AT_ONCE])
            for i in range(0, n * pairs, _PAIRS_AT_ONCE)
        ]
        return torch.cat(flows).view(n, pairs, 2, height, width) if flows else references[:, :, :2]
