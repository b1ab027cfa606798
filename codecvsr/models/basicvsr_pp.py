"""BasicVSR++: second-order propagation, twice in each direction, aligned by deformable convolutions that flow guides.

Chan et al., "BasicVSR++: Improving Video Super-Resolution with Enhanced Propagation and Alignment", CVPR 2022; state-dict
keys and arithmetic as BasicSR publishes them. The form whose output has the input's size is that of the NTIRE 2021
challenge on compressed video.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.models.layers.blocks import SLOPE, ConvResidualBlocks, X4Head, bilinear_x4, count_blocks, pad_to_multiple
from codecvsr.models.layers.deform import ModulatedDeformConv
from codecvsr.models.layers.warp import warp
from codecvsr.models.spynet import SPyNet, window_flows

DEFORM_GROUPS = 16
_BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")
_MAXIMUM = 10  # pixels that the alignment may leave the flow by (equation 6)


class BasicVSRPlusPlus(X4Head):
    """x4 super-resolution of a window of frames, or its restoration: (N, T, 3, H, W) to (N, T, 3, scale * H, scale * W).

    Chan et al., "BasicVSR++: Improving Video Super-Resolution with Enhanced Propagation and Alignment", CVPR 2022.

    Args:
        mid_channels: of every feature map.
        num_blocks: residual blocks of each propagation branch.
        is_low_res_input: True: the output is 4 times as large; False: it has the input's size, and everything between
            runs at a quarter of it.
    """

    def __init__(self, *, mid_channels: int = 64, num_blocks: int = 7, is_low_res_input: bool = True) -> None:
        super().__init__(mid_channels)
        self.mid_channels, self.num_blocks, self.is_low_res_input = mid_channels, num_blocks, is_low_res_input
        self.scale = 4 if is_low_res_input else 1
        self.spynet = SPyNet()
        self.feat_extract = (
            ConvResidualBlocks(3, mid_channels, 5)
            if is_low_res_input
            else nn.Sequential(
                nn.Conv2d(3, mid_channels, 3, stride=2, padding=1),
                nn.LeakyReLU(SLOPE, inplace=True),
                nn.Conv2d(mid_channels, mid_channels, 3, stride=2, padding=1),
                nn.LeakyReLU(SLOPE, inplace=True),
                ConvResidualBlocks(mid_channels, mid_channels, 5),
            )
        )
        self.deform_align = nn.ModuleDict({branch: SecondOrderAlignment(mid_channels) for branch in _BRANCHES})
        self.backbone = nn.ModuleDict(
            {
                branch: ConvResidualBlocks((2 + i) * mid_channels, mid_channels, num_blocks)
                for i, branch in enumerate(_BRANCHES)
            }
        )
        self.reconstruction = ConvResidualBlocks(5 * mid_channels, mid_channels, 5)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> BasicVSRPlusPlus:
        """Build the network a state dict belongs to, hyper-parameters read off it, and load it strictly.

        Raises:
            KeyError, RuntimeError: the state dict is not a BasicVSR++'s.
        """
        network = cls(
            mid_channels=state["deform_align.backward_1.bias"].shape[0],
            num_blocks=count_blocks(state, "backbone.backward_1.main.2."),
            is_low_res_input="feat_extract.main.0.weight" in state,
        )
        network.load_state_dict(state)
        return network

    def forward(self, x: Tensor, flows_forward: Tensor | None = None, flows_backward: Tensor | None = None) -> Tensor:
        """Restore a window; a direction whose flows are given does without SPyNet.

        Args:
            x: (N, T, 3, H, W) RGB in 0..1, any size from 1x1 and any T from 1. In the same-size form sides that 4 does not
                divide are continued and cut off again.
            flows_forward: (N, T - 1, 2, H, W), see :func:`codecvsr.models.spynet.window_flows`; in the same-size form
                (N, T - 1, 2, ceil(H/4), ceil(W/4)), in pixels of that size.
            flows_backward: the same shape.

        Returns:
            (N, T, 3, scale * H, scale * W), not clipped.

        Raises:
            ValueError: a shape is not one of the above.
        """
        return torch.stack(list(self.iterate(x, flows_forward, flows_backward)), dim=1)

    def iterate(
        self, x: Tensor, flows_forward: Tensor | None = None, flows_backward: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Yield the pictures of :meth:`forward` one by one, (N, 3, scale * H, scale * W) each: only one is in memory at a time."""
        height, width = x.shape[-2:]
        small = x
        if not self.is_low_res_input:
            x = pad_to_multiple(x, 4)
            small = F.interpolate(x.flatten(0, 1), scale_factor=0.25, mode="bicubic", align_corners=False)
            small = small.unflatten(0, x.shape[:2])
        forward, backward = window_flows(self.spynet, small, flows_forward, flows_backward)
        t = x.shape[1]
        features = [[self.feat_extract(x[:, i])] for i in range(t)]  # of each frame: spatial, then branch after branch
        for branch in _BRANCHES:
            backwards = branch.startswith("backward")
            order = list(reversed(range(t))) if backwards else list(range(t))
            flows = [backward[:, i] for i in order[1:]] if backwards else [forward[:, i - 1] for i in order[1:]]
            self._propagate(branch, [features[i] for i in order], flows)
        for i in range(t):
            correction = self.enlarge(self.reconstruction(torch.cat(features[i], dim=1)))
            features[i].clear()
            picture = correction + (bilinear_x4(x[:, i]) if self.is_low_res_input else x[:, i])
            yield picture[..., : self.scale * height, : self.scale * width]

    def _propagate(self, branch: str, frames: list[list[Tensor]], flows: list[Tensor]) -> None:
        """Add this branch's features to every frame's.

        Args:
            branch: key of the layers.
            frames: the features (N, C, H, W) of each frame, in the order in which they are visited.
            flows: ``flows[i]`` (N, 2, H, W) leads from frame i + 1 of that order to frame i.
        """
        state = torch.zeros_like(frames[0][0])
        for i, features in enumerate(frames):
            if i > 0:
                first, second = flows[i - 1], torch.zeros_like(flows[i - 1])
                before = conditions = torch.zeros_like(state)
                if i > 1:
                    second = first + warp(flows[i - 2], first, padding="zeros")
                    before = frames[i - 2][-1]
                    conditions = warp(before, second, padding="zeros")
                guide = torch.cat((warp(state, first, padding="zeros"), features[0], conditions), dim=1)
                state = self.deform_align[branch](torch.cat((state, before), dim=1), guide, first, second)
            state = state + self.backbone[branch](torch.cat((*features, state), dim=1))
            features.append(state)


