"""The network ``codecvsr`` on a CPU: frame by frame through the native network library.

It has the weights of the readable form, ``models/codecvsr.py``, and in fp32 its results except for the order of sums (about 1e-5
of the picture's range). It is faster: convolutions by Winograd's minimal filtering with activations and sums fused, no
concatenation, no work for missing states, and all neighbours gathered in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from codecvsr import native_libraries
from codecvsr.constants import SCALE
from codecvsr.engine.native.buffers import empty, empty_bytes
from codecvsr.engine.native.library import BEST_ISA, has_bf16, is_worth_it
from codecvsr.engine.native.net import NativeNet
from codecvsr.engine.native.partial_steps import PartialSteps
from codecvsr.engine.native.static_tiles import Part, StaticTiles
from codecvsr.engine.native.structs import GROUP, Array, Layer, Picture, pixels_around
from codecvsr.engine.native.weights import Weights, pass_depth
from codecvsr.engine.native.window_motion import Route, WindowMotion
from codecvsr.models import priors as prior_channels
from codecvsr.models.codecvsr import GAIN, CodecVSR

_GRID = SCALE**2


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
        self._library = library
        self._net = NativeNet(library, height, width, threads or torch.get_num_threads(), isa=isa)
        self._channels = network.channels
        self._is_bf16 = dtype == torch.bfloat16
        self._steps = PartialSteps(self._net)
        self._weights = Weights(self._net, network, is_bf16=self._is_bf16)
        self._depth = pass_depth(network)

    @property
    def work_share(self) -> float:
        """The share of the products of all convolutions so far that were computed; 1 unless tiles were skipped."""
        return self._net.work_share

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
        skip_static: bool = False,
        scale: int = SCALE,
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
            skip_static: compute only tiles in which pixels change (:mod:`codecvsr.engine.native.static_tiles`).
            scale: 4; or 1 to 3 for the same pictures as bytes, then shrunk as :func:`codecvsr.video.resize.resample` does.

        Yields:
            Pictures (scale * H, scale * W, 3) of the frames after the skipped ones, in order.
        """
        parts = StaticTiles(self._library, frames, is_cut, self._depth) if skip_static else None
        flow_parts = None if parts is None else partial(parts.flows, pixels=self._depth)
        fields = {-1: to_prev, +1: to_next}
        motion = WindowMotion(self._net, self._weights.head, frames, fields, is_cut, flow_parts)
        motion.is_used, motion.has_second_order = use_motion, use_second_order
        stored: dict[int, list[npt.NDArray[Any]]] = {}
        backward: dict[int, Array] = {}
        forward: dict[int, Array] = {} if states is None else states
        net = self._net
        features: Array | None = None
        result: npt.NDArray[Any] | None = None
        try:
            for i in reversed(range(first, len(frames))):
                before, after = motion.routes(i, -1), motion.routes(i, +1)
                here, routes = motion.picture(i), [*before, *after]
                others = [None if route is None else (motion.picture(route[0]), route[1]) for route in routes]
                cells, next_features = self._cells(priors[i]), features
                part = None if parts is None else parts.backward[i]
                with net.batch_steps():
                    features = self._features(here, others, cells, part, next_features)
                    backward[i] = self._propagated(
                        self._weights.backward, [features], backward, after, part, backward.get(i + 1)
                    )
                    stored[i] = [self._stored(features), self._stored(backward[i])]
                self._release_if_bf16(next_features, backward.pop(i + 2, None))
                motion.release_after(i)
                if on_step is not None:
                    on_step()
            self._release_if_bf16(features, *backward.values())
            for i in range(first, len(frames) if stop is None else stop):
                before, picture, stored_i = motion.routes(i, -1), motion.picture(i), stored.pop(i)
                part = None if parts is None else parts.forward[i]
                with net.batch_steps():
                    inputs = [self._restored(each) for each in stored_i]
                    forward[i] = self._propagated(
                        self._weights.forward, inputs, forward, before, part, forward.get(i - 1)
                    )
                    if i >= skip:
                        result = self._finished(picture, forward[i], inputs[1], output, scale, part, result)
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

    def _cells(self, priors: Array) -> Array:
        """Returns the prior convolution's output (h, w, C) on cells for the priors (8, h, w) of a frame."""
        rows, columns = priors.shape[1:]
        padded = empty(rows, columns, GROUP)
        padded[..., : prior_channels.CHANNELS] = priors.transpose(1, 2, 0)
        padded[..., prior_channels.CHANNELS :] = 0
        cells = empty(rows, columns, self._channels)
        self._net.conv(self._weights.prior, [padded], cells)
        return cells

    def _features(
        self,
        here: Picture,
        others: list[tuple[Picture, Array] | None],
        cells: Array,
        part: Part | None,
        next_features: Array | None,
    ) -> Array:
        """Returns the features (H, W, C) of a frame from its picture, its priors and its neighbours' pictures.

        Outside ``part``, if any, they are those of the next frame.
        """
        net = self._net
        gathered = net.alloc(self._weights.gather.inputs[0])
        tiles = None if part is None else part.groups(3)
        net.gather(here, others, GAIN, gathered, tiles=tiles)
        self._steps.clear_around(gathered, tiles)
        features = net.alloc(self._channels)
        self._steps.conv(self._weights.gather, [gathered], features, part, 2, cells=cells)
        net.release(gathered)
        self._steps.add_block(self._weights.encode, features, part, 0)
        self._steps.repeat(next_features, features, part)
        return features

    def _propagated(
        self,
        step: tuple[Layer, list[tuple[Layer, Layer]]],
        inputs: list[Array],
        states: dict[int, Array],
        routes: list[Route | None],
        part: Part | None,
        last_state: Array | None,
    ) -> Array:
        """Returns the state (H, W, C) of a frame from its inputs and the neighbours' states along the routes to them.

        Outside ``part``, if any, it is ``last_state``.
        """
        net, (merge, blocks) = self._net, step
        depth = 2 * len(blocks)
        aligned: list[Array | None] = []
        for route in routes:
            if route is None or route[0] not in states:
                aligned.append(None)
                continue
            warped = net.alloc(self._channels)
            net.warp(states[route[0]], route[1], warped, tiles=None if part is None else part.grown(depth + 1))
            aligned.append(warped)
        state = net.alloc(self._channels)
        self._steps.conv(merge, [*inputs, *aligned], state, part, depth)
        net.release(*aligned)
        for number, block in enumerate(blocks, 1):
            self._steps.add_block(block, state, part, depth - 2 * number)
        self._steps.repeat(last_state, state, part)
        return state

    def _finished(
        self,
        picture: Picture,
        forward: Array,
        backward: Array,
        kind: Literal["bytes", "floats"],
        scale: int,
        part: Part | None,
        last: npt.NDArray[Any] | None,
    ) -> npt.NDArray[Any]:
        """Returns the picture (scale * H, scale * W, 3) of a frame from its two states (H, W, C).

        Outside ``part``, if any, it is the ``last`` picture, if there is one.
        """
        net, part = self._net, None if last is None else part
        around = pixels_around(scale)
        fused = net.alloc(self._channels)
        self._steps.conv(self._weights.fuse, [forward, backward], fused, part, 3 + around)
        self._steps.add_block(self._weights.reconstruct, fused, part, 1 + around)
        residual = net.alloc(3 * _GRID)
        self._steps.conv(self._weights.to_rgb, [fused], residual, part, around)
        shape = scale * net.height, scale * net.width, 3
        output = empty_bytes(int(np.prod(shape))).reshape(shape) if kind == "bytes" else empty(*shape)
        net.finish(picture, residual, output, tiles=None if part is None else part.tiles)
        self._steps.repeat(last, output, part)
        net.release(fused, residual)
        return output
