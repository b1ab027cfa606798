"""Native forms of residual blocks, sequences and heads, made of native convolutions, and their installation in a network.

Activations and sums are fused into the convolutions, residual blocks run in place, heads run in strips.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from codecvsr import native_libraries
from codecvsr.engine.native.convolutions import (
    NONE,
    Forward,
    NativeConv,
    NativeShuffle,
    dense,
    is_supported,
    is_supported_input,
)
from codecvsr.engine.native.structs import GROUP
from codecvsr.models.layers.blocks import SLOPE, Residual, ShuffleConv, X4Head

_RELU = 0.0  # its slope
_STRIP_PIXELS = 16 * 320  # of a head's input per strip: all its layers then fit into a processor's last-level cache


def install(network: nn.Module) -> None:
    """Replaces the ``forward`` of a network's convolutions, heads, residual blocks and sequences by native forms."""
    if native_libraries.net_library() is None:
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and is_supported(module):
            kind = NativeShuffle if isinstance(module, ShuffleConv) else NativeConv
            module.__dict__["forward"] = kind(module, module.forward)
    for module in network.modules():
        if isinstance(module, X4Head):
            convs = [_form(conv) for conv in (module.upconv1, module.upconv2, module.conv_hr, module.conv_last)]
            native = [conv for conv in convs if isinstance(conv, NativeConv)]
            if native == convs:
                head = NativeHead(list(zip(native, (SLOPE, SLOPE, SLOPE, NONE), strict=True)), module.enlarge)
                module.__dict__["enlarge"] = head
    for module in network.modules():
        if isinstance(module, Residual):
            conv, between, other, last = module.layers()
            first, second = _form(conv), _form(other)
            is_unpadded = conv.in_channels % GROUP == 0  # the residual is added without padding
            if is_unpadded and isinstance(first, NativeConv) and isinstance(second, NativeConv):
                module.__dict__["forward"] = NativeBlock(first, second, between, last, module.forward)
    for module in network.modules():
        if type(module) is nn.Sequential and any(map(_form, parts := list(_parts(module)))):
            module.__dict__["forward"] = NativeSequence(parts, module.forward)


def uninstall(network: nn.Module) -> None:
    """Undoes :func:`install`."""
    for module in network.modules():
        if isinstance(module.__dict__.get("forward"), (NativeConv, NativeBlock, NativeSequence)):
            del module.__dict__["forward"]
        if isinstance(module.__dict__.get("enlarge"), NativeHead):
            del module.__dict__["enlarge"]


