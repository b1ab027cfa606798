"""BasicVSR: bidirectional recurrent super-resolution along optical flow.

Chan et al., "BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond", CVPR 2021; state-dict
keys and arithmetic as BasicSR publishes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from codecvsr.models.layers.blocks import ConvResidualBlocks, X4Head, bilinear_x4, count_blocks, leaky_relu
from codecvsr.models.layers.warp import warp
from codecvsr.models.spynet import SPyNet, window_flows


class BasicVSR(X4Head):
    """x4 super-resolution of a window of frames: (N, T, 3, H, W) to (N, T, 3, 4H, 4W); every frame sees the whole window.

    Chan et al., "BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond", CVPR 2021.

    Args:
        num_feat: channels of the recurrent features.
        num_block: residual blocks of each direction.
    """

    scale = 4

    def __init__(self, *, num_feat: int = 64, num_block: int = 30) -> None:
        super().__init__(num_feat)
        self.num_feat = num_feat
        self.num_block = num_block
        self.spynet = SPyNet()
        self.backward_trunk = ConvResidualBlocks(num_feat + 3, num_feat, num_block)
        self.forward_trunk = ConvResidualBlocks(num_feat + 3, num_feat, num_block)
        self.fusion = nn.Conv2d(num_feat * 2, num_feat, 1)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> BasicVSR:
        """Build the network a state dict belongs to, channels and blocks read off it, and load it strictly.

        Raises:
            KeyError, RuntimeError: the state dict is not a BasicVSR's.
        """
        blocks = count_blocks(state, "backward_trunk.main.2.")
        network = cls(num_feat=state["fusion.weight"].shape[0], num_block=blocks)
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
        flows_forward, flows_backward = window_flows(self.spynet, x, flows_forward, flows_backward)
        n, t, _, height, width = x.shape
        start = x.new_zeros(n, self.num_feat, height, width)
        from_future: list[Tensor] = []
        state = start
        for i in reversed(range(t)):
            if i < t - 1:
                state = warp(state, flows_backward[:, i], padding="zeros")
            state = self.backward_trunk(torch.cat((x[:, i], state), dim=1))
            from_future.append(state)
        state = start
        for i in range(t):
            if i > 0:
                state = warp(state, flows_forward[:, i - 1], padding="zeros")
            state = self.forward_trunk(torch.cat((x[:, i], state), dim=1))
            yield self._reconstruct(x[:, i], from_future.pop(), state)

    def _reconstruct(self, frame: Tensor, from_future: Tensor, from_past: Tensor) -> Tensor:
        """(N, 3, 4H, 4W) from the features of both directions: a correction of the bilinear picture."""
        out = leaky_relu(self.fusion(torch.cat((from_future, from_past), dim=1)))
        return self.enlarge(out) + bilinear_x4(frame)
