"""3x3 convolutions with gradients, for training on a CPU: Winograd's minimal filtering forwards and backwards.

Output, gradient of the input and gradient of the weights come from the native network library. Each multiplies a quarter as often
as a direct convolution. Results differ from torch's by the order of sums,
about 1e-5 of a layer's range.

Source: Lavin and Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016), F(4x4, 3x3). The gradient of the weights
is that of the algorithm itself: for ``Y = A' [(G g G') * (B' d B)] A`` it is ``dg = G' [(A dY A') * (B' d B)] G``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr import native_libraries
from codecvsr.engine.native.convolutions import NativeConv, dense, is_plain_input, is_supported, thread_net, unpadded
from codecvsr.engine.native.library import is_worth_it
from codecvsr.engine.native.structs import GROUP, TILE
from codecvsr.models.layers.blocks import ShuffleConv

_POINTS = (TILE + 2) ** 2  # of a tile
_FEWEST_CHANNELS = 16  # in and out; with fewer, torch is faster

_WEIGHTS = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)  # G of the algorithm
_TO_WEIGHTS = torch.kron(_WEIGHTS.t().contiguous(), _WEIGHTS.t().contiguous()).float()  # (9, 36)


def install_for_training(network: nn.Module) -> int:
    """Replace the ``forward`` of 3x3 convolutions of many channels by one whose gradients are computed here.

    Calls that it cannot run (other types than float32, other devices, autocast, tracing) go to torch.

    Returns:
        the number of convolutions replaced; 0 without the native library, or where torch is faster.
    """
    library = native_libraries.net_library()
    if library is None or not is_worth_it(library):
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
        return is_plain_input(x) and x.shape[1] == self._conv.in_channels and self._forwards.is_ready()


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
        x: the input, (N, C, H, W), float32, on the CPU.
        gradient: of the output, (N, C', H, W), likewise.

    Returns:
        (C', C, 3, 3).
    """
    inputs, outputs = x.shape[1], gradient.shape[1]
    x, gradient = (dense(t.detach(), t.shape[1] + -t.shape[1] % GROUP) for t in (x, gradient))
    points = np.zeros((_POINTS, gradient.shape[1], x.shape[1]), np.float32)
    net = thread_net()
    for features, wanted in zip(x.permute(0, 2, 3, 1).numpy(), gradient.permute(0, 2, 3, 1).numpy(), strict=True):
        net.weight_gradient(features, wanted, points)
    weights = _TO_WEIGHTS @ torch.from_numpy(points).view(_POINTS, -1)
    return weights.view(3, 3, *points.shape[1:]).permute(2, 3, 0, 1)[:outputs, :inputs]
