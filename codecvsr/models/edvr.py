"""EDVR: a window of frames aligned to its middle by deformable convolutions, then fused by attention.

Wang et al., "EDVR: Video Restoration with Enhanced Deformable Convolutional Networks", CVPRW 2019; state-dict keys and
arithmetic as BasicSR publishes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.models.layers.blocks import ResidualBlock, X4Head, bilinear_x4, count_blocks, leaky_relu, pad_to_multiple
from codecvsr.models.layers.deform import GuidedDeformConv

DEFORM_GROUPS = 8
_LEVELS = ("l3", "l2", "l1")  # coarsest first


class EDVR(X4Head):
    """x4 super-resolution of the middle frame of a window: (N, num_frame, 3, H, W) to (N, 3, 4H, 4W).

    With ``hr_in`` it restores the frame at its own size. Wang et al., "EDVR: Video Restoration with Enhanced Deformable
    Convolutional Networks", CVPRW 2019.

    Args:
        num_feat: channels: 64 (M) or 128 (L).
        num_frame: frames of a window, odd.
        num_extract_block: residual blocks on each frame.
        num_reconstruct_block: residual blocks on the fused features: 10 (M) or 40 (L).
        with_tsa: fuse by temporal and spatial attention, else by one convolution.
        with_predeblur: the pyramid that precedes the network for blurred input.
        hr_in: the input has the output's size (needs ``with_predeblur``).
    """

    conv_first: nn.Conv2d
    predeblur: PreDeblur

    def __init__(
        self,
        *,
        num_feat: int = 64,
        num_frame: int = 5,
        num_extract_block: int = 5,
        num_reconstruct_block: int = 10,
        with_tsa: bool = True,
        with_predeblur: bool = False,
        hr_in: bool = False,
    ) -> None:
        super().__init__(num_feat)
        if hr_in and not with_predeblur:
            raise ValueError("hr_in = True, with_predeblur = False; only the pre-deblurring pyramid shrinks its input")
        self.num_feat, self.num_frame, self.hr_in = num_feat, num_frame, hr_in
        self.scale = 1 if hr_in else 4
        if with_predeblur:
            self.predeblur = PreDeblur(num_feat, hr_in=hr_in)
            self.conv_1x1 = nn.Conv2d(num_feat, num_feat, 1)
        _add_alignment(self, num_feat, num_frame, num_extract_block, with_tsa=with_tsa, with_first=not with_predeblur)
        self.reconstruction = nn.Sequential(*(ResidualBlock(num_feat) for _ in range(num_reconstruct_block)))

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> EDVR:
        """Build the network a state dict belongs to, hyper-parameters read off it, and load it strictly.

        Raises:
            KeyError, RuntimeError: the state dict is not an EDVR's.
        """
        with_tsa = "fusion.feat_fusion.weight" in state
        fused = state["fusion.feat_fusion.weight" if with_tsa else "fusion.weight"]
        network = cls(
            num_feat=fused.shape[0],
            num_frame=fused.shape[1] // fused.shape[0],
            num_extract_block=count_blocks(state, "feature_extraction."),
            num_reconstruct_block=count_blocks(state, "reconstruction."),
            with_tsa=with_tsa,
            with_predeblur="conv_1x1.weight" in state,
            hr_in="predeblur.stride_conv_hr1.weight" in state,
        )
        network.load_state_dict(state)
        return network

    def forward(self, x: Tensor) -> Tensor:
        """Restore the middle frame.

        Args:
            x: (N, num_frame, 3, H, W) RGB in 0..1, any size from 1x1; sides that no multiple of 4 are (16 with ``hr_in``)
                are continued and cut off again.

        Returns:
            (N, 3, scale * H, scale * W), not clipped.

        Raises:
            ValueError: the shape is not the above.
        """
        if x.ndim != 5 or x.shape[1:3] != (self.num_frame, 3):
            raise ValueError(f"x.shape = {tuple(x.shape)}; expected (N, {self.num_frame}, 3, H, W).")
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, 16 if self.hr_in else 4)
        frames = x.flatten(0, 1)
        if hasattr(self, "predeblur"):
            features = self.conv_1x1(self.predeblur(frames))
        else:
            features = leaky_relu(self.conv_first(frames))
        features = features.unflatten(0, x.shape[:2])
        out = self.enlarge(self.reconstruction(align_and_fuse(self, features)))
        middle = x[:, self.num_frame // 2]
        out = out + (middle if self.hr_in else bilinear_x4(middle))
        return out[..., : self.scale * height, : self.scale * width]


class FeatureExtractor(nn.Module):
    """EDVR-M up to its fusion, which IconVSR refills its key frames with. Keys as EDVR's."""

    conv_first: nn.Conv2d

    def __init__(self, num_feat: int, num_frame: int) -> None:
        super().__init__()
        _add_alignment(self, num_feat, num_frame, blocks=5, with_tsa=True, with_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, 3, H, W), sides divisible by 4, to the middle frame's features (N, C, H, W)."""
        features = leaky_relu(self.conv_first(x.flatten(0, 1))).unflatten(0, x.shape[:2])
        return align_and_fuse(self, features)


