"""The network library (``native/include/cvsr_net.h``), bound with ctypes: what ``codecvsr`` does with a frame on a CPU.

Pictures and features are (H, W, C) float32 arrays. What is done with a frame is shared among threads row by row; the
interpreter's lock is released meanwhile, and results do not depend on how many there are.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    ChangeRecord,
    ConvRecord,
    FinishRecord,
    FlowInputRecord,
    FlowOutputRecord,
    Halves,
    Kind,
    LoadRecord,
    LookRecord,
    Picture,
    Step,
    StepRecord,
    WarpRecord,
)

WIDEST = 3  #: ways of computing: 0 plain, 1 AVX2, 2 AVX-512, 3 that with products of bfloat16
_POINTS = {Kind.CONV3X3: 36, Kind.CONV3X3_BF16: 36, Kind.CONV1X1: 1}  # values packed for every kernel


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution's weights, packed, and its bias (outputs,).

    Attributes:
        packed: what ``cvsr_net_pack`` made.
        bias: of the outputs.
        inputs: channels of each input, multiples of 16.
        kind: of convolution.
        slope: of the activation ``max(x, slope * x)``: 1 for none, 0 for ReLU.
    """

    packed: npt.NDArray[Any]
    bias: Array
    inputs: tuple[int, ...]
    kind: Kind
    slope: float


