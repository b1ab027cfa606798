"""The convolutions of any network through the native network library, as far as it has them and they pay.

Convolutions of 3x3 and 1x1 pixels, and what is made of them: residual blocks, and sequences, whose activations and sums are
done in passing. Features in channels-last memory are what the library works on, so that nothing is copied. The results
are torch's but for the order of sums (about 1e-6 of a layer's range). Whatever the library does not do (gradients, other
types than float32, other devices, tracing) runs as it would without it.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.bitstream import native
from codecvsr.engine.native_net import GROUP, MOST_CHANNELS, Layer, NativeNet
from codecvsr.models.blocks import SLOPE, ResidualBlock, ShuffleConv, X4Head

Forward = Callable[[Tensor], Tensor]

_NONE, _RELU = 1.0, 0.0  # slopes of activations
_LEAST = {3: 8, 1: 32}  # inputs and outputs, multiplied: 3x3 and 1x1 convolutions of fewer channels are torch's
_STRIP_PIXELS = 16 * 320  # of the input of a head at once: what is made of them stays within a processor's last cache


class _Nets(threading.local):
    """A binding of the library for every thread that runs networks, as its scratch memory must not be shared."""

    def __init__(self) -> None:
        self._key: tuple[int, int] | None = None
        self._net: NativeNet | None = None

    def get(self) -> NativeNet:
        """This thread's, with as many threads to help as torch has; another one after a fork, where they are gone."""
        key = os.getpid(), torch.get_num_threads()
        if self._net is None or key != self._key:
            library = native.net_library()
            assert library is not None  # or nothing would have been put in place
            self._key, self._net = key, NativeNet(library, 0, 0, key[1])
        return self._net


_nets = _Nets()


def put_in_place(network: nn.Module) -> None:
    """Give a network's convolutions, residual blocks and sequences their native forms."""
    if native.net_library() is None:
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _suits(module):
            kind = NativeShuffle if isinstance(module, ShuffleConv) else NativeConv
            module.__dict__["forward"] = kind(module, module.forward)
    for module in network.modules():
        if isinstance(module, X4Head):
            convs = [_form(conv) for conv in (module.upconv1, module.upconv2, module.conv_hr, module.conv_last)]
            taken = [conv for conv in convs if isinstance(conv, NativeConv)]
            if taken == convs:
                head = NativeHead(list(zip(taken, (SLOPE, SLOPE, SLOPE, _NONE), strict=True)), module.enlarge)
                module.__dict__["enlarge"] = head
    for module in network.modules():
        if type(module) is ResidualBlock and module.conv1.in_channels % GROUP == 0:
            first, second = _form(module.conv1), _form(module.conv2)
            if isinstance(first, NativeConv) and isinstance(second, NativeConv):
                module.__dict__["forward"] = NativeBlock(first, second, module.forward)
    for module in network.modules():
        if type(module) is nn.Sequential and any(map(_form, parts := list(_parts(module)))):
            module.__dict__["forward"] = NativeSequence(parts, module.forward)


def take_away(network: nn.Module) -> None:
    """The opposite of :func:`put_in_place`."""
    for module in network.modules():
        if isinstance(module.__dict__.get("forward"), (NativeConv, NativeBlock, NativeSequence)):
            del module.__dict__["forward"]
        if isinstance(module.__dict__.get("enlarge"), NativeHead):
            del module.__dict__["enlarge"]


