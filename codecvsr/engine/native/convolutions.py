"""3x3 convolutions of any network, run by the native network library where that is faster.

The library works on features in channels-last memory without a copy. Results differ from torch's by the order of sums, about
1e-6 of a layer's range. Calls that it cannot run (gradients, types other than float32, other devices, tracing) go to torch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr import native_libraries
from codecvsr.engine.native.net import NativeNet
from codecvsr.engine.native.structs import GROUP, MAX_CHANNELS, Layer
from codecvsr.models.layers.blocks import ShuffleConv

Forward = Callable[[Tensor], Tensor]

NONE = 1.0  #: the slope of no activation


class _Nets(threading.local):
    """A binding of the library for each thread that runs networks: threads must not share scratch memory."""

    def __init__(self) -> None:
        self._key: tuple[int, int] | None = None
        self._net: NativeNet | None = None

    def get(self) -> NativeNet:
        """Returns this thread's binding with torch's number of threads; a new one after a fork, which ends its threads."""
        key = os.getpid(), torch.get_num_threads()
        if self._net is None or key != self._key:
            library = native_libraries.net_library()
            assert library is not None  # install() put a native form in place
            self._key, self._net = key, NativeNet(library, 0, 0, key[1])
        return self._net


_nets = _Nets()


def thread_net() -> NativeNet:
    """Returns this thread's binding of the library, with torch's number of threads."""
    return _nets.get()


def is_supported(conv: nn.Conv2d) -> bool:
    """Whether the library can run this convolution, and faster: with few channels or 1x1 pixels it is slower."""
    return (
        type(conv) in (nn.Conv2d, ShuffleConv)
        and conv.kernel_size == (3, 3)
        and conv.padding in ((1, 1), "same")
        and conv.padding_mode == "zeros"
        and conv.stride == conv.dilation == (1, 1)
        and conv.groups == 1
        and GROUP <= conv.in_channels <= MAX_CHANNELS
        and (conv.in_channels >= 2 * GROUP or conv.out_channels >= GROUP)
    )


def is_supported_input(x: Tensor) -> bool:
    """Whether the library can run a call with this input, without gradients."""
    return is_plain_input(x) and not torch.is_grad_enabled()


def is_plain_input(x: Tensor) -> bool:
    """Whether it is a batch of float32 on the CPU, and the call is computed now and in that type."""
    return (
        not torch.jit.is_tracing()  # type: ignore[attr-defined]
        and type(x) is Tensor
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.ndim == 4
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class NativeConv:
    """The native ``forward`` of a convolution.

    Args:
        conv: the convolution; its weights at the time of each call apply.
        plain: its own ``forward``.
    """

    def __init__(self, conv: nn.Conv2d, plain: Forward) -> None:
        self._conv, self._plain = conv, plain
        self.scale = conv.scale if isinstance(conv, ShuffleConv) else 1  # of the output's size
        self._packed: tuple[object, list[Tensor], Layer] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, C', H, W)."""
        return self.run(x) if self.can_run(x) else self._plain(x)

    def can_run(self, x: Tensor) -> bool:
        """Whether :meth:`run` accepts this input."""
        return is_supported_input(x) and x.shape[1] == self._conv.in_channels and self.is_ready()

    def is_ready(self) -> bool:
        """Whether the weights are float32 on the CPU and count their changes."""
        weight = self._conv.weight
        return weight.dtype == torch.float32 and weight.device.type == "cpu" and not weight.is_inference()

    def run(
        self, x: Tensor, slope: float = NONE, *, residual: Tensor | None = None, output: Tensor | None = None
    ) -> Tensor:
        """Returns ``residual + max(y, slope * y)`` for the convolution's output y.

        Args:
            x: (N, C, H, W).
            slope: of the activation, 0..1.
            residual: (N, C', H, W) in channels-last memory, C' a multiple of 16.
            output: memory of that shape and layout to write to; may be the residual.
        """
        net, layer = _nets.get(), self._layer()
        x = dense(x, layer.inputs[0])
        n, _, height, width = x.shape
        result = output
        if result is None:
            result = torch.empty((n, len(layer.bias), height, width), memory_format=torch.channels_last)
        arrays = [None if t is None else t.detach().permute(0, 2, 3, 1).numpy() for t in (x, residual, result)]
        layer = replace(layer, slope=slope)
        for i in range(n):
            picture, added, to = (None if array is None else array[i] for array in arrays)
            assert to is not None
            net.conv(layer, [picture], to, residual=added)
        return self._finished(result)

    def _finished(self, result: Tensor) -> Tensor:
        """Removes the channels that pad to a multiple of 16."""
        return unpadded(result, self._conv.out_channels)

    def _weights(self) -> tuple[Tensor, Tensor]:
        """Returns weights and biases in the order of the native outputs."""
        weight, bias = self._conv.weight.detach(), self._conv.bias
        return weight, weight.new_zeros(len(weight)) if bias is None else bias.detach()

    def _layer(self) -> Layer:
        """Returns the packed weights; packs them again after they changed."""
        used = [t.detach() for t in (self._conv.weight, self._conv.bias) if t is not None]
        version = [(t.data_ptr(), t._version) for t in used]
        if self._packed is None or self._packed[0] != version:
            weight, bias = self._weights()
            more_out, more_in = (-size % GROUP for size in weight.shape[:2])
            weight = F.pad(weight, (0, 0, 0, 0, 0, more_in, 0, more_out))
            bias = F.pad(bias, (0, more_out))
            layer = _nets.get().layer(weight.numpy(), bias.numpy(), (weight.shape[1],), NONE)
            self._packed = version, used, layer  # the references keep the addresses from being reused
        return self._packed[2]


class NativeShuffle(NativeConv):
    """The native ``forward`` of a convolution and its pixel shuffle; outputs are ordered by pixel so that rows are copied."""

    def _weights(self) -> tuple[Tensor, Tensor]:
        assert isinstance(self._conv, ShuffleConv)
        weight, bias = super()._weights()
        order = torch.arange(len(weight)).view(-1, self._conv.scale**2).t().flatten()
        return weight[order], bias[order]

    def _finished(self, result: Tensor) -> Tensor:
        assert isinstance(self._conv, ShuffleConv)
        result, scale = super()._finished(result), self._conv.scale
        n, channels, height, width = result.shape
        pixels = result.permute(0, 2, 3, 1).reshape(n, height, width, scale, channels // scale)
        rows = pixels.transpose(2, 3).reshape(n, height * scale, width * scale, channels // scale**2)
        return rows.permute(0, 3, 1, 2)


def unpadded(x: Tensor, channels: int) -> Tensor:
    """Returns the first channels of (N, C, H, W) in channels-last memory; the tensor itself if these are all."""
    return x if x.shape[1] == channels else x[:, :channels].contiguous(memory_format=torch.channels_last)


def dense(x: Tensor, channels: int) -> Tensor:
    """Returns (N, channels, H, W) in channels-last memory, padded with zero channels."""
    present = x.shape[1]
    if present == channels:
        return x.contiguous(memory_format=torch.channels_last)
    filled = torch.empty((len(x), channels, *x.shape[2:]), memory_format=torch.channels_last)
    filled[:, :present] = x
    filled[:, present:] = 0
    return filled