class NativeHead:
    """The native ``enlarge`` of a network's last layers, strip by strip: only the result exists at its full size.

    Args:
        convs: the convolutions in order, each with the slope of the activation after it.
        plain: the module's own method.
    """

    def __init__(self, convs: Sequence[tuple[NativeConv, float]], plain: Forward) -> None:
        self._convs, self._plain = convs, plain

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, C', scale * H, scale * W)."""
        if not self._convs[0][0].can_run(x) or not all(conv.is_ready() for conv, _ in self._convs):
            return self._plain(x)
        height, width = x.shape[2:]
        step = max(1, _STRIP_PIXELS // width)
        strips = [range(first, min(first + step, height)) for first in range(0, height, step)]
        return torch.cat([torch.cat([self._strip(one, strip) for strip in strips], dim=2) for one in x.split(1)])

    def _strip(self, x: Tensor, strip: range) -> Tensor:
        """Returns the output for the rows ``strip`` of ``x`` (1, C, H, W)."""
        scale = math.prod(conv.scale for conv, _ in self._convs)
        rows, height = [range(strip.start * scale, strip.stop * scale)], x.shape[2] * scale
        for conv, _ in reversed(self._convs):  # a convolution needs one more row at both ends, inside the picture
            height //= conv.scale
            first, last = rows[0].start // conv.scale - 1, -(-rows[0].stop // conv.scale) + 1
            rows.insert(0, range(max(first, 0), min(last, height)))
        x = x[:, :, rows[0].start : rows[0].stop]
        for (conv, slope), (available, wanted) in zip(self._convs, itertools.pairwise(rows), strict=True):
            begin = available.start * conv.scale
            x = conv.run(x, slope)[:, :, wanted.start - begin : wanted.stop - begin]
        return x


class NativeBlock:
    """The native ``forward`` of a residual block: two convolutions with the activation and the sum fused."""

    def __init__(
        self, first: NativeConv, second: NativeConv, between: nn.Module, last: nn.Module | None, plain: Forward
    ) -> None:
        self._first, self._second, self._between, self._last, self._plain = first, second, between, last, plain

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the same shape."""
        return self.run(x) if self.can_run(x) else self._plain(x)

    def can_run(self, x: Tensor) -> bool:
        """Whether :meth:`run` accepts this input."""
        return self._first.can_run(x) and self._second.is_ready()

    def run(self, x: Tensor, output: Tensor | None = None) -> Tensor:
        """Returns the block of ``x``, written to ``output`` if given, which may be ``x`` in channels-last memory."""
        x = dense(x, x.shape[1])
        slope = _slope(self._between)
        inner = self._between(self._first.run(x)) if slope is None else self._first.run(x, slope)
        result = self._second.run(inner, residual=x, output=output)
        return result if self._last is None else self._last(result)


@dataclass
class _Step:
    """A module of a sequence, its native form if it has one, and the activation after it if that is fused."""

    module: nn.Module
    form: NativeConv | NativeBlock | None
    slope: float = NONE
    activation: nn.Module = field(default_factory=nn.Identity)

    def run(self, x: Tensor, *, is_free: bool) -> Tensor:
        """Runs the step; may overwrite ``x`` if ``is_free``."""
        if self.form is None or not self.form.can_run(x):
            return self.activation(self.module(x))
        if isinstance(self.form, NativeConv):
            return self.form.run(x, self.slope)
        return self.form.run(x, x if is_free else None)


class NativeSequence:
    """The native ``forward`` of a sequence: activations fused into the convolutions before them, residual blocks in place."""

    def __init__(self, parts: Sequence[nn.Module], plain: Forward) -> None:
        self._plain = plain
        self._steps: list[_Step] = []
        for part in parts:
            slope = None if isinstance(part, nn.PReLU) else _slope(part)  # a learnt slope may change
            before = self._steps[-1] if self._steps else None
            if slope is not None and before and isinstance(before.form, NativeConv) and before.slope == NONE:
                before.slope, before.activation = slope, part
            else:
                self._steps.append(_Step(part, _form(part)))

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the output of the sequence."""
        if not is_supported_input(x):
            return self._plain(x)
        is_free = False
        for step in self._steps:
            x = step.run(x, is_free=is_free)
            is_free = step.form is not None  # a native form returned new memory, so nobody else refers to it
        return x


def _parts(sequence: nn.Sequential) -> Iterator[nn.Module]:
    """Yields the modules of a sequence and of the sequences in it, in order, without identities."""
    for part in sequence:
        if type(part) is nn.Sequential:
            yield from _parts(part)
        elif type(part) is not nn.Identity:
            yield part


def _form(module: nn.Module) -> NativeConv | NativeBlock | None:
    """Returns the installed native form of a module, or None."""
    forward = module.__dict__.get("forward")
    return forward if isinstance(forward, (NativeConv, NativeBlock)) else None


def _slope(module: nn.Module) -> float | None:
    """Returns the present slope of an activation that the library can fuse, or None for others."""
    if type(module) is nn.ReLU:
        return _RELU
    if type(module) is nn.LeakyReLU and 0 <= module.negative_slope < 1:
        return module.negative_slope
    if type(module) is nn.PReLU and module.num_parameters == 1 and 0 <= (slope := float(module.weight.detach())) < 1:
        return slope
    return None
