"""The weights of ``CodecVSR``, packed for the native network library, and what its native form stores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codecvsr.constants import SCALE
from codecvsr.engine.native.net import NativeNet
from codecvsr.engine.native.structs import GROUP, NEIGHBOURS, Layer
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.layers.blocks import SLOPE, ConvResidualBlocks, ResidualBlock

_GRID = SCALE**2
_NONE, _RELU = 1.0, 0.0  # slopes


def held_channels(network: CodecVSR, dtype: torch.dtype) -> int:
    """Returns the floats per pixel that this form stores of every frame of a window: features, a state and two flows."""
    return 2 * network.channels // (2 if dtype == torch.bfloat16 else 1) + 4


def pass_depth(network: CodecVSR) -> int:
    """Returns how many 3x3 convolutions follow one another in a pass: that which merges states, and two of each block."""
    return 1 + 2 * network.blocks


class Weights:
    """The layers of a network, with its present weights.

    Args:
        net: packs them.
        network: the network.
        is_bf16: 3x3 convolutions multiply bfloat16.
    """

    def __init__(self, net: NativeNet, network: CodecVSR, *, is_bf16: bool) -> None:
        self._net, self._is_bf16, self._channels = net, is_bf16, network.channels
        c = network.channels
        head = network.flow_head
        self.head = [
            self._layer(head[place], slope=slope, pad=True)
            for place, slope in ((0, SLOPE), (2, SLOPE), (4, _NONE))
            if head is not None
        ]
        self.prior = self._layer(network.prior, slope=_NONE, pad=True)
        self.gather = self._gather_layer(network)
        self.encode = self._block(network.encode)
        self.backward = self._step(network.backward_step, 3)
        self.forward = self._step(network.forward_step, 4)
        self.fuse = self._layer(network.fuse, (c, c), slope=SLOPE)
        self.reconstruct = self._block(network.reconstruct)
        # pixel_shuffle orders channels by colour, row, column; finish() expects row, column, colour.
        order = torch.arange(3 * _GRID).view(3, _GRID).t().flatten()
        assert network.to_rgb.bias is not None
        self.to_rgb = self._packed(network.to_rgb.weight[order], network.to_rgb.bias[order], (c,), _NONE)

    def _packed(self, weight: Tensor, bias: Tensor, inputs: tuple[int, ...], slope: float) -> Layer:
        values, constants = (tensor.detach().float().cpu().numpy() for tensor in (weight, bias))
        return self._net.layer(values, constants, inputs, slope, is_bf16=self._is_bf16)

    def _layer(
        self, conv: nn.Module, inputs: tuple[int, ...] | None = None, *, slope: float, pad: bool = False
    ) -> Layer:
        """Returns a convolution as a layer; ``pad`` adds zero channels up to multiples of 16."""
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None
        weight, bias = conv.weight.detach(), conv.bias.detach()
        if pad:
            more_out, more_in = (-size % GROUP for size in weight.shape[:2])
            weight = nn.functional.pad(weight, (0, 0, 0, 0, 0, more_in, 0, more_out))
            bias = nn.functional.pad(bias, (0, more_out))
        return self._packed(weight, bias, inputs or (weight.shape[1],), slope)

    def _gather_layer(self, network: CodecVSR) -> Layer:
        """Returns ``neighbours`` and ``extract`` as one convolution of the output of :meth:`NativeNet.gather`."""
        near, own = network.neighbours, network.extract
        differences, samples, shares = near.weight.split([3 * NEIGHBOURS, _GRID, _GRID], dim=1)
        padding = torch.zeros_like(own.weight[:, :1])
        weight = torch.cat([samples, shares, differences, own.weight, padding], dim=1)
        assert near.bias is not None and own.bias is not None
        return self._packed(weight, near.bias + own.bias, (weight.shape[1],), SLOPE)

    def _block(self, block: nn.Module) -> tuple[Layer, Layer]:
        assert isinstance(block, ResidualBlock)
        return self._layer(block.conv1, slope=_RELU), self._layer(block.conv2, slope=_NONE)

    def _step(self, step: ConvResidualBlocks, inputs: int) -> tuple[Layer, list[tuple[Layer, Layer]]]:
        merge, blocks = step.main[0], step.main[2]
        assert isinstance(blocks, nn.Sequential)
        return self._layer(merge, (self._channels,) * inputs, slope=SLOPE), [self._block(block) for block in blocks]
