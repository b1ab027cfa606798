"""The network ``codecvsr`` on a CPU: frame by frame through the native network library.

It has the weights of the readable form, ``models/codecvsr.py``, and in fp32 its results except for the order of sums (about 1e-5
of the picture's range). It is faster: convolutions by Winograd's minimal filtering with activations and sums fused, no
concatenation, no work for missing states, and all neighbours gathered in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from codecvsr import native_libraries
from codecvsr.constants import SCALE
from codecvsr.engine.native.buffers import empty, empty_bytes
from codecvsr.engine.native.net import BEST_ISA, NativeNet, has_bf16, is_worth_it
from codecvsr.engine.native.structs import GROUP, NEIGHBOURS, Array, Layer, Picture
from codecvsr.engine.native.window_motion import Route, WindowMotion
from codecvsr.models import priors as prior_channels
from codecvsr.models.codecvsr import GAIN, CodecVSR
from codecvsr.models.layers.blocks import SLOPE, ConvResidualBlocks, ResidualBlock

_GRID = SCALE**2
_NONE, _RELU = 1.0, 0.0  # slopes


def is_supported(network: nn.Module, device: torch.device, dtype: torch.dtype = torch.float32) -> bool:
    """Whether this form can replace the readable one, and is faster.

    That is so on a CPU with AVX2, in fp32, or in bf16 if the CPU multiplies it, with the native library built.
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
    """Returns the floats per pixel that this form stores of every frame of a window: features, a state and two flows."""
    return 2 * network.channels // (2 if dtype == torch.bfloat16 else 1) + 4


