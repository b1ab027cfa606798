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
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.engine.native.buffers import empty, empty_bytes
from codecvsr.engine.native.structs import (
    GROUP,
    MAX_CHANNELS,
    TILE,
    Array,
    Bf16Array,
    ConvertParams,
    ConvParams,
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
    WarpParams,
    WeightGradientParams,
)

BEST_ISA = 3  #: instruction sets: 0 plain C, 1 AVX2, 2 AVX-512, 3 AVX-512 with products of bfloat16
_POINTS = {Kind.CONV3X3: 36, Kind.CONV3X3_BF16: 36, Kind.CONV1X1: 1}  # packed values per kernel


@cache
def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, size = ctypes.c_void_p, ctypes.c_int32
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "cvsr_net_choose": (size, [size]),
        "cvsr_net_scratch_bytes": (ctypes.c_size_t, [size] * 2),
        "cvsr_net_pack": (size, [pointer, size, size, size, pointer]),
        "cvsr_net_run": (None, [pointer, size, size, size, pointer, pointer]),
        "cvsr_net_gradient_scratch_bytes": (ctypes.c_size_t, [size] * 2),
        "cvsr_net_weight_gradient": (None, [pointer, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.cvsr_net_choose(BEST_ISA)
    return library


def is_worth_it(library: ctypes.CDLL) -> bool:
    """Whether the library is faster than torch on this processor: it is with AVX2 or better."""
    return int(_declared(library).cvsr_net_choose(BEST_ISA)) > 0


def has_bf16(library: ctypes.CDLL) -> bool:
    """Whether the processor multiplies bfloat16, at twice the rate of float32."""
    return int(_declared(library).cvsr_net_choose(BEST_ISA)) == BEST_ISA


class NativeNet:
    """The library's steps for frames of one size, run at once or in :meth:`batch_steps`.

    Args:
        library: the result of :func:`codecvsr.native_libraries.net_library`.
        height: of frames, in pixels.
        width: of frames, in pixels.
        threads: number of threads that share the rows of a frame.
        isa: best instruction set to use, for tests; see :data:`BEST_ISA`. Applies to the whole process.
    """

    def __init__(self, library: ctypes.CDLL, height: int, width: int, threads: int = 1, *, isa: int = BEST_ISA) -> None:
        self._library = _declared(library)
        self.isa = int(library.cvsr_net_choose(isa))
        self.height, self.width, self._threads = height, width, threads
        self._pool: ThreadPoolExecutor | None = None
        self._scratch: list[Array] = []
        self._batch: list[Step] | None = None
        self._spare: dict[tuple[type, tuple[int, ...]], list[Any]] = {}

    def shutdown(self) -> None:
        """Ends the threads and frees spare memory; the next step starts threads again."""
        self._spare.clear()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

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
        """Packs a convolution.

        Args:
            weights: (outputs, sum(inputs), size, size), size 1 or 3.
            bias: (outputs,).
            inputs: channels of each input array.
            slope: of the activation.
            is_bf16: 3x3 convolutions multiply bfloat16.

        Raises:
            ValueError: channels are no multiple of 16 or too many, or the size is another.
        """
        outputs, channels, size, _ = weights.shape
        if sum(inputs) != channels or any(c % GROUP for c in (*inputs, outputs)):
            raise ValueError(f"channels in multiples of {GROUP} were expected, got {tuple(inputs)} to {outputs}")
        if size not in (1, 3):
            raise ValueError(f"a convolution of 1x1 or 3x3 was expected, got {size}x{size}")
        kind = Kind.CONV1X1 if size == 1 else Kind.CONV3X3_BF16 if is_bf16 else Kind.CONV3X3
        weights = np.ascontiguousarray(weights, np.float32)
        width = 2 if kind is Kind.CONV3X3_BF16 else 4
        packed = empty_bytes(width * _POINTS[kind] * channels * outputs)
        if self._library.cvsr_net_pack(weights.ctypes.data, channels, outputs, kind, packed.ctypes.data):
            raise ValueError(f"at most {MAX_CHANNELS} channels were expected, got {channels}")
        return Layer(packed, np.ascontiguousarray(bias, np.float32), tuple(inputs), kind, slope)

    # -------------------------------------------------------------------------------------------------------- running

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
        native_steps = (StepParams * count)(*(StepParams(s.kind, ctypes.addressof(s.params)) for s in steps))
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

    # ---------------------------------------------------------------------------------------------------------- steps

    def conv(
        self,
        layer: Layer,
        inputs: Sequence[Array | None],
        output: Array,
        *,
        residual: Array | None = None,
        cells: Array | None = None,
    ) -> None:
        """Computes ``output = residual + act(conv(inputs) + bias + cells)``; an input of None is zero and costs nothing.

        ``cells`` (ceil(H / 4), ceil(W / 4), outputs) holds one value per 4x4 pixels. The residual may be the output.
        """
        height, width, outputs = output.shape
        params = ConvParams(
            weights=_address(layer.packed),
            bias=_address(layer.bias),
            cells=_address(cells),
            residual=_address(residual),
            output=_address(output),
            output_channels=outputs,
            height=height,
            width=width,
            slope=layer.slope,
        )
        for k, (array, channels) in enumerate(zip(inputs, layer.inputs, strict=True)):
            assert array is None or (array.shape == (height, width, channels) and array.flags.c_contiguous)
            params.inputs[k], params.input_channels[k] = _address(array), channels
        scratch = int(self._library.cvsr_net_scratch_bytes(sum(layer.inputs), outputs))
        self._add(Step(layer.kind, params, -(-height // TILE), (layer, *inputs, output, residual, cells), scratch))

    def weight_gradient(self, features: Array, gradient: Array, points: Array) -> None:
        """Adds a picture's contribution to the gradient of the weights of a 3x3 convolution; on this thread.

        Args:
            features: the convolution's input, (H, W, inputs), without gaps as all arrays here.
            gradient: of its output, (H, W, outputs).
            points: (36, outputs, inputs), the gradient in the points of Winograd's F(4x4, 3x3); added to.
        """
        height, width, inputs = features.shape
        outputs = gradient.shape[2]
        params = WeightGradientParams(
            _address(features), _address(gradient), _address(points), inputs, outputs, height, width
        )
        scratch = self._scratch_for(int(self._library.cvsr_net_gradient_scratch_bytes(inputs, outputs)), 1)
        self._library.cvsr_net_weight_gradient(ctypes.addressof(params), scratch[0])

    def load(self, rgb: npt.NDArray[np.uint8]) -> Picture:
        """Returns a frame (H, W, 3) as a picture; not inside :meth:`batch_steps`, as later steps read it anywhere."""
        assert self._batch is None
        rgb = np.ascontiguousarray(rgb)
        picture = Picture(self.alloc(4), self._alloc((self.height + 4, -(-self.width // 16) * 16 + 4), np.float32))
        self._add(self._step(Kind.LOAD, LoadParams(_address(rgb), picture.params), rgb, picture))
        return picture

    def warp(self, features: Array, flow: Array, output: Array, *, plus: Array | None = None) -> None:
        """Samples features (H, W, C) at every pixel plus its flow (H, W, 2) bilinearly, and adds ``plus``."""
        arrays = features, flow, plus, output
        params = WarpParams(*map(_address, arrays), channels=features.shape[2])
        self._add(self._step(Kind.WARP, params, *arrays))

    def flow_input(self, here: Picture, there: Picture, field: Array, flow: Array, output: Array | None) -> None:
        """Interpolates a field on cells (2, h, w) to a flow (H, W, 2), and writes the flow head's input (H, W, 16), if any."""
        field = np.ascontiguousarray(field, np.float32)
        params = FlowInputParams(here.params, there.params, _address(field), _address(flow), _address(output))
        self._add(self._step(Kind.FLOW_INPUT, params, here, there, field, flow, output))

    def flow_output(self, head: Array, flow: Array) -> None:
        """Adds the head's first two channels to the flow (H, W, 2)."""
        self._add(self._step(Kind.FLOW_OUTPUT, FlowOutputParams(_address(head), _address(flow)), head, flow))

    def gather(self, here: Picture, others: Sequence[tuple[Picture, Array] | None], gain: float, output: Array) -> None:
        """Gathers a frame and its four neighbours, along the flows to them, into (H, W, 48); None for a missing one."""
        params = GatherParams(here=here.params, output=_address(output), gain=gain)
        for k, other in enumerate(others):
            if other is not None:
                params.others[k], params.flows[k] = other[0].params, _address(other[1])
        self._add(self._step(Kind.GATHER, params, here, others, output))

    def to_bf16(self, features: Array, output: Bf16Array) -> None:
        """Rounds features (H, W, C) to bfloat16."""
        self._add(self._step(Kind.TO_BF16, self._convert_params(features, output), features, output))

    def from_bf16(self, features: Bf16Array, output: Array) -> None:
        """Converts bfloat16 features (H, W, C) to float32."""
        self._add(self._step(Kind.FROM_BF16, self._convert_params(features, output), features, output))

    @staticmethod
    def _convert_params(source: npt.NDArray[Any], output: npt.NDArray[Any]) -> ConvertParams:
        assert source.shape == output.shape and source.shape[2] % GROUP == 0
        return ConvertParams(_address(source), _address(output), channels=source.shape[2])

    def finish(self, frame: Picture, residual: Array, output: npt.NDArray[np.uint8] | Array) -> None:
        """Writes the picture (4H, 4W, 3): the enlarged frame plus ``residual`` (H, W, 48), as clamped bytes or as floats."""
        params = FinishParams(frame.params, _address(residual))
        if output.dtype == np.uint8:
            params.bytes = _address(output)
        else:
            params.values = _address(output)
        self._add(self._step(Kind.FINISH, params, frame, residual, output))

    def _step(self, kind: Kind, params: Any, *arrays: object) -> Step:
        """Returns a step over the whole frame."""
        params.height, params.width = self.height, self.width
        return Step(kind, params, -(-self.height // TILE), arrays)


def _address(array: npt.NDArray[Any] | None) -> int | None:
    return None if array is None else array.ctypes.data
