"""The small parts recurrent networks are made of; attribute names are the published state-dict keys."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.1  #: of the leaky ReLUs


class ResidualBlock(nn.Module):
    """conv - ReLU - conv, added to its input; no batch norm. Keys ``conv1``, ``conv2``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        for conv in (self.conv1, self.conv2):  # a deep stack starts out close to the identity
            nn.init.kaiming_normal_(conv.weight)
            conv.weight.data.mul_(0.1)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return x + self.conv2(F.relu(self.conv1(x), inplace=True))


class ConvResidualBlocks(nn.Module):
    """A 3x3 conv to ``out_channels``, leaky ReLU, ``blocks`` residual blocks. Keys ``main.0``, ``main.2.K.conv1``..."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Sequential(*(ResidualBlock(out_channels) for _ in range(blocks))),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        return self.main(x)


class ShuffleConv(nn.Conv2d):
    """A 3x3 conv whose output channels are laid out as ``scale`` x ``scale`` pixels; its keys are a plain conv's."""

    def __init__(self, in_channels: int, out_channels: int, scale: int = 2) -> None:
        super().__init__(in_channels, out_channels * scale**2, 3, padding=1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H * scale, W * scale)."""
        return F.pixel_shuffle(super().forward(x), self.scale)


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU with the networks' slope, in place."""
    return F.leaky_relu(x, SLOPE, inplace=True)
