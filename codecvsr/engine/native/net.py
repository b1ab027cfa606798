"""ctypes binding of the network library (``native/include/cvsr_net.h``), which runs ``codecvsr`` on a CPU.

Pictures and features are (H, W, C) float32 arrays. Threads share a frame row by row and release the interpreter's lock; results
do not depend on their number.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.constants import SCALE
from codecvsr.engine.native.buffers import empty, empty_bytes
from codecvsr.engine.native.library import BEST_ISA, declared, pack_layer
from codecvsr.engine.native.structs import (
    GROUP,
    TILE,
    Array,
    Bf16Array,
    ConvertParams,
    ConvParams,
    CopyParams,
    FinishParams,
    FlowInputParams,
    FlowOutputParams,
    GatherParams,
    Kind,
    Layer,
    LoadParams,
    Picture,
    Step,
    StepParams,
    Tiles,
    WarpParams,
    WeightGradientParams,
    address,
)


class NativeNet:
    """The library's steps for frames of one size, run at once or in :meth:`batch_steps`.

    Args:
        library: the result of :func:`codecvsr.native_libraries.net_library`.
        height: of frames, in pixels.
        width: of frames, in pixels.
        threads: number of threads that share the rows of a frame.
        isa: best instruction set to use, for tests; see :data:`codecvsr.engine.native.library.BEST_ISA`. Applies to the whole process.
    """

    def __init__(self, library: ctypes.CDLL, height: int, width: int, threads: int = 1, *, isa: int = BEST_ISA) -> None:
        self._library = declared(library)
        self.isa = int(library.cvsr_net_choose(isa))
        self.height, self.width, self._threads = height, width, threads
        self._pool: ThreadPoolExecutor | None = None
        self._scratch: list[Array] = []
        self._batch: list[Step] | None = None
        self._spare: dict[tuple[type, tuple[int, ...]], list[Any]] = {}
        self._products = np.zeros(2)  # computed, all

    def shutdown(self) -> None:
        """Ends the threads and frees spare memory; the next step starts threads again."""
        self._spare.clear()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    @property
    def work_share(self) -> float:
        """The share of the products of all convolutions so far that were computed, in 0..1: tiles may be left out."""
        done, total = self._products.tolist()
        return done / total if total else 1.0

    def alloc(self, channels: int) -> Array:
        """Returns uninitialised memory for features (H, W, channels)."""
        return self._alloc((self.height, self.width, channels), np.float32)

    def alloc_bf16(self, channels: int) -> Bf16Array:
        """Returns uninitialised memory for bfloat16 features (H, W, channels)."""
        return self._alloc((self.height, self.width, channels), np.uint16)

    def _alloc(self, shape: tuple[int, ...], dtype: type[np.generic]) -> npt.NDArray[Any]:
        if spare := self._spare.get((dtype, shape)):
            return spare.pop()
        return empty_bytes(math.prod(shape) * np.dtype(dtype).itemsize).view(dtype).reshape(shape)

    def release(self, *arrays: npt.NDArray[Any] | None) -> None:
        """Returns arrays of :meth:`alloc` and :meth:`alloc_bf16` for reuse; ignores None."""
        for array in arrays:
            if array is not None:
                self._spare.setdefault((array.dtype.type, array.shape), []).append(array)

    def layer(
        self, weights: Array, bias: Array, inputs: Sequence[int], slope: float, *, is_bf16: bool = False
    ) -> Layer:
        """Packs a convolution, see :func:`codecvsr.engine.native.library.pack_layer`."""
        return pack_layer(self._library, weights, bias, inputs, slope, is_bf16=is_bf16)

    @contextlib.contextmanager
    def batch_steps(self) -> Iterator[None]:
        """Collects the steps called inside and runs them at exit, row by row, while each row is in the cache.

        A step may read output of the batch only at the same pixel and next to it. Features to warp, neighbours' pictures and
        frames to finish must be complete before. Memory released inside may be allocated again inside.
        """
        assert self._batch is None
        self._batch = []
        try:
            yield
            steps = self._batch
        finally:
            self._batch = None
        self.run(steps)

    def _add(self, step: Step) -> None:
        if self._batch is None:
            self.run([step])
        else:
            self._batch.append(step)

    def run(self, steps: Sequence[Step]) -> None:
        """Runs steps, which must all have the same number of rows, on all threads."""
        if not steps:
            return
        count, rows = len(steps), steps[0].rows
        assert all(step.rows == rows for step in steps)
        native_steps = (StepParams * count)(*(step.native for step in steps))
        threads = min(self._threads, rows)
        scratch, call = self._scratch_for(max(step.scratch for step in steps), threads), self._library.cvsr_net_run
        if threads == 1:
            call(native_steps, count, rows, 1, None, scratch[0])
            return
        progress = np.zeros(1 + count * rows, np.int32)
        self._pool = self._pool or ThreadPoolExecutor(self._threads - 1)
        shared = native_steps, count, rows, threads, progress.ctypes.data
        others = [self._pool.submit(call, *shared, own) for own in scratch[1:]]
        call(*shared, scratch[0])
        for other in others:
            other.result()

    def _scratch_for(self, size: int, threads: int) -> list[int]:
        """Returns addresses of scratch memory of at least ``size`` bytes, one for each thread."""
        if len(self._scratch) < threads or self._scratch[0].nbytes < size:
            self._scratch = [empty(max(size // 4, 1)) for _ in range(threads)]
        return [each.ctypes.data for each in self._scratch[:threads]]

    def conv(
        self,
        layer: Layer,
        inputs: Sequence[Array | None],
        output: Array,
        *,
        residual: Array | None = None,
        cells: Array | None = None,
        tiles: Tiles | None = None,
    ) -> None:
        """Computes ``output = residual + act(conv(inputs) + bias + cells)``; an input of None is zero and costs nothing.

        ``cells`` (ceil(H / 4), ceil(W / 4), outputs) holds one value per 4x4 pixels. The residual may be the output.
        """
        height, width, outputs = output.shape
        params = ConvParams(
            weights=address(layer.packed),
            bias=address(layer.bias),
            cells=address(cells),
            residual=address(residual),
            output=address(output),
            output_channels=outputs,
            height=height,
            width=width,
            slope=layer.slope,
        )
        for k, (array, channels) in enumerate(zip(inputs, layer.inputs, strict=True)):
            assert array is None or (array.shape == (height, width, channels) and array.flags.c_contiguous)
            params.inputs[k], params.input_channels[k] = address(array), channels
        scratch = int(self._library.cvsr_net_scratch_bytes(sum(layer.inputs), outputs))
        products = layer.packed.size * height * width
        self._products += products * np.array([1 if tiles is None else np.count_nonzero(tiles) / tiles.size, 1])
        arrays = layer, *inputs, output, residual, cells
        self._add(Step(layer.kind, params, -(-height // TILE), arrays, scratch, tiles))

    def weight_gradient(self, features: Array, gradient: Array, points: Array) -> None:
        """Adds a picture's contribution to the gradient of the weights of a 3x3 convolution; on this thread.

        Args:
            features: the convolution's input, (H, W, inputs), without gaps as all arrays here.
            gradient: of its output, (H, W, outputs).
            points: (36, outputs, inputs), the gradient in the points of Winograd's F(4x4, 3x3); added to.
        """
        height, width, inputs = features.shape
        outputs = gradient.shape[2]
        params = WeightGradientParams(*map(address, (features, gradient, points)), inputs, outputs, height, width)
        scratch = self._scratch_for(int(self._library.cvsr_net_gradient_scratch_bytes(inputs, outputs)), 1)
        self._library.cvsr_net_weight_gradient(ctypes.addressof(params), scratch[0])

    def load(self, rgb: npt.NDArray[np.uint8]) -> Picture:
        """Returns a frame (H, W, 3) as a picture; not inside :meth:`batch_steps`, as later steps read it anywhere."""
        assert self._batch is None
        rgb = np.ascontiguousarray(rgb)
        picture = Picture(self.alloc(4), self._alloc((self.height + 4, -(-self.width // 16) * 16 + 4), np.float32))
        self._add(self._step(Kind.LOAD, LoadParams(address(rgb), picture.params), rgb, picture))
        return picture

    def warp(
        self, features: Array, flow: Array, output: Array, *, plus: Array | None = None, tiles: Tiles | None = None
    ) -> None:
        """Samples features (H, W, C) at every pixel plus its flow (H, W, 2) bilinearly, and adds ``plus``."""
        arrays = features, flow, plus, output
        params = WarpParams(*map(address, arrays), channels=features.shape[2])
        self._add(self._step(Kind.WARP, params, *arrays, tiles=tiles))

    def flow_input(
        self,
        here: Picture,
        there: Picture,
        field: Array,
        flow: Array,
        output: Array | None,
        *,
        tiles: Tiles | None = None,
    ) -> None:
        """Interpolates a field on cells (2, h, w) to a flow (H, W, 2), and writes the flow head's input (H, W, 16), if any."""
        field = np.ascontiguousarray(field, np.float32)
        params = FlowInputParams(here.params, there.params, address(field), address(flow), address(output))
        self._add(self._step(Kind.FLOW_INPUT, params, here, there, field, flow, output, tiles=tiles))

    def flow_output(self, head: Array, flow: Array, *, tiles: Tiles | None = None) -> None:
        """Adds the head's first two channels to the flow (H, W, 2)."""
        self._add(self._step(Kind.FLOW_OUTPUT, FlowOutputParams(address(head), address(flow)), head, flow, tiles=tiles))

    def gather(
        self,
        here: Picture,
        others: Sequence[tuple[Picture, Array] | None],
        gain: float,
        output: Array,
        *,
        tiles: Tiles | None = None,
    ) -> None:
        """Gathers a frame and its four neighbours, along the flows to them, into (H, W, 48); None for a missing one."""
        params = GatherParams(here=here.params, output=address(output), gain=gain)
        for k, other in enumerate(others):
            if other is not None:
                params.others[k], params.flows[k] = other[0].params, address(other[1])
        self._add(self._step(Kind.GATHER, params, here, others, output, tiles=tiles))

    def to_bf16(self, features: Array, output: Bf16Array) -> None:
        """Rounds features (H, W, C) to bfloat16."""
        self._add(self._step(Kind.TO_BF16, self._convert_params(features, output), features, output))

    def from_bf16(self, features: Bf16Array, output: Array) -> None:
        """Converts bfloat16 features (H, W, C) to float32."""
        self._add(self._step(Kind.FROM_BF16, self._convert_params(features, output), features, output))

    @staticmethod
    def _convert_params(source: npt.NDArray[Any], output: npt.NDArray[Any]) -> ConvertParams:
        assert source.shape == output.shape and source.shape[2] % GROUP == 0
        return ConvertParams(address(source), address(output), channels=source.shape[2])

    def copy(self, source: npt.NDArray[Any] | None, output: npt.NDArray[Any], tiles: Tiles) -> None:
        """Copies tiles of an array (s * H, s * W, C), s a whole number; writes zeros if there is none."""
        assert source is None or (source.shape == output.shape and source.dtype == output.dtype)
        params = CopyParams(address(source), address(output), output.shape[2] * output.itemsize)
        params.scale = output.shape[0] // self.height
        self._add(self._step(Kind.COPY, params, source, output, tiles=tiles))

    def finish(
        self,
        frame: Picture,
        residual: Array,
        output: npt.NDArray[np.uint8] | Array,
        *,
        tiles: Tiles | None = None,
    ) -> None:
        """Writes the picture (4H, 4W, 3): the enlarged frame plus ``residual`` (H, W, 48), as clamped bytes or as floats.

        Bytes (s * H, s * W, 3) with s from 1 to 3 are that picture, shrunk; ``residual`` is then read around the tiles:
        :func:`codecvsr.engine.native.structs.pixels_around`.
        """
        params = FinishParams(frame.params, address(residual), scale=output.shape[0] // self.height)
        assert output.shape == (params.scale * self.height, params.scale * self.width, 3)
        if output.dtype == np.uint8:
            params.bytes = address(output)
        else:
            assert params.scale == SCALE
            params.values = address(output)
        scratch = int(self._library.cvsr_net_finish_bytes(self.width, params.scale))
        self._add(self._step(Kind.FINISH, params, frame, residual, output, scratch=scratch, tiles=tiles))

    def _step(self, kind: Kind, params: Any, *arrays: object, scratch: int = 0, tiles: Tiles | None = None) -> Step:
        """Returns a step over the frame, or over some of its tiles."""
        params.height, params.width = self.height, self.width
        return Step(kind, params, -(-self.height // TILE), arrays, scratch, tiles)