class SecondOrderAlignment(ModulatedDeformConv):
    """A deformable convolution of the last two states whose offsets are two flows and what is learnt on top of them."""

    def __init__(self, channels: int) -> None:
        super().__init__(2 * channels, channels)
        layers: list[nn.Module] = []
        for inputs in (3 * channels + 4, channels, channels):
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.LeakyReLU(SLOPE, inplace=True)]
        last = nn.Conv2d(channels, DEFORM_GROUPS * 3 * 9, 3, padding=1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.conv_offset = nn.Sequential(*layers, last)

    def forward(self, states: Tensor, guide: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Align.

        Args:
            states: (N, 2C, H, W), the state before this frame's and the one before that.
            guide: (N, 3C, H, W), both warped, this frame's features between them.
            first: (N, 2, H, W), flow to the frame before in pixels, x then y.
            second: (N, 2, H, W), flow to the one before that.

        Returns:
            (N, C, H, W).
        """
        one, two, mask = self.conv_offset(torch.cat((guide, first, second), dim=1)).chunk(3, dim=1)
        learnt = _MAXIMUM * torch.tanh(torch.cat((one, two), dim=1).float())
        # The first groups belong to one state, as many to the other; offsets are y, then x.
        repeats = learnt.shape[1] // 4
        offset = learnt + torch.cat(
            (first.flip(1).repeat(1, repeats, 1, 1), second.flip(1).repeat(1, repeats, 1, 1)), 1
        )
        return self.convolve(states, offset, torch.sigmoid(mask))
