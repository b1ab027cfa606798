"""Frame-rate groups: BasicVSR on several selections of a clip, slow to fast, fused at the middle frame by attention.

One group of five frames per frame rate, all around the same frame: with rates (1, 2, 3) the frames 0, 1 and 2, then 0, 2
and 4, then 0, 3 and 6 steps away. A BasicVSR that the groups share gives the middle frame's features in each; attention
weighs them against each other. State-dict keys are the attention project's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from codecvsr.models.layers.blocks import (
    HEAD_CHANNELS,
    SLOPE,
    ResidualBlock,
    ShuffleConv,
    bilinear_x4,
    count_blocks,
    leaky_relu,
)
from codecvsr.models.layers.warp import warp
from codecvsr.models.spynet import SPyNet, window_flows

GROUP = 5  #: frames of a group
HEADS = 4  #: of the multi-head form


class RateGroups(nn.Module):
    """x4 super-resolution of one frame: three groups (N, 5, 3, H, W) around it to (N, 3, 4H, 4W).

    After BasicVSR (Chan et al., CVPR 2021) with frame-rate groups and attention; state-dict keys of the attention project.

    Args:
        multi_head: four heads of attention, and batch norms behind it; else one head and none.
        mid_channels: of every feature map.
        num_blocks: residual blocks of each propagation direction.
        rates: the step of each group; not in a state dict.
    """

    scale = 4

    def __init__(
        self,
        *,
        multi_head: bool = False,
        mid_channels: int = 64,
        num_blocks: int = 30,
        rates: tuple[int, ...] = (1, 2, 3),
    ) -> None:
        super().__init__()
        if len(rates) != 3:
            raise ValueError(f"rates = {rates}; the attention is over three")
        self.multi_head, self.mid_channels, self.rates = multi_head, mid_channels, rates
        self.optical_module = SPyNet()
        self.backward_resblocks = _Trunk(mid_channels + 3, mid_channels, num_blocks)
        self.forward_resblocks = _Trunk(mid_channels + 3, mid_channels, num_blocks)
        self.fusion = nn.Conv2d(2 * mid_channels, mid_channels, 1)
        self.attention: nn.Module = _MultiHead(mid_channels) if multi_head else _SingleHead(mid_channels)
        self.upsample1 = _Upsample(mid_channels, mid_channels)
        self.upsample2 = _Upsample(mid_channels, HEAD_CHANNELS)
        self.conv_hr = nn.Conv2d(HEAD_CHANNELS, HEAD_CHANNELS, 3, padding=1)
        self.conv_last = nn.Conv2d(HEAD_CHANNELS, 3, 3, padding=1)
        if multi_head:
            self.attention_output_bn = nn.BatchNorm2d(mid_channels)
            self.upsample1_bn = nn.BatchNorm2d(mid_channels)
            self.upsample2_bn = nn.BatchNorm2d(HEAD_CHANNELS)
            self.conv_hr_bn = nn.BatchNorm2d(HEAD_CHANNELS)

    @property
    def spynet(self) -> SPyNet:
        """The optical-flow network under the name the other networks have for it."""
        return self.optical_module

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> RateGroups:
        """Build the network a state dict belongs to, hyper-parameters read off it, and load it strictly.

        Raises:
            KeyError, RuntimeError: the state dict is not one of these networks'.
        """
        network = cls(
            multi_head="attention.heads_combiner.weight" in state,
            mid_channels=state["fusion.weight"].shape[0],
            num_blocks=count_blocks(state, "backward_resblocks.layers.2."),
        )
        network.load_state_dict(state)
        return network

    def forward(
        self, groups: Sequence[Tensor], flows: Sequence[tuple[Tensor | None, Tensor | None]] | None = None
    ) -> Tensor:
        """Super-resolve the middle frame.

        Args:
            groups: for each frame rate (N, 5, 3, H, W) RGB in 0..1, any size from 1x1; all have the same middle frame.
            flows: for each group its flows forward and backward, (N, 4, 2, H, W) each, see
                :func:`codecvsr.models.spynet.window_flows`; SPyNet's where they are None.

        Returns:
            (N, 3, 4H, 4W), not clipped.

        Raises:
            ValueError: the number of groups or a shape is not the above.
        """
        if len(groups) != len(self.rates) or any(g.ndim != 5 or g.shape[1:3] != (GROUP, 3) for g in groups):
            shapes = [tuple(group.shape) for group in groups]
            raise ValueError(f"shapes of the groups = {shapes}; expected {len(self.rates)} of (N, {GROUP}, 3, H, W).")
        given = flows if flows is not None else [(None, None)] * len(groups)
        middle = [self._middle(group, *pair) for group, pair in zip(groups, given, strict=True)]
        out = self._norm("attention_output_bn", self.attention(torch.stack(middle, dim=2)))
        out = leaky_relu(self._norm("upsample1_bn", self.upsample1(out)))
        out = leaky_relu(self._norm("upsample2_bn", self.upsample2(out)))
        out = self.conv_last(leaky_relu(self._norm("conv_hr_bn", self.conv_hr(out))))
        return out + bilinear_x4(groups[0][:, GROUP // 2])

    def attention_maps(self, features: Tensor) -> Tensor:
        """How the groups are weighed, (N, heads, C, groups, H, W), for their stacked features (N, C, groups, H, W)."""
        return self.attention.weights(features)  # type: ignore[operator]

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return getattr(self, name)(x) if self.multi_head else x

    def _middle(self, frames: Tensor, flows_forward: Tensor | None, flows_backward: Tensor | None) -> Tensor:
        """The fused features (N, C, H, W) of the middle frame of a group."""
        forward, backward = window_flows(self.optical_module, frames, flows_forward, flows_backward)
        middle, last = GROUP // 2, GROUP - 1
        start = frames.new_zeros(frames.shape[0], self.mid_channels, *frames.shape[-2:])
        from_future = self.backward_resblocks(torch.cat((frames[:, last], start), dim=1))
        for i in range(last - 1, middle - 1, -1):
            from_future = warp(from_future, backward[:, i], padding="zeros")
            from_future = self.backward_resblocks(torch.cat((frames[:, i], from_future), dim=1))
        from_past = self.forward_resblocks(torch.cat((frames[:, 0], start), dim=1))
        for i in range(1, middle + 1):
            from_past = warp(from_past, forward[:, i - 1], padding="zeros")
            from_past = self.forward_resblocks(torch.cat((frames[:, i], from_past), dim=1))
        return leaky_relu(self.fusion(torch.cat((from_future, from_past), dim=1)))


class _Trunk(nn.Module):
    """As :class:`~codecvsr.models.layers.blocks.ConvResidualBlocks`, under the key ``layers``."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Sequential(*(ResidualBlock(out_channels) for _ in range(blocks))),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class _Upsample(nn.Module):
    """A pixel shuffle under the key ``upsample_conv``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample_conv = ShuffleConv(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.upsample_conv(x)


class _Weighing(nn.Module):
    """Each group's own convolution, and a softmax over the groups, per pixel and channel. Keys ``conv1`` to ``conv3``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3))

    def weights(self, x: Tensor) -> Tensor:
        """(N, C, 3, H, W) to the same; they add up to 1 over the groups."""
        convs = (self.conv1, self.conv2, self.conv3)
        scores = [leaky_relu(conv(group)) for conv, group in zip(convs, x.unbind(2), strict=True)]
        return torch.softmax(torch.stack(scores, dim=2), dim=2)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)


