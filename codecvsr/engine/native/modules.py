"""What networks are made of, from native convolutions: residual blocks, sequences, heads; and where they are put in place.

Activations and sums are done by the convolutions in passing, residual blocks in place, heads in strips.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from codecvsr import native_libraries
from codecvsr.engine.native.convolutions import NONE, Forward, NativeConv, NativeShuffle, dense, is_supported, is_taken
from codecvsr.engine.native.structs import GROUP
from codecvsr.models.layers.blocks import SLOPE, Residual, ShuffleConv, X4Head

_RELU = 0.0  # its slope
_STRIP_PIXELS = 16 * 320  # of a head's input at once: what is made of them stays within a processor's last cache


def put_in_place(network: nn.Module) -> None:
    """Give a network's convolutions, residual blocks and sequences their native forms."""
    if native_libraries.net_library() is None:
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and is_supported(module):
            kind = NativeShuffle if isinstance(module, ShuffleConv) else NativeConv
            module.__dict__["forward"] = kind(module, module.forward)
    for module in network.modules():
        if isinstance(module, X4Head):
            convs = [_form(conv) for conv in (module.upconv1, module.upconv2, module.conv_hr, module.conv_last)]
            taken = [conv for conv in convs if isinstance(conv, NativeConv)]
            if taken == convs:
                head = NativeHead(list(zip(taken, (SLOPE, SLOPE, SLOPE, NONE), strict=True)), module.enlarge)
                module.__dict__["enlarge"] = head
    for module in network.modules():
        if isinstance(module, Residual):
            conv, between, other, last = module.layers()
            first, second = _form(conv), _form(other)
            is_whole = conv.in_channels % GROUP == 0  # as what is added must be
            if is_whole and isinstance(first, NativeConv) and isinstance(second, NativeConv):
                module.__dict__["forward"] = NativeBlock(first, second, between, last, module.forward)
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
    """The ``forward`` of a residual block: two convolutions, what is between them and the sum in passing."""

    def __init__(
        self, first: NativeConv, second: NativeConv, between: nn.Module, last: nn.Module | None, plain: Forward
    ) -> None:
        self._first, self._second, self._between, self._last, self._plain = first, second, between, last, plain

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return self.run(x) if self.takes(x) else self._plain(x)

    def takes(self, x: Tensor) -> bool:
        """Whether :meth:`run` can do this call."""
        return self._first.takes(x) and self._second.is_ready()

    def run(self, x: Tensor, output: Tensor | None = None) -> Tensor:
        """The block of ``x``, written to ``output``, which may be ``x`` in channels-last memory."""
        x = dense(x, x.shape[1])
        slope = _slope(self._between)
        inner = self._between(self._first.run(x)) if slope is None else self._first.run(x, slope)
        made = self._second.run(inner, residual=x, output=output)
        return made if self._last is None else self._last(made)


@dataclass
class _Step:
    """A module of a sequence, its native form if it has one, and the activation behind it if that is done in passing."""

    module: nn.Module
    form: NativeConv | NativeBlock | None
    slope: float = NONE
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
            slope = None if isinstance(part, nn.PReLU) else _slope(part)  # its slope may change
            before = self._steps[-1] if self._steps else None
            if slope is not None and before and isinstance(before.form, NativeConv) and before.slope == NONE:
                before.slope, before.activation = slope, part
            else:
                self._steps.append(_Step(part, _form(part)))

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to whatever the sequence makes of it."""
        if not is_taken(x):
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
        elif type(part) is not nn.Identity:
            yield part


def _form(module: nn.Module) -> NativeConv | NativeBlock | None:
    """The native form in place of a module's own code."""
    forward = module.__dict__.get("forward")
    return forward if isinstance(forward, (NativeConv, NativeBlock)) else None


def _slope(module: nn.Module) -> float | None:
    """Of an activation that the library can do in passing, at this moment."""
    if type(module) is nn.ReLU:
        return _RELU
    if type(module) is nn.LeakyReLU and 0 <= module.negative_slope < 1:
        return module.negative_slope
    if type(module) is nn.PReLU and module.num_parameters == 1 and 0 <= (slope := float(module.weight.detach())) < 1:
        return slope
    return None
