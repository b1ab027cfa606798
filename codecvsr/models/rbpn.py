"""RBPN: one frame and its neighbours, pair after pair, by back-projection between low and high resolution.

Haris et al., "Recurrent Back-Projection Network for Video Super-Resolution", CVPR 2019; state-dict keys and arithmetic as
its authors publish them. The optical flow comes from the caller (theirs was pyflow's).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from codecvsr.models.layers.blocks import Residual, count_blocks

_KERNEL, _STRIDE, _PADDING = 8, 4, 2  # of every step between the resolutions, for x4
_KERNEL_SCALES = {6: 2, 8: 4, 12: 8}


class RBPN(nn.Module):
    """x4 super-resolution of one frame: (N, 3, H, W), its neighbours and the flows into them to (N, 3, 4H, 4W).

    Haris et al., "Recurrent Back-Projection Network for Video Super-Resolution", CVPR 2019.

    Args:
        base_filter: channels at low resolution.
        feat: channels at high resolution.
        n_resblock: residual blocks of each of the three chains.
        frames: the target and its neighbours.
    """

    scale = 4

    def __init__(self, *, base_filter: int = 256, feat: int = 64, n_resblock: int = 5, frames: int = 7) -> None:
        super().__init__()
        self.num_frame = frames
        self.feat0 = _Conv(3, base_filter, 3, 1, 1)
        self.feat1 = _Conv(8, base_filter, 3, 1, 1)
        self.DBPN = _BackProjection(base_filter, feat)
        up, down = _Deconv(base_filter, feat), _Conv(feat, base_filter)
        self.res_feat1 = nn.Sequential(*(_Residual(base_filter) for _ in range(n_resblock)), up)
        self.res_feat2 = nn.Sequential(*(_Residual(feat) for _ in range(n_resblock)), _Conv(feat, feat, 3, 1, 1))
        self.res_feat3 = nn.Sequential(*(_Residual(feat) for _ in range(n_resblock)), down)
        self.output = _Conv((frames - 1) * feat, 3, 3, 1, 1, activation=False)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> RBPN:
        """Build the network a state dict belongs to, hyper-parameters read off it, and load it strictly.

        Raises:
            ValueError: the state dict is an RBPN's for another scale.
            KeyError, RuntimeError: it is not an RBPN's.
        """
        kernel = state["DBPN.up1.up_conv1.deconv.weight"].shape[-1]
        if kernel != _KERNEL:
            scale = _KERNEL_SCALES.get(kernel, "another scale")
            raise ValueError(
                f"it is for scale {scale} (kernels of {kernel}); only scale 4 (kernels of {_KERNEL}) is accepted"
            )
        base_filter, feat = state["feat0.conv.weight"].shape[0], state["DBPN.feat1.conv.weight"].shape[0]
        network = cls(
            base_filter=base_filter,
            feat=feat,
            n_resblock=count_blocks(state, "res_feat1.") - 1,
            frames=state["output.conv.weight"].shape[1] // feat + 1,
        )
        network.load_state_dict(state)
        return network

    def forward(self, target: Tensor, neighbours: Tensor, flows: Tensor) -> Tensor:
        """Super-resolve a frame.

        Args:
            target: (N, 3, H, W) RGB in 0..1, any size from 1x1.
            neighbours: (N, frames - 1, 3, H, W) in time order; where there is none, the target itself.
            flows: (N, frames - 1, 2, H, W) in pixels, x then y, on the target's grid, pointing into each neighbour.

        Returns:
            (N, 3, 4H, 4W), not clipped.

        Raises:
            ValueError: a shape is not one of the above.
        """
        n, _, height, width = target.shape
        count = self.num_frame - 1
        expected = (n, count, 3, height, width), (n, count, 2, height, width)
        if (neighbours.shape, flows.shape) != expected:
            raise ValueError(
                f"neighbours.shape, flows.shape = {tuple(neighbours.shape)}, {tuple(flows.shape)}; "
                f"expected {expected[0]}, {expected[1]}."
            )
        features = self.feat0(target)
        high = []
        for neighbour, flow in zip(neighbours.unbind(1), flows.unbind(1), strict=True):
            alone = self.DBPN(features)
            paired = self.res_feat1(self.feat1(torch.cat((target, neighbour, flow), dim=1)))
            high.append(alone + self.res_feat2(alone - paired))
            features = self.res_feat3(high[-1])
        return self.output(torch.cat(high, dim=1))


class _Conv(nn.Module):
    """A convolution and its PReLU; by default the step down from high resolution. Keys ``conv``, ``act``."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = _KERNEL,
        stride: int = _STRIDE,
        padding: int = _PADDING,
        *,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding)
        self.act = nn.PReLU() if activation else nn.Identity()
        _initialise(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv(x))


class _Deconv(nn.Module):
    """The step up to high resolution and its PReLU. Keys ``deconv``, ``act``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(in_channels, out_channels, _KERNEL, _STRIDE, _PADDING)
        self.act = nn.PReLU()
        _initialise(self.deconv)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.deconv(x))


class _Residual(Residual):
    """Two convolutions added to their input; one PReLU, used twice. Keys ``conv1``, ``conv2``, ``act``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = nn.PReLU()
        _initialise(self.conv1)
        _initialise(self.conv2)

    def layers(self) -> tuple[nn.Conv2d, nn.Module, nn.Conv2d, nn.Module | None]:
        return self.conv1, self.act, self.conv2, self.act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x + self.conv2(self.act(self.conv1(x))))


class _Up(nn.Module):
    """Up, corrected by the difference that remains after going back down."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up_conv1 = _Deconv(channels, channels)
        self.up_conv2 = _Conv(channels, channels)
        self.up_conv3 = _Deconv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        high = self.up_conv1(x)
        return self.up_conv3(self.up_conv2(high) - x) + high


class _Down(nn.Module):
    """Down, corrected by the difference that remains after going back up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down_conv1 = _Conv(channels, channels)
        self.down_conv2 = _Deconv(channels, channels)
        self.down_conv3 = _Conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        low = self.down_conv1(x)
        return self.down_conv3(self.down_conv2(low) - x) + low


class _BackProjection(nn.Module):
    """DBPN of three stages: low-resolution features to high resolution (section 3.1, the single-image path)."""

    def __init__(self, base_filter: int, feat: int) -> None:
        super().__init__()
        self.feat1 = _Conv(base_filter, feat, 1, 1, 0)
        self.up1, self.up2, self.up3 = (_Up(feat) for _ in range(3))
        self.down1, self.down2 = _Down(feat), _Down(feat)
        self.output = _Conv(3 * feat, feat, 1, 1, 0, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, base_filter, H, W) to (N, feat, 4H, 4W)."""
        first = self.up1(self.feat1(x))
        second = self.up2(self.down1(first))
        third = self.up3(self.down2(second))
        return self.output(torch.cat((third, second, first), dim=1))


def _initialise(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    nn.init.kaiming_normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
