"""The small parts recurrent networks are made of; attribute names are the published state-dict keys."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.1  #: of the leaky ReLUs
HEAD_CHANNELS = 64  #: of the last layers, whatever the width of the features


class Residual(nn.Module):
    """conv - activation - conv, added to its input."""

    def layers(self) -> tuple[nn.Conv2d, nn.Module, nn.Conv2d, nn.Module | None]:
        """The two convolutions, what is between them, and the activation of the sum, if any."""
        raise NotImplementedError


class ResidualBlock(Residual):
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

    def layers(self) -> tuple[nn.Conv2d, nn.Module, nn.Conv2d, nn.Module | None]:
        """See there."""
        return self.conv1, nn.ReLU(), self.conv2, None

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


class X4Head(nn.Module):
    """What ends most networks here: two pixel shuffles and two convolutions. Keys ``upconv1`` ... ``conv_last``.

    Args:
        channels: of the features that are enlarged.
        out_channels: of the picture.
    """

    def __init__(self, channels: int, out_channels: int = 3) -> None:
        super().__init__()
        self.upconv1 = ShuffleConv(channels, channels)
        self.upconv2 = ShuffleConv(channels, HEAD_CHANNELS)
        self.conv_hr = nn.Conv2d(HEAD_CHANNELS, HEAD_CHANNELS, 3, padding=1)
        self.conv_last = nn.Conv2d(HEAD_CHANNELS, out_channels, 3, padding=1)

    def enlarge(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) to the picture's correction (N, out_channels, 4H, 4W)."""
        out = leaky_relu(self.upconv1(features))
        out = leaky_relu(self.upconv2(out))
        return self.conv_last(leaky_relu(self.conv_hr(out)))


def bilinear_x4(frame: Tensor) -> Tensor:
    """(N, C, H, W) to (N, C, 4H, 4W): the picture that a network corrects."""
    return F.interpolate(frame, scale_factor=4, mode="bilinear", align_corners=False)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Continue (..., H, W) at the bottom and on the right to sides that ``multiple`` divides.

    The picture goes on as its mirror image without the edge itself, as published; where it is too small for that, its last
    row or column is repeated.
    """
    height, width = x.shape[-2:]
    flat = x.reshape(-1, 1, height, width)
    for size, sides in ((width, (0, -width % multiple, 0, 0)), (height, (0, 0, 0, -height % multiple))):
        if any(sides):
            flat = F.pad(flat, sides, mode="reflect" if max(sides) < size else "replicate")
    return flat.reshape(*x.shape[:-2], *flat.shape[-2:])


def count_blocks(keys: Iterable[str], prefix: str) -> int:
    """How many numbered modules there are under ``prefix`` in a state dict: hyper-parameters are read off its keys."""
    return len({key.removeprefix(prefix).split(".")[0] for key in keys if key.startswith(prefix)})
