"""The network ``codecvsr`` in the form it is run in on a CPU: frame by frame through the native network library.

The same weights, in float32 the same results but for the order of sums (about 1e-5 of the picture's range), a fraction of the
work: convolutions by Winograd's minimal filtering with activations and sums fused, nothing concatenated, states that are not
there cost nothing, and what frames add to each other is sampled in one pass. The readable form is ``models/codecvsr.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from codecvsr import native_libraries
from codecvsr.constants import SCALE
from codecvsr.engine.native.buffers import empty, empty_bytes
from codecvsr.engine.native.net import WIDEST, Layer, NativeNet, has_bf16, is_worth_it
from codecvsr.engine.native.structs import GROUP, NEIGHBOURS, Array, Picture
from codecvsr.engine.native.window_motion import Route, WindowMotion
from codecvsr.models import priors as prior_channels
from codecvsr.models.codecvsr import GAIN, CodecVSR
from codecvsr.models.layers.blocks import SLOPE, ConvResidualBlocks, ResidualBlock

_GRID = SCALE**2
_NONE, _RELU = 1.0, 0.0  # slopes


def is_supported(network: nn.Module, device: torch.device, dtype: torch.dtype = torch.float32) -> bool:
    """Whether this form can stand in for the readable one, and is faster.

    On a CPU with AVX2, in float32, or in bfloat16 if the CPU multiplies that, with the native library built.
    """
    library = native_libraries.net_library()
    return (
        isinstance(network, CodecVSR)
        and device.type == "cpu"
        and network.channels % GROUP == 0
        and library is not None
        and is_worth_it(library)
        and (dtype == torch.float32 or (dtype == torch.bfloat16 and has_bf16(library)))
    )


def held_channels(network: CodecVSR, dtype: torch.dtype) -> int:
    """Floats per pixel that this form holds of every frame of a window: features, a state and the flows to two frames."""
    return 2 * network.channels // (2 if dtype == torch.bfloat16 else 1) + 4


class FastCodecVSR:
    """A ``CodecVSR`` for frames of one size.

    Args:
        network: whose weights to take, as they are now.
        height: of frames, in pixels.
        width: of frames, in pixels.
        threads: to share each frame; torch's number by default.
        dtype: float32, or bfloat16 for what convolutions of 3x3 multiply and for what the first pass over a window hands to
            the second. Sums are float32 in any case.
        way: see :class:`codecvsr.engine.native.net.NativeNet`.
    """

    def __init__(
        self,
        network: CodecVSR,
        height: int,
        width: int,
        *,
        threads: int = 0,
        dtype: torch.dtype = torch.float32,
        way: int = WIDEST,
    ) -> None:
        library = native_libraries.net_library()
        if library is None:
            raise RuntimeError("the native network library is not built; see suits()")
        self._net = NativeNet(library, height, width, threads or torch.get_num_threads(), way=way)
        self._channels = c = network.channels
        self._is_half = dtype == torch.bfloat16
        head = network.flow_head
        self._head = [
            self._layer(head[place], slope=slope, pad=True)
            for place, slope in ((0, SLOPE), (2, SLOPE), (4, _NONE))
            if head is not None
        ]
        self._prior = self._layer(network.prior, slope=_NONE, pad=True)
        self._look = self._look_layer(network)
        self._encode = self._block(network.encode)
        self._backward = self._step(network.backward_step, 3)
        self._forward = self._step(network.forward_step, 4)
        self._fuse = self._layer(network.fuse, (c, c), slope=SLOPE)
        self._reconstruct = self._block(network.reconstruct)
        # pixel_shuffle's order of channels is colour, row, column; finish() wants row, column, colour.
        order = torch.arange(3 * _GRID).view(3, _GRID).t().flatten()
        assert network.to_rgb.bias is not None
        self._to_rgb = self._packed(network.to_rgb.weight[order], network.to_rgb.bias[order], (c,), _NONE)

    # ------------------------------------------------------------------------------------------------------ weights

    def _packed(self, weight: Tensor, bias: Tensor, inputs: tuple[int, ...], slope: float) -> Layer:
        values, constants = (tensor.detach().float().cpu().numpy() for tensor in (weight, bias))
        return self._net.layer(values, constants, inputs, slope, is_half=self._is_half)

    def _layer(
        self, conv: nn.Module, inputs: tuple[int, ...] | None = None, *, slope: float, pad: bool = False
    ) -> Layer:
        """A convolution as a layer; with ``pad``, zero channels make its inputs and outputs multiples of 16."""
        assert isinstance(conv, nn.Conv2d) and conv.bias is not None
        weight, bias = conv.weight.detach(), conv.bias.detach()
        if pad:
            more_out, more_in = (-size % GROUP for size in weight.shape[:2])
            weight = nn.functional.pad(weight, (0, 0, 0, 0, 0, more_in, 0, more_out))
            bias = nn.functional.pad(bias, (0, more_out))
        return self._packed(weight, bias, inputs or (weight.shape[1],), slope)

    def _look_layer(self, network: CodecVSR) -> Layer:
        """``neighbours`` and ``extract`` as one convolution of what :meth:`NativeNet.look` makes."""
        near, own = network.neighbours, network.extract
        differences, samples, shares = near.weight.split([3 * NEIGHBOURS, _GRID, _GRID], dim=1)
        nothing = torch.zeros_like(own.weight[:, :1])
        weight = torch.cat([samples, shares, differences, own.weight, nothing], dim=1)
        assert near.bias is not None and own.bias is not None
        return self._packed(weight, near.bias + own.bias, (weight.shape[1],), SLOPE)

    def _block(self, block: nn.Module) -> tuple[Layer, Layer]:
        assert isinstance(block, ResidualBlock)
        return self._layer(block.conv1, slope=_RELU), self._layer(block.conv2, slope=_NONE)

    def _step(self, step: ConvResidualBlocks, inputs: int) -> tuple[Layer, list[tuple[Layer, Layer]]]:
        merge, blocks = step.main[0], step.main[2]
        assert isinstance(blocks, nn.Sequential)
        return self._layer(merge, (self._channels,) * inputs, slope=SLOPE), [self._block(block) for block in blocks]

    # ------------------------------------------------------------------------------------------------------- frames

    def iterate(
        self,
        frames: npt.NDArray[np.uint8],
        to_prev: Array,
        to_next: Array,
        priors: Array,
        is_cut: npt.NDArray[np.bool_],
        *,
        use_motion: bool = True,
        use_second_order: bool = True,
        passed: int = 0,
        output: Literal["bytes", "floats"] = "bytes",
    ) -> Iterator[npt.NDArray[Any]]:
        """What ``CodecVSR.iterate`` does with a window of a single clip.

        Args:
            frames: (T, H, W, 3) RGB.
            to_prev: (T, 2, h, w), motion to the frame before in pixels on cells, h = ceil(H/4), w = ceil(W/4).
            to_next: (T, 2, h, w), motion to the frame after.
            priors: (T, 8, h, w), see :func:`codecvsr.models.priors.make_priors`.
            is_cut: (T,) frames that begin a new scene.
            use_motion: False for no motion at all (the caller makes its priors neutral).
            use_second_order: False to leave out the frame beyond the neighbour.
            passed: so many of the first frames are gone through, and no pictures made of them.
            output: bytes, clamped and rounded, or floats as they are.

        Yields:
            The other frames' pictures (4H, 4W, 3), in order.
        """
        motion = WindowMotion(self._net, self._head, frames, {-1: to_prev, +1: to_next}, is_cut)
        motion.is_used, motion.has_second_order = use_motion, use_second_order
        stored: dict[int, list[npt.NDArray[Any]]] = {}
        backward: dict[int, Array] = {}
        forward: dict[int, Array] = {}
        net = self._net
        try:
            for i in reversed(range(len(frames))):
                before, after = motion.routes(i, -1), motion.routes(i, +1)
                here, others = self._pictures(motion, i, [*before, *after])
                cells = self._cells(priors[i])
                with net.together():
                    features = self._features(here, others, cells)
                    backward[i] = self._propagated(self._backward, [features], backward, after)
                    stored[i] = [self._stored(features), self._stored(backward[i])]
                self._drop_if_halved(features, backward.pop(i + 2, None))
                motion.leave(i)
            self._drop_if_halved(*backward.values())
            for i in range(len(frames)):
                before, picture, halves, made = motion.routes(i, -1), motion.picture(i), stored.pop(i), None
                with net.together():
                    given = [self._restored(each) for each in halves]
                    forward[i] = self._propagated(self._forward, given, forward, before)
                    if i >= passed:
                        made = self._finished(picture, forward[i], given[1], output)
                if made is not None:
                    yield made
                net.give(*halves, forward.pop(i - 2, None))
                self._drop_if_halved(*given)
                motion.pass_by(i)
        finally:
            net.rest()

    def _stored(self, features: Array) -> npt.NDArray[Any]:
        """What is held of features (H, W, C) until the second pass."""
        if not self._is_half:
            return features
        halves = self._net.take_halves(self._channels)
        self._net.halve(features, halves)
        return halves

    def _restored(self, stored: npt.NDArray[Any]) -> Array:
        """Features from what was held of them."""
        if not self._is_half:
            return stored
        features = self._net.take(self._channels)
        self._net.widen(stored, features)
        return features

    def _drop_if_halved(self, *features: Array | None) -> None:
        """Features that are held in another form, or were, are not needed any more."""
        if self._is_half:
            self._net.give(*features)

    @staticmethod
    def _pictures(
        motion: WindowMotion, i: int, routes: list[Route | None]
    ) -> tuple[Picture, list[tuple[Picture, Array] | None]]:
        """A frame's picture, and its neighbours' with the flows to them."""
        others = [None if route is None else (motion.picture(route[0]), route[1]) for route in routes]
        return motion.picture(i), others

    def _cells(self, priors: Array) -> Array:
        """What the priors (8, h, w) of a frame add to every pixel of a cell (h, w, C)."""
        rows, columns = priors.shape[1:]
        known = empty(rows, columns, GROUP)
        known[..., : prior_channels.CHANNELS] = priors.transpose(1, 2, 0)
        known[..., prior_channels.CHANNELS :] = 0
        cells = empty(rows, columns, self._channels)
        self._net.conv(self._prior, [known], cells)
        return cells

    def _features(self, here: Picture, others: list[tuple[Picture, Array] | None], cells: Array) -> Array:
        """Features of a frame (H, W, C): its picture, its priors, and what its neighbours' pictures add."""
        net = self._net
        seen = net.take(self._look.inputs[0])
        net.look(here, others, GAIN, seen)
        features = net.take(self._channels)
        net.conv(self._look, [seen], features, cells=cells)
        net.give(seen)
        self._add_block(self._encode, features)
        return features

    def _propagated(
        self,
        step: tuple[Layer, list[tuple[Layer, Layer]]],
        given: list[Array],
        states: dict[int, Array],
        routes: list[Route | None],
    ) -> Array:
        """The state of a frame (H, W, C), from what is known of it and the neighbours' states along the routes to them."""
        net, (merge, blocks) = self._net, step
        pulled: list[Array | None] = []
        for route in routes:
            if route is None or route[0] not in states:
                pulled.append(None)
                continue
            aligned = net.take(self._channels)
            net.warp(states[route[0]], route[1], aligned)
            pulled.append(aligned)
        state = net.take(self._channels)
        net.conv(merge, [*given, *pulled], state)
        net.give(*pulled)
        for block in blocks:
            self._add_block(block, state)
        return state

    def _add_block(self, block: tuple[Layer, Layer], features: Array) -> None:
        """A residual block, in place."""
        inner = self._net.take(self._channels)
        self._net.conv(block[0], [features], inner)
        self._net.conv(block[1], [inner], features, residual=features)
        self._net.give(inner)

    def _finished(
        self, picture: Picture, forward: Array, backward: Array, kind: Literal["bytes", "floats"]
    ) -> npt.NDArray[Any]:
        net = self._net
        fused = net.take(self._channels)
        net.conv(self._fuse, [forward, backward], fused)
        self._add_block(self._reconstruct, fused)
        residual = net.take(3 * _GRID)
        net.conv(self._to_rgb, [fused], residual)
        shape = SCALE * net.height, SCALE * net.width, 3
        output = empty_bytes(int(np.prod(shape))).reshape(shape) if kind == "bytes" else empty(*shape)
        net.finish(picture, residual, output)
        net.give(fused, residual)
        return output