def _suits(conv: nn.Conv2d) -> bool:
    """Whether the library has this convolution and is faster at it."""
    size = conv.kernel_size[0]
    channels = conv.in_channels, conv.out_channels
    return (
        type(conv) in (nn.Conv2d, ShuffleConv)
        and conv.kernel_size in ((3, 3), (1, 1))
        and conv.padding in ((size // 2, size // 2), "same")
        and conv.padding_mode == "zeros"
        and conv.stride == conv.dilation == (1, 1)
        and conv.groups == 1
        and max(channels) <= MOST_CHANNELS
        and channels[0] * channels[1] >= _LEAST[size] ** 2
    )


def _is_taken(x: Tensor) -> bool:
    """Whether the library can do this call."""
    return (
        not torch.jit.is_tracing()  # type: ignore[attr-defined]
        and type(x) is Tensor
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.ndim == 4
        and x.numel() > 0
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class NativeConv:
    """The ``forward`` of a convolution.

    Args:
        conv: whose weights to take, as they are at every call.
        plain: the forward it has.
    """

    def __init__(self, conv: nn.Conv2d, plain: Forward) -> None:
        self._conv, self._plain = conv, plain
        self.scale = conv.scale if isinstance(conv, ShuffleConv) else 1  # of the output's size
        self._packed: tuple[object, list[Tensor], Layer] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W)."""
        return self.run(x) if self.takes(x) else self._plain(x)

    def takes(self, x: Tensor) -> bool:
        """Whether :meth:`run` can do this call."""
        return _is_taken(x) and x.shape[1] == self._conv.in_channels and self.is_ready()

    def is_ready(self) -> bool:
        """Whether the weights are of the library's kind, and tell when they change."""
        weight = self._conv.weight
        return weight.dtype == torch.float32 and weight.device.type == "cpu" and not weight.is_inference()

    def run(
        self, x: Tensor, slope: float = _NONE, *, residual: Tensor | None = None, output: Tensor | None = None
    ) -> Tensor:
        """``residual + max(y, slope * y)`` with the convolution's y, for calls that are taken.

        Args:
            x: (N, C, H, W).
            slope: of the activation, 0..1.
            residual: (N, C', H, W) in channels-last memory, C' a multiple of 16.
            output: the same, to be written; may be the residual.
        """
        net, layer = _nets.get(), self._layer()
        x = _dense(x, layer.inputs[0])
        n, _, height, width = x.shape
        made = output
        if made is None:
            made = torch.empty((n, len(layer.bias), height, width), memory_format=torch.channels_last)
        arrays = [None if t is None else t.detach().permute(0, 2, 3, 1).numpy() for t in (x, residual, made)]
        told = replace(layer, slope=slope)
        for i in range(n):
            picture, added, to = (None if array is None else array[i] for array in arrays)
            assert to is not None
            net.conv(told, [picture], to, residual=added)
        return self._finished(made)

    def _finished(self, made: Tensor) -> Tensor:
        """Without the channels that only fill a multiple of 16."""
        return made[:, : self._conv.out_channels].contiguous(memory_format=torch.channels_last)

    def _weights(self) -> tuple[Tensor, Tensor]:
        """Weights and biases in the order in which outputs are wanted."""
        weight, bias = self._conv.weight.detach(), self._conv.bias
        return weight, weight.new_zeros(len(weight)) if bias is None else bias.detach()

    def _layer(self) -> Layer:
        """The weights, packed: again wherever they are others than those that were packed before."""
        used = [t.detach() for t in (self._conv.weight, self._conv.bias) if t is not None]
        told = [(t.data_ptr(), t._version) for t in used]
        if self._packed is None or self._packed[0] != told:
            weight, bias = self._weights()
            more_out, more_in = (-size % GROUP for size in weight.shape[:2])
            weight = F.pad(weight, (0, 0, 0, 0, 0, more_in, 0, more_out))
            bias = F.pad(bias, (0, more_out))
            layer = _nets.get().layer(weight.numpy(), bias.numpy(), (weight.shape[1],), _NONE)
            self._packed = told, used, layer  # as long as they are held, no others get their place in memory
        return self._packed[2]


class NativeShuffle(NativeConv):
    """The ``forward`` of a convolution and its pixel shuffle: outputs are made pixel by pixel, so that rows are copied."""

    def _weights(self) -> tuple[Tensor, Tensor]:
        assert isinstance(self._conv, ShuffleConv)
        weight, bias = super()._weights()
        order = torch.arange(len(weight)).view(-1, self._conv.scale**2).t().flatten()
        return weight[order], bias[order]

    def _finished(self, made: Tensor) -> Tensor:
        assert isinstance(self._conv, ShuffleConv)
        made, scale = super()._finished(made), self._conv.scale
        n, channels, height, width = made.shape
        pixels = made.permute(0, 2, 3, 1).reshape(n, height, width, scale, channels // scale)
        rows = pixels.transpose(2, 3).reshape(n, height * scale, width * scale, channels // scale**2)
        return rows.permute(0, 3, 1, 2)


class NativeHead:
    """The ``enlarge`` of a network's last layers, strip by strip: only the picture itself is held at its full size.

    Args:
        convs: one after the other, each with the slope of the activation behind it.
        plain: the method it has.
    """

    def __init__(self, convs: Sequence[tuple[NativeConv, float]], plain: Forward) -> None:
        self._convs, self._plain = convs, plain

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', scale * H, scale * W)."""
        if not self._convs[0][0].takes(x) or not all(conv.is_ready() for conv, _ in self._convs):
            return self._plain(x)
        height, width = x.shape[2:]
        step = max(1, _STRIP_PIXELS // width)
        strips = [range(first, min(first + step, height)) for first in range(0, height, step)]
        return torch.cat([torch.cat([self._strip(one, strip) for strip in strips], dim=2) for one in x.split(1)])

    def _strip(self, x: Tensor, strip: range) -> Tensor:
        """What becomes of the rows ``strip`` of ``x`` (1, C, H, W)."""
        scale = math.prod(conv.scale for conv, _ in self._convs)
        rows, height = [range(strip.start * scale, strip.stop * scale)], x.shape[2] * scale
        for conv, _ in reversed(self._convs):  # what goes in is a row more at both ends, but none beyond the picture
            height //= conv.scale
            first, last = rows[0].start // conv.scale - 1, -(-rows[0].stop // conv.scale) + 1
            rows.insert(0, range(max(first, 0), min(last, height)))
        x = x[:, :, rows[0].start : rows[0].stop]
        for (conv, slope), (given, wanted) in zip(self._convs, itertools.pairwise(rows), strict=True):
            begin = given.start * conv.scale
            x = conv.run(x, slope)[:, :, wanted.start - begin : wanted.stop - begin]
        return x


class NativeBlock:
    """The ``forward`` of a residual block: two convolutions, activation and sum in passing."""

    def __init__(self, first: NativeConv, second: NativeConv, plain: Forward) -> None:
        self._first, self._second, self._plain = first, second, plain

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return self.run(x) if self.takes(x) else self._plain(x)

    def takes(self, x: Tensor) -> bool:
        """Whether :meth:`run` can do this call."""
        return self._first.takes(x) and self._second.takes(x)

    def run(self, x: Tensor, output: Tensor | None = None) -> Tensor:
        """The block of ``x``, written to ``output``, which may be ``x`` in channels-last memory."""
        x = _dense(x, x.shape[1])
        return self._second.run(self._first.run(x, _RELU), residual=x, output=output)


@dataclass
class _Step:
    """A module of a sequence, its native form if it has one, and the activation behind it if that is done in passing."""

    module: nn.Module
    form: NativeConv | NativeBlock | None
    slope: float = _NONE
    activation: nn.Module = field(default_factory=nn.Identity)

    def run(self, x: Tensor, *, is_free: bool) -> Tensor:
        """The step; ``x`` may be overwritten if it is free."""
        if self.form is None or not self.form.takes(x):
            return self.activation(self.module(x))
        if isinstance(self.form, NativeConv):
            return self.form.run(x, self.slope)
        return self.form.run(x, x if is_free else None)


class NativeSequence:
    """The ``forward`` of a sequence: activations are done by the convolutions before them, residual blocks in place."""

    def __init__(self, parts: Sequence[nn.Module], plain: Forward) -> None:
        self._plain = plain
        self._steps: list[_Step] = []
        for part in parts:
            slope, before = _slope(part), self._steps[-1] if self._steps else None
            if slope is not None and before and isinstance(before.form, NativeConv) and before.slope == _NONE:
                before.slope, before.activation = slope, part
            else:
                self._steps.append(_Step(part, _form(part)))

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to whatever the sequence makes of it."""
        if not _is_taken(x):
            return self._plain(x)
        is_free = False
        for step in self._steps:
            x = step.run(x, is_free=is_free)
            is_free = step.form is not None  # it made this: nobody else holds it
        return x


def _parts(sequence: nn.Sequential) -> Iterator[nn.Module]:
    """The modules of a sequence and of those in it, in order."""
    for part in sequence:
        if type(part) is nn.Sequential:
            yield from _parts(part)
        else:
            yield part


def _form(module: nn.Module) -> NativeConv | NativeBlock | None:
    """The native form in place of a module's own code."""
    forward = module.__dict__.get("forward")
    return forward if isinstance(forward, (NativeConv, NativeBlock)) else None


def _slope(module: nn.Module) -> float | None:
    """Of an activation that the library can do in passing."""
    if type(module) is nn.ReLU:
        return _RELU
    if type(module) is nn.LeakyReLU and 0 <= module.negative_slope < 1:
        return module.negative_slope
    return None


def _dense(x: Tensor, channels: int) -> Tensor:
    """(N, C, H, W) in channels-last memory, filled up with zeros to so many channels."""
    present = x.shape[1]
    if present == channels:
        return x.contiguous(memory_format=torch.channels_last)
    filled = torch.empty((len(x), channels, *x.shape[2:]), memory_format=torch.channels_last)
    filled[:, :present] = x
    filled[:, present:] = 0
    return filled