class FastCodecVSR:
    """A ``CodecVSR`` for frames of one size.

    Args:
        network: the network; its present weights are copied.
        height: of frames, in pixels.
        width: of frames, in pixels.
        threads: number of threads that share a frame; torch's number by default.
        dtype: float32; or bfloat16 for the products of 3x3 convolutions and for the features that the first pass over a window
            stores for the second. Sums are always float32.
        isa: see :class:`codecvsr.engine.native.net.NativeNet`.

    Raises:
        RuntimeError: the native network library is not built.
    """

    def __init__(
        self,
        network: CodecVSR,
        height: int,
        width: int,
        *,
        threads: int = 0,
        dtype: torch.dtype = torch.float32,
        isa: int = BEST_ISA,
    ) -> None:
        library = native_libraries.net_library()
        if library is None:
            raise RuntimeError("the native network library is not built; check is_supported() first")
        self._net = NativeNet(library, height, width, threads or torch.get_num_threads(), isa=isa)
        self._channels = c = network.channels
        self._is_bf16 = dtype == torch.bfloat16
        head = network.flow_head
        self._head = [
            self._layer(head[place], slope=slope, pad=True)
            for place, slope in ((0, SLOPE), (2, SLOPE), (4, _NONE))
            if head is not None
        ]
        self._prior = self._layer(network.prior, slope=_NONE, pad=True)
        self._gather = self._gather_layer(network)
        self._encode = self._block(network.encode)
        self._backward = self._step(network.backward_step, 3)
        self._forward = self._step(network.forward_step, 4)
        self._fuse = self._layer(network.fuse, (c, c), slope=SLOPE)
        self._reconstruct = self._block(network.reconstruct)
        # pixel_shuffle orders channels by colour, row, column; finish() expects row, column, colour.
        order = torch.arange(3 * _GRID).view(3, _GRID).t().flatten()
        assert network.to_rgb.bias is not None
        self._to_rgb = self._packed(network.to_rgb.weight[order], network.to_rgb.bias[order], (c,), _NONE)

    # ------------------------------------------------------------------------------------------------------ weights

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
        skip: int = 0,
        first: int = 0,
        stop: int | None = None,
        states: dict[int, Array] | None = None,
        output: Literal["bytes", "floats"] = "bytes",
        on_step: Callable[[], None] | None = None,
    ) -> Iterator[npt.NDArray[Any]]:
        """Computes ``CodecVSR.iterate`` for a window of one clip.

        Args:
            frames: (T, H, W, 3) RGB.
            to_prev: (T, 2, h, w), motion to the frame before in pixels on cells, h = ceil(H/4), w = ceil(W/4).
            to_next: (T, 2, h, w), motion to the frame after.
            priors: (T, 8, h, w), see :func:`codecvsr.models.priors.make_priors`.
            is_cut: (T,), frames that begin a new scene.
            use_motion: False for zero motion (the caller passes neutral priors).
            use_second_order: False to ignore the frame beyond the neighbour.
            skip: number of frames at the start that are context only, without output.
            first: number of frames at the start that an earlier window made: they have pictures and motion, and ``states``.
            stop: frames from here on are look-ahead, seen by the pass backward in time alone; None for none.
            states: forward states (H, W, C) of the frames ``first - 1`` and ``first - 2``, where they are known; afterwards those of
                the last two frames before ``stop``.
            output: ``bytes``, clamped and rounded to uint8, or ``floats``, not clamped.
            on_step: called after each step: every frame backward in time, then forward; 2 T of them in a whole window.

        Yields:
            Pictures (4H, 4W, 3) of the frames after the skipped ones, in order.
        """
        motion = WindowMotion(self._net, self._head, frames, {-1: to_prev, +1: to_next}, is_cut)
        motion.is_used, motion.has_second_order = use_motion, use_second_order
        stored: dict[int, list[npt.NDArray[Any]]] = {}
        backward: dict[int, Array] = {}
        forward: dict[int, Array] = {} if states is None else states
        net = self._net
        try:
            for i in reversed(range(first, len(frames))):
                before, after = motion.routes(i, -1), motion.routes(i, +1)
                here, others = self._pictures(motion, i, [*before, *after])
                cells = self._cells(priors[i])
                with net.batch_steps():
                    features = self._features(here, others, cells)
                    backward[i] = self._propagated(self._backward, [features], backward, after)
                    stored[i] = [self._stored(features), self._stored(backward[i])]
                self._release_if_bf16(features, backward.pop(i + 2, None))
                motion.release_after(i)
                if on_step is not None:
                    on_step()
            self._release_if_bf16(*backward.values())
            for i in range(first, len(frames) if stop is None else stop):
                before, picture, stored_i, result = motion.routes(i, -1), motion.picture(i), stored.pop(i), None
                with net.batch_steps():
                    inputs = [self._restored(each) for each in stored_i]
                    forward[i] = self._propagated(self._forward, inputs, forward, before)
                    if i >= skip:
                        result = self._finished(picture, forward[i], inputs[1], output)
                if on_step is not None:
                    on_step()
                if result is not None:
                    yield result
                net.release(*stored_i, forward.pop(i - 2, None))
                self._release_if_bf16(*inputs)
                motion.release_before(i)
        finally:
            net.shutdown()

    def _stored(self, features: Array) -> npt.NDArray[Any]:
        """Returns features (H, W, C) as stored until the second pass, in bfloat16 if that is the type."""
        if not self._is_bf16:
            return features
        stored = self._net.alloc_bf16(self._channels)
        self._net.to_bf16(features, stored)
        return stored

    def _restored(self, stored: npt.NDArray[Any]) -> Array:
        """Returns stored features (H, W, C) as float32."""
        if not self._is_bf16:
            return stored
        features = self._net.alloc(self._channels)
        self._net.from_bf16(stored, features)
        return features

    def _release_if_bf16(self, *features: Array | None) -> None:
        """Releases float32 features that are also stored in bfloat16."""
        if self._is_bf16:
            self._net.release(*features)

    @staticmethod
    def _pictures(
        motion: WindowMotion, i: int, routes: list[Route | None]
    ) -> tuple[Picture, list[tuple[Picture, Array] | None]]:
        """Returns a frame's picture, and its neighbours' pictures with the flows to them."""
        others = [None if route is None else (motion.picture(route[0]), route[1]) for route in routes]
        return motion.picture(i), others

    def _cells(self, priors: Array) -> Array:
        """Returns the prior convolution's output (h, w, C) on cells for the priors (8, h, w) of a frame."""
        rows, columns = priors.shape[1:]
        padded = empty(rows, columns, GROUP)
        padded[..., : prior_channels.CHANNELS] = priors.transpose(1, 2, 0)
        padded[..., prior_channels.CHANNELS :] = 0
        cells = empty(rows, columns, self._channels)
        self._net.conv(self._prior, [padded], cells)
        return cells

    def _features(self, here: Picture, others: list[tuple[Picture, Array] | None], cells: Array) -> Array:
        """Returns the features (H, W, C) of a frame from its picture, its priors and its neighbours' pictures."""
        net = self._net
        gathered = net.alloc(self._gather.inputs[0])
        net.gather(here, others, GAIN, gathered)
        features = net.alloc(self._channels)
        net.conv(self._gather, [gathered], features, cells=cells)
        net.release(gathered)
        self._add_block(self._encode, features)
        return features

    def _propagated(
        self,
        step: tuple[Layer, list[tuple[Layer, Layer]]],
        inputs: list[Array],
        states: dict[int, Array],
        routes: list[Route | None],
    ) -> Array:
        """Returns the state (H, W, C) of a frame from its inputs and the neighbours' states along the routes to them."""
        net, (merge, blocks) = self._net, step
        aligned: list[Array | None] = []
        for route in routes:
            if route is None or route[0] not in states:
                aligned.append(None)
                continue
            warped = net.alloc(self._channels)
            net.warp(states[route[0]], route[1], warped)
            aligned.append(warped)
        state = net.alloc(self._channels)
        net.conv(merge, [*inputs, *aligned], state)
        net.release(*aligned)
        for block in blocks:
            self._add_block(block, state)
        return state

    def _add_block(self, block: tuple[Layer, Layer], features: Array) -> None:
        """Runs a residual block in place."""
        inner = self._net.alloc(self._channels)
        self._net.conv(block[0], [features], inner)
        self._net.conv(block[1], [inner], features, residual=features)
        self._net.release(inner)

    def _finished(
        self, picture: Picture, forward: Array, backward: Array, kind: Literal["bytes", "floats"]
    ) -> npt.NDArray[Any]:
        """Returns the picture (4H, 4W, 3) of a frame from its two states (H, W, C)."""
        net = self._net
        fused = net.alloc(self._channels)
        net.conv(self._fuse, [forward, backward], fused)
        self._add_block(self._reconstruct, fused)
        residual = net.alloc(3 * _GRID)
        net.conv(self._to_rgb, [fused], residual)
        shape = SCALE * net.height, SCALE * net.width, 3
        output = empty_bytes(int(np.prod(shape))).reshape(shape) if kind == "bytes" else empty(*shape)
        net.finish(picture, residual, output)
        net.release(fused, residual)
        return output