class _Final(nn.Module):
    """Three weighted groups to one feature map, by convolutions over groups and pixels, then over pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv3d_feat = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv3d_compress = nn.Conv3d(2 * channels, channels, 3, padding=(0, 1, 1))
        self.conv2d_feat = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2d_compress = nn.Conv2d(2 * channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, 3, H, W) to (N, C, H, W)."""
        x = torch.cat((x, leaky_relu(self.conv3d_feat(x))), dim=1)
        flat = leaky_relu(self.conv3d_compress(x)).squeeze(2)
        flat = torch.cat((flat, leaky_relu(self.conv2d_feat(flat))), dim=1)
        return leaky_relu(self.conv2d_compress(flat))


class _SingleHead(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attn = _Weighing(channels)
        self.attn_feat = _Final(channels)

    def weights(self, x: Tensor) -> Tensor:
        """(N, C, 3, H, W) to (N, 1, C, 3, H, W)."""
        return self.attn.weights(x)[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, 3, H, W) to (N, C, H, W)."""
        return self.attn_feat(self.attn(x))


class _MultiHead(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads_projector = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(HEADS))
        self.heads = nn.ModuleList(_Weighing(channels) for _ in range(HEADS))
        self.heads_combiner = nn.Conv3d(HEADS * channels, channels, 3, padding=1)
        self.final_block = _Final(channels)

    def _projected(self, x: Tensor) -> list[Tensor]:
        """What each head sees of (N, C, 3, H, W)."""
        n = x.shape[0]
        flat = x.transpose(1, 2).flatten(0, 1)
        return [leaky_relu(conv(flat)).unflatten(0, (n, -1)).transpose(1, 2) for conv in self.heads_projector]

    def weights(self, x: Tensor) -> Tensor:
        """(N, C, 3, H, W) to (N, heads, C, 3, H, W)."""
        heads = zip(self.heads, self._projected(x), strict=True)
        return torch.stack([head.weights(seen) for head, seen in heads], dim=1)  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, 3, H, W) to (N, C, H, W)."""
        seen = [head(projected) for head, projected in zip(self.heads, self._projected(x), strict=True)]
        return self.final_block(leaky_relu(self.heads_combiner(torch.cat(seen, dim=1))))