@cache
def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, size = ctypes.c_void_p, ctypes.c_int32
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "cvsr_net_choose": (size, [size]),
        "cvsr_net_scratch_bytes": (ctypes.c_size_t, [size] * 2),
        "cvsr_net_pack": (size, [pointer, size, size, size, pointer]),
        "cvsr_net_run": (None, [pointer, size, size, size, pointer, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.cvsr_net_choose(WIDEST)
    return library


def is_worth_it(library: ctypes.CDLL) -> bool:
    """Whether the processor has instructions with which the library is faster than torch: AVX2 at least."""
    return int(_declared(library).cvsr_net_choose(WIDEST)) > 0


def has_bf16(library: ctypes.CDLL) -> bool:
    """Whether the processor multiplies bfloat16, twice as many in the same time."""
    return int(_declared(library).cvsr_net_choose(WIDEST)) == WIDEST


class NativeNet:
    """What the library does with frames of one size, at once or :meth:`together`.

    Args:
        library: what :func:`codecvsr.native_libraries.net_library` returned.
        height: of frames, in pixels.
        width: of frames, in pixels.
        threads: that share the rows of a frame.
        way: how to compute at most, for tests: see :data:`WIDEST`. It holds for the whole process.
    """

    def __init__(self, library: ctypes.CDLL, height: int, width: int, threads: int = 1, *, way: int = WIDEST) -> None:
        self._library = _declared(library)
        self.way = int(library.cvsr_net_choose(way))
        self.height, self.width, self._threads = height, width, threads
        self._pool: ThreadPoolExecutor | None = None
        self._scratch: list[Array] = []
        self._together: list[Step] | None = None
        self._spare: dict[tuple[type, tuple[int, ...]], list[Any]] = {}

    def rest(self) -> None:
        """End the threads and let go of spare memory until there is work again."""
        self._spare.clear()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def take(self, channels: int) -> Array:
        """Memory for features (H, W, channels), with anything in it."""
        return self._take((self.height, self.width, channels), np.float32)

    def take_halves(self, channels: int) -> Halves:
        """Memory for features in bfloat16 (H, W, channels), with anything in it."""
        return self._take((self.height, self.width, channels), np.uint16)

    def _take(self, shape: tuple[int, ...], dtype: type[np.generic]) -> npt.NDArray[Any]:
        if spare := self._spare.get((dtype, shape)):
            return spare.pop()
        return empty_bytes(math.prod(shape) * np.dtype(dtype).itemsize).view(dtype).reshape(shape)

    def give(self, *arrays: npt.NDArray[Any] | None) -> None:
        """Take back what :meth:`take` and :meth:`take_halves` lent, for others."""
        for array in arrays:
            if array is not None:
                self._spare.setdefault((array.dtype.type, array.shape), []).append(array)

    def layer(
        self, weights: Array, bias: Array, inputs: Sequence[int], slope: float, *, is_half: bool = False
    ) -> Layer:
        """A layer of ``weights`` (outputs, inputs, size, size), which see ``inputs`` channels of several arrays.

        With ``is_half``, convolutions of 3x3 multiply in bfloat16.
        """
        outputs, channels, size, _ = weights.shape
        if sum(inputs) != channels or any(c % GROUP for c in (*inputs, outputs)):
            raise ValueError(f"channels in multiples of {GROUP} were expected, got {tuple(inputs)} to {outputs}")
        if size not in (1, 3):
            raise ValueError(f"a convolution of 1x1 or 3x3 was expected, got {size}x{size}")
        kind = Kind.CONV1X1 if size == 1 else Kind.CONV3X3_BF16 if is_half else Kind.CONV3X3
        weights = np.ascontiguousarray(weights, np.float32)
        width = 2 if kind is Kind.CONV3X3_BF16 else 4
        packed = empty_bytes(width * _POINTS[kind] * channels * outputs)
        if self._library.cvsr_net_pack(weights.ctypes.data, channels, outputs, kind, packed.ctypes.data):
            raise ValueError(f"at most {MAX_CHANNELS} channels were expected, got {channels}")
        return Layer(packed, np.ascontiguousarray(bias, np.float32), tuple(inputs), kind, slope)

    # -------------------------------------------------------------------------------------------------------- running

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is asked for inside is done at the end, row by row: while a row of one step is in the cache, the next follows.

        Only what is near a pixel may depend on what is asked for inside. Features to warp, neighbours' pictures and frames to
        finish must be there before. Memory that is given back inside may be taken again inside.
        """
        assert self._together is None
        self._together = []
        try:
            yield
            steps = self._together
        finally:
            self._together = None
        self.run(steps)

    def _do(self, step: Step) -> None:
        if self._together is None:
            self.run([step])
        else:
            self._together.append(step)

    def run(self, steps: Sequence[Step]) -> None:
        """Do steps with a frame, all of as many rows, by all threads."""
        if not steps:
            return
        count, rows = len(steps), steps[0].rows
        assert all(step.rows == rows for step in steps)
        told = (StepRecord * count)(*(StepRecord(step.kind, ctypes.addressof(step.record)) for step in steps))
        threads = min(self._threads, rows)
        scratch, call = self._reserved(max(step.scratch for step in steps), threads), self._library.cvsr_net_run
        if threads == 1:
            call(told, count, rows, 1, None, scratch[0])
            return
        progress = np.zeros(1 + count * rows, np.int32)
        self._pool = self._pool or ThreadPoolExecutor(self._threads - 1)
        shared = told, count, rows, threads, progress.ctypes.data
        others = [self._pool.submit(call, *shared, own) for own in scratch[1:]]
        call(*shared, scratch[0])
        for other in others:
            other.result()

    def _reserved(self, size: int, threads: int) -> list[int]:
        """Addresses of scratch memory of at least ``size`` bytes for so many threads."""
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
        """``output = residual + act(conv(inputs) + bias + cells)``; an input that is None is zero and costs nothing.

        ``cells`` (ceil(H / 4), ceil(W / 4), outputs) holds one value for 4x4 pixels. The residual may be the output.
        """
        height, width, outputs = output.shape
        told = ConvRecord(
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
            told.inputs[k], told.input_channels[k] = _address(array), channels
        scratch = int(self._library.cvsr_net_scratch_bytes(sum(layer.inputs), outputs))
        self._do(Step(layer.kind, told, -(-height // TILE), (layer, *inputs, output, residual, cells), scratch))

    def load(self, rgb: npt.NDArray[np.uint8]) -> Picture:
        """A frame (H, W, 3) as a picture; not :meth:`together` with others, which read it anywhere."""
        assert self._together is None
        rgb = np.ascontiguousarray(rgb)
        picture = Picture(self.take(4), self._take((self.height + 4, -(-self.width // 16) * 16 + 4), np.float32))
        self._do(self._step(Kind.LOAD, LoadRecord(_address(rgb), picture.record), rgb, picture))
        return picture

    def warp(self, features: Array, flow: Array, output: Array, *, plus: Array | None = None) -> None:
        """Features (H, W, C) at every pixel's place plus its flow (H, W, 2), bilinear; added to ``plus``."""
        arrays = features, flow, plus, output
        told = WarpRecord(*map(_address, arrays), channels=features.shape[2])
        self._do(self._step(Kind.WARP, told, *arrays))

    def flow_input(self, here: Picture, there: Picture, field: Array, flow: Array, output: Array | None) -> None:
        """A field on cells (2, h, w) as a flow (H, W, 2), and what the flow's head, if any, sees of it (H, W, 16)."""
        field = np.ascontiguousarray(field, np.float32)
        told = FlowInputRecord(here.record, there.record, _address(field), _address(flow), _address(output))
        self._do(self._step(Kind.FLOW_INPUT, told, here, there, field, flow, output))

    def flow_output(self, head: Array, flow: Array) -> None:
        """Add the head's first two channels to the flow."""
        self._do(self._step(Kind.FLOW_OUTPUT, FlowOutputRecord(_address(head), _address(flow)), head, flow))

    def look(self, here: Picture, others: Sequence[tuple[Picture, Array] | None], gain: float, output: Array) -> None:
        """What four neighbours, along the flows to them, add to a frame (H, W, 48); None for one that is not there."""
        told = LookRecord(here=here.record, output=_address(output), gain=gain)
        for k, other in enumerate(others):
            if other is not None:
                told.others[k], told.flows[k] = other[0].record, _address(other[1])
        self._do(self._step(Kind.LOOK, told, here, others, output))

    def halve(self, features: Array, output: Halves) -> None:
        """Features (H, W, C) rounded to bfloat16."""
        self._do(self._step(Kind.HALVE, self._change(features, output), features, output))

    def widen(self, halves: Halves, output: Array) -> None:
        """The opposite of :meth:`halve`."""
        self._do(self._step(Kind.WIDEN, self._change(halves, output), halves, output))

    @staticmethod
    def _change(given: npt.NDArray[Any], made: npt.NDArray[Any]) -> ChangeRecord:
        assert given.shape == made.shape and given.shape[2] % GROUP == 0
        return ChangeRecord(_address(given), _address(made), channels=given.shape[2])

    def finish(self, frame: Picture, residual: Array, output: npt.NDArray[np.uint8] | Array) -> None:
        """The picture (4H, 4W, 3): ``residual`` (H, W, 48) added to the frame, enlarged; clamped bytes, or plain floats."""
        told = FinishRecord(frame.record, _address(residual))
        if output.dtype == np.uint8:
            told.bytes = _address(output)
        else:
            told.values = _address(output)
        self._do(self._step(Kind.FINISH, told, frame, residual, output))

    def _step(self, kind: Kind, told: Any, *arrays: object) -> Step:
        """A step over the whole frame."""
        told.height, told.width = self.height, self.width
        return Step(kind, told, -(-self.height // TILE), arrays)


def _address(array: npt.NDArray[Any] | None) -> int | None:
    return None if array is None else array.ctypes.data