def _add_alignment(network: Any, channels: int, frames: int, blocks: int, *, with_tsa: bool, with_first: bool) -> None:
    """Add to ``network`` the layers that :func:`align_and_fuse` runs; they have no module of their own in the published keys."""
    if with_first:
        network.conv_first = nn.Conv2d(3, channels, 3, padding=1)
    network.feature_extraction = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
    network.conv_l2_1 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
    network.conv_l2_2 = nn.Conv2d(channels, channels, 3, padding=1)
    network.conv_l3_1 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
    network.conv_l3_2 = nn.Conv2d(channels, channels, 3, padding=1)
    network.pcd_align = PCDAlignment(channels, DEFORM_GROUPS)
    network.fusion = TSAFusion(channels, frames) if with_tsa else nn.Conv2d(frames * channels, channels, 1)


def align_and_fuse(network: Any, features: Tensor) -> Tensor:
    """The first features of a window (N, T, C, H, W) to the fused features of its middle frame (N, C, H, W)."""
    n, t = features.shape[:2]
    l1 = network.feature_extraction(features.flatten(0, 1))
    l2 = leaky_relu(network.conv_l2_2(leaky_relu(network.conv_l2_1(l1))))
    l3 = leaky_relu(network.conv_l3_2(leaky_relu(network.conv_l3_1(l2))))
    levels = [level.unflatten(0, (n, t)) for level in (l3, l2, l1)]
    middle = [level[:, t // 2] for level in levels]
    aligned = [network.pcd_align([level[:, i] for level in levels], middle) for i in range(t)]
    if isinstance(network.fusion, TSAFusion):
        return network.fusion(torch.stack(aligned, dim=1))
    return network.fusion(torch.cat(aligned, dim=1))


class PCDAlignment(nn.Module):
    """Alignment by deformable convolutions over a pyramid, coarse to fine, and once more at the end (section 3.2)."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()

        def conv(inputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs * channels, channels, 3, padding=1)

        self.offset_conv1 = nn.ModuleDict({level: conv(2) for level in _LEVELS})
        self.offset_conv2 = nn.ModuleDict({level: conv(1 if level == "l3" else 2) for level in _LEVELS})
        self.offset_conv3 = nn.ModuleDict({level: conv(1) for level in _LEVELS[1:]})
        self.dcn_pack = nn.ModuleDict({level: GuidedDeformConv(channels, groups) for level in _LEVELS})
        self.feat_conv = nn.ModuleDict({level: conv(2) for level in _LEVELS[1:]})
        self.cas_offset_conv1, self.cas_offset_conv2 = conv(2), conv(1)
        self.cas_dcnpack = GuidedDeformConv(channels, groups)

    def forward(self, neighbour: list[Tensor], reference: list[Tensor]) -> Tensor:
        """Pull a neighbour onto the reference.

        Args:
            neighbour: its features (N, C, h, w) at 1/4, 1/2 and 1/1 of the resolution.
            reference: the middle frame's, likewise.

        Returns:
            (N, C, H, W).
        """
        guide = features = reference[0]
        for i, level in enumerate(_LEVELS):
            coarser_guide, coarser = guide, features
            guide = leaky_relu(self.offset_conv1[level](torch.cat((neighbour[i], reference[i]), dim=1)))
            if i == 0:
                guide = leaky_relu(self.offset_conv2[level](guide))
                features = leaky_relu(self.dcn_pack[level](neighbour[i], guide))
                continue
            guide = leaky_relu(self.offset_conv2[level](torch.cat((guide, _double(coarser_guide) * 2), dim=1)))
            guide = leaky_relu(self.offset_conv3[level](guide))
            features = self.dcn_pack[level](neighbour[i], guide)
            features = self.feat_conv[level](torch.cat((features, _double(coarser)), dim=1))
            if level != "l1":
                features = leaky_relu(features)
        guide = leaky_relu(self.cas_offset_conv1(torch.cat((features, reference[-1]), dim=1)))
        guide = leaky_relu(self.cas_offset_conv2(guide))
        return leaky_relu(self.cas_dcnpack(features, guide))


class TSAFusion(nn.Module):
    """Fusion weighted by likeness to the middle frame, then by a spatial pyramid of attention (section 3.3)."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.temporal_attn1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.temporal_attn2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.feat_fusion = nn.Conv2d(frames * channels, channels, 1)
        self.spatial_attn1 = nn.Conv2d(frames * channels, channels, 1)
        self.spatial_attn2 = nn.Conv2d(2 * channels, channels, 1)
        self.spatial_attn3 = nn.Conv2d(channels, channels, 3, padding=1)
        self.spatial_attn4 = nn.Conv2d(channels, channels, 1)
        self.spatial_attn5 = nn.Conv2d(channels, channels, 3, padding=1)
        self.spatial_attn_l1 = nn.Conv2d(channels, channels, 1)
        self.spatial_attn_l2 = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.spatial_attn_l3 = nn.Conv2d(channels, channels, 3, padding=1)
        self.spatial_attn_add1 = nn.Conv2d(channels, channels, 1)
        self.spatial_attn_add2 = nn.Conv2d(channels, channels, 1)

    def forward(self, aligned: Tensor) -> Tensor:
        """(N, T, C, H, W), sides divisible by 4, to (N, C, H, W)."""
        n, t = aligned.shape[:2]
        middle = self.temporal_attn1(aligned[:, t // 2])[:, None]
        likeness = (self.temporal_attn2(aligned.flatten(0, 1)).unflatten(0, (n, t)) * middle).sum(2, keepdim=True)
        weighted = (aligned * torch.sigmoid(likeness)).flatten(1, 2)

        fine = leaky_relu(self.spatial_attn2(_pools(leaky_relu(self.spatial_attn1(weighted)))))
        coarse = leaky_relu(self.spatial_attn_l2(_pools(leaky_relu(self.spatial_attn_l1(fine)))))
        coarse = _double(leaky_relu(self.spatial_attn_l3(coarse)))
        attention = leaky_relu(self.spatial_attn3(fine)) + coarse
        attention = self.spatial_attn5(_double(leaky_relu(self.spatial_attn4(attention))))
        added = self.spatial_attn_add2(leaky_relu(self.spatial_attn_add1(attention)))
        # Twice a sigmoid: an attention of zero, where training starts, changes nothing.
        return leaky_relu(self.feat_fusion(weighted)) * torch.sigmoid(attention) * 2 + added


class PreDeblur(nn.Module):
    """A pyramid of residual blocks before the alignment (section 3.1); with ``hr_in`` it shrinks the picture by 4 first."""

    def __init__(self, channels: int, *, hr_in: bool) -> None:
        super().__init__()

        def halving() -> nn.Conv2d:
            return nn.Conv2d(channels, channels, 3, stride=2, padding=1)

        self.hr_in = hr_in
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        if hr_in:
            self.stride_conv_hr1, self.stride_conv_hr2 = halving(), halving()
        self.stride_conv_l2, self.stride_conv_l3 = halving(), halving()
        self.resblock_l3 = ResidualBlock(channels)
        self.resblock_l2_1, self.resblock_l2_2 = ResidualBlock(channels), ResidualBlock(channels)
        self.resblock_l1 = nn.ModuleList(ResidualBlock(channels) for _ in range(5))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, C, H, W), or a quarter of that along each side with ``hr_in``."""
        l1 = leaky_relu(self.conv_first(x))
        if self.hr_in:
            l1 = leaky_relu(self.stride_conv_hr2(leaky_relu(self.stride_conv_hr1(l1))))
        l2 = leaky_relu(self.stride_conv_l2(l1))
        l3 = leaky_relu(self.stride_conv_l3(l2))
        l2 = self.resblock_l2_2(self.resblock_l2_1(l2) + _double(self.resblock_l3(l3)))
        for i, block in enumerate(self.resblock_l1):
            l1 = block(l1 + _double(l2) if i == 2 else l1)
        return l1


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _pools(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, 2C, H/2, W/2): the largest value and the mean of each neighbourhood."""
    return torch.cat((F.max_pool2d(x, 3, stride=2, padding=1), F.avg_pool2d(x, 3, stride=2, padding=1)), dim=1)
