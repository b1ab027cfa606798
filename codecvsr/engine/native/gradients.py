"""3x3 convolutions with gradients, for training on a CPU: Winograd's minimal filtering forwards and backwards.

The output and the gradient of the input come from the native network library, the gradient of the weights from products of
transformed tiles. Each multiplies a quarter as often as a direct convolution. Results differ from torch's by the order of sums,
about 1e-5 of a layer's range.

Source: Lavin and Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016), F(4x4, 3x3). The gradient of the weights
is that of the algorithm itself: for ``Y = A' [(G g G') * (B' d B)] A`` it is ``dg = G' [(A dY A') * (B' d B)] G``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr import native_libraries
from codecvsr.engine.native.convolutions import NativeConv, is_supported, unpadded
from codecvsr.engine.native.structs import TILE
from codecvsr.models.layers.blocks import ShuffleConv

_SIZE = TILE + 2  # side of a tile of the input
_STRIP_TILES = 96  # transformed at a time: they stay in a core's cache
_FEWEST_CHANNELS = 32  # in and out; with fewer, torch is faster

_INPUT: list[list[float]] = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_WEIGHTS: list[list[float]] = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
_OUTPUT: list[list[float]] = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]


def _on_tiles(matrix: list[list[float]], *, is_transposed: bool = False) -> Tensor:
    """The transform of rows and columns by a matrix, as one matrix on flattened tiles."""
    one = torch.tensor(matrix, dtype=torch.float64)
    one = one.t().contiguous() if is_transposed else one
    return torch.kron(one, one).float()


_OF_INPUT = _on_tiles(_INPUT)  # (36, 36)
_OF_GRADIENT = _on_tiles(_OUTPUT, is_transposed=True)  # (36, 16)
_TO_WEIGHTS = _on_tiles(_WEIGHTS, is_transposed=True)  # (9, 36)


def install_for_training(network: nn.Module) -> int:
    """Replace the ``forward`` of 3x3 convolutions of many channels by one whose gradients are computed here.

    Calls that it cannot run (other types than float32, other devices, autocast, tracing) go to torch.

    Returns:
        the number of convolutions replaced; 0 without the native library.
    """
    if native_libraries.net_library() is None:
        return 0
    count = 0
    for module in network.modules():
        if (
            isinstance(module, nn.Conv2d)
            and is_supported(module)
            and min(module.in_channels, module.out_channels) >= _FEWEST_CHANNELS
        ):
            module.__dict__["forward"] = TrainingConv(module)
            count += 1
    return count


class TrainingConv:
    """The ``forward`` of a convolution in training.

    Args:
        conv: the convolution; its weights at the time of each call apply.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        self._conv = conv
        self._forwards = NativeConv(conv, conv.forward)
        self._backwards = _Transposed(conv, conv.forward)

    def __call__(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H, W), or to its pixel shuffle for a ShuffleConv."""
        conv = self._conv
        if not self._can_run(x):
            return type(conv).forward(conv, x)
        y: Tensor = _Convolution.apply(x, conv.weight, conv.bias, self._forwards, self._backwards)
        return F.pixel_shuffle(y, conv.scale) if isinstance(conv, ShuffleConv) else y

    def _can_run(self, x: Tensor) -> bool:
        return (
            x.dtype == torch.float32
            and x.device.type == "cpu"
            and x.ndim == 4
            and x.numel() > 0
            and x.shape[1] == self._conv.in_channels
            and self._forwards.is_ready()
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and not torch.jit.is_tracing()  # type: ignore[attr-defined]
        )


class _Transposed(NativeConv):
    """The convolution that maps the gradient of a convolution's output to that of its input."""

    def _weights(self) -> tuple[Tensor, Tensor]:
        weight = self._conv.weight.detach().transpose(0, 1).flip(2, 3)
        return weight, weight.new_zeros(len(weight))

    def _finished(self, result: Tensor) -> Tensor:
        return unpadded(result, self._conv.in_channels)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, forwards: NativeConv, backwards: NativeConv
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias, ctx.backwards = bias is not None, backwards
        return forwards.run(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, _ = ctx.saved_tensors
        needs_input, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        return (
            ctx.backwards.run(gradient) if needs_input else None,
            weight_gradient(x, gradient) if needs_weight else None,
            gradient.sum((0, 2, 3)) if needs_bias and ctx.has_bias else None,
            None,
            None,
        )


def weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient of the weights of a 3x3 convolution with a border of one zero.

    Args:
        x: the input, (N, C, H, W), float32.
        gradient: of the output, (N, C', H, W), float32.

    Returns:
        (C', C, 3, 3).
    """
    n, channels, height, width = x.shape
    outputs = gradient.shape[1]
    rows, columns = -(-height // TILE), -(-width // TILE)
    right, below = columns * TILE - width, rows * TILE - height
    inputs = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, right + 1, 1, below + 1)).contiguous()
    wanted = F.pad(gradient.permute(0, 2, 3, 1), (0, 0, 0, right, 0, below)).contiguous()
    total = x.new_zeros(_SIZE**2, outputs, channels)
    strip = max(1, _STRIP_TILES // columns)
    for i in range(n):
        for first in range(0, rows, strip):
            count = min(strip, rows - first)
            tiles = _OF_INPUT @ _tiles(inputs[i, first * TILE :], _SIZE, count, columns)
            others = _OF_GRADIENT @ _tiles(wanted[i, first * TILE :], TILE, count, columns)
            total.baddbmm_(
                others.view(_SIZE**2, -1, outputs).transpose(1, 2), tiles.view(_SIZE**2, -1, channels)
            )  # (36, C', tiles) by (36, tiles, C)
    return (_TO_WEIGHTS @ total.view(_SIZE**2, -1)).view(3, 3, outputs, channels).permute(2, 3, 0, 1)


def _tiles(pixels: Tensor, size: int, rows: int, columns: int) -> Tensor:
    """Tiles of ``size`` x ``size`` pixels, one every four, of (H, W, C) as (size * size, rows * columns * C)."""
    down, right, _ = pixels.stride()
    shape = (size, size, rows, columns, pixels.shape[2])
    return pixels.as_strided(shape, (down, right, TILE * down, TILE * right, 1), pixels.storage_offset()).reshape(
        size * size, -1
    )
