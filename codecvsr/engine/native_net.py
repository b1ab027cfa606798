"""The network library (``native/cvsr_net.h``), bound with ctypes: what ``codecvsr`` does with a frame on a CPU.

Pictures and features are (H, W, C) float32 arrays. Every function shares its rows among threads; the interpreter's lock is
released while they run, and results do not depend on how many there are.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from codecvsr.engine.pages import empty

Array = npt.NDArray[np.float32]

GROUP = 16  #: CVSR_GROUP: channels of convolutions come in multiples of this
TILE = 4  #: CVSR_TILE
LOOK_CHANNELS = 48  #: CVSR_LOOK
NEIGHBOURS = 4
MOST_CHANNELS = 1024  #: CVSR_MOST_CHANNELS: of all inputs of a convolution
WIDEST = 2  #: ways of computing: 0 plain, 1 AVX2, 2 AVX-512
_MOST_INPUTS = 4
_BANDS_PER_THREAD = 2  # so that a thread that is held up leaves its share to the others


class _Conv(ctypes.Structure):
    """``cvsr_conv``."""

    _fields_ = [
        ("inputs", ctypes.c_void_p * _MOST_INPUTS),
        ("weights", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("cells", ctypes.c_void_p),
        ("residual", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("input_channels", ctypes.c_int32 * _MOST_INPUTS),
        ("output_channels", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("slope", ctypes.c_float),
    ]


class _Picture(ctypes.Structure):
    """``cvsr_picture``."""

    _fields_ = [("colours", ctypes.c_void_p), ("luma", ctypes.c_void_p)]


class _Look(ctypes.Structure):
    """``cvsr_look``."""

    _fields_ = [
        ("here", _Picture),
        ("others", _Picture * NEIGHBOURS),
        ("flows", ctypes.c_void_p * NEIGHBOURS),
        ("output", ctypes.c_void_p),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("gain", ctypes.c_float),
    ]


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame as sampling wants it: red, green, blue and 0 in 0..1 (H, W, 4), and luma with a border (``cvsr_picture``)."""

    colours: Array
    luma: Array

    @property
    def _struct(self) -> _Picture:
        return _Picture(self.colours.ctypes.data, self.luma.ctypes.data)


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution's weights, packed, and its bias (outputs,).

    Attributes:
        packed: what ``cvsr_net_pack`` made.
        bias: of the outputs.
        inputs: channels of each input, multiples of 16.
        size: 1 or 3.
        slope: of the activation ``max(x, slope * x)``: 1 for none, 0 for ReLU.
    """

    packed: Array
    bias: Array
    inputs: tuple[int, ...]
    size: int
    slope: float


@cache
def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, size = ctypes.c_void_p, ctypes.c_int32
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "cvsr_net_choose": (size, [size]),
        "cvsr_net_scratch_bytes": (ctypes.c_size_t, [size] * 2),
        "cvsr_net_pack": (size, [pointer, size, size, size, pointer]),
        "cvsr_net_conv3x3": (None, [pointer, size, size, pointer]),
        "cvsr_net_conv1x1": (None, [pointer, size, size, pointer]),
        "cvsr_net_load": (None, [pointer] * 2 + [size] * 4),
        "cvsr_net_warp": (None, [pointer] * 4 + [size] * 5),
        "cvsr_net_flow_input": (None, [pointer] * 5 + [size] * 4),
        "cvsr_net_flow_output": (None, [pointer] * 2 + [size] * 3),
        "cvsr_net_look": (None, [pointer, size, size]),
        "cvsr_net_finish": (None, [pointer] * 4 + [size] * 4),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.cvsr_net_choose(WIDEST)
    return library


def is_worth_it(library: ctypes.CDLL) -> bool:
    """Whether the processor has instructions with which the library is faster than torch: AVX2 at least."""
    return int(_declared(library).cvsr_net_choose(WIDEST)) > 0


class NativeNet:
    """The library's functions over whole frames of one size.

    Args:
        library: what :func:`codecvsr.bitstream.native.net_library` returned.
        height: of frames, in pixels.
        width: of frames, in pixels.
        threads: that share the rows of a frame.
        way: how to compute at most, for tests: 0 plain, 1 AVX2, 2 AVX-512. It holds for the whole process.
    """

    def __init__(self, library: ctypes.CDLL, height: int, width: int, threads: int = 1, *, way: int = WIDEST) -> None:
        self._library = _declared(library)
        self.way = int(library.cvsr_net_choose(way))
        self.height, self.width, self._threads = height, width, threads
        self._pool: ThreadPoolExecutor | None = None
        self._scratch: list[Array] = []
        self._spare: dict[tuple[int, ...], list[Array]] = {}

    def rest(self) -> None:
        """End the threads and let go of spare memory until there is work again."""
        self._spare.clear()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def take(self, channels: int) -> Array:
        """Memory for features (H, W, channels), with anything in it."""
        return self._take((self.height, self.width, channels))

    def _take(self, shape: tuple[int, ...]) -> Array:
        spare = self._spare.get(shape)
        return spare.pop() if spare else empty(*shape)

    def give(self, *arrays: Array | None) -> None:
        """Take back what :meth:`take` lent, for others."""
        for array in arrays:
            if array is not None:
                self._spare.setdefault(array.shape, []).append(array)

    def layer(self, weights: Array, bias: Array, inputs: Sequence[int], slope: float) -> Layer:
        """A layer of ``weights`` (outputs, inputs, size, size), which see ``inputs`` channels of several arrays."""
        outputs, channels, size, _ = weights.shape
        if sum(inputs) != channels or any(c % GROUP for c in (*inputs, outputs)):
            raise ValueError(f"channels in multiples of {GROUP} were expected, got {tuple(inputs)} to {outputs}")
        weights = np.ascontiguousarray(weights, np.float32)
        packed = empty(channels * outputs * (36 if size == 3 else 1))
        if self._library.cvsr_net_pack(weights.ctypes.data, channels, outputs, size, packed.ctypes.data):
            raise ValueError(f"a convolution of 1x1 or 3x3 was expected, got {size}x{size}")
        return Layer(packed, np.ascontiguousarray(bias, np.float32), tuple(inputs), size, slope)

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
        told = _Conv(
            weights=layer.packed.ctypes.data,
            bias=layer.bias.ctypes.data,
            cells=None if cells is None else cells.ctypes.data,
            residual=None if residual is None else residual.ctypes.data,
            output=output.ctypes.data,
            output_channels=outputs,
            height=height,
            width=width,
            slope=layer.slope,
        )
        for k, (array, channels) in enumerate(zip(inputs, layer.inputs, strict=True)):
            assert array is None or (array.shape == (height, width, channels) and array.flags.c_contiguous)
            told.inputs[k] = None if array is None else array.ctypes.data
            told.input_channels[k] = channels
        function = self._library.cvsr_net_conv3x3 if layer.size == 3 else self._library.cvsr_net_conv1x1
        self._reserve(self._library.cvsr_net_scratch_bytes(sum(layer.inputs), outputs))
        self._share(
            -(-height // TILE), lambda a, b, k: function(ctypes.byref(told), a, b, self._scratch[k].ctypes.data)
        )

    def load(self, rgb: npt.NDArray[np.uint8]) -> Picture:
        """A frame (H, W, 3) as a picture."""
        rgb = np.ascontiguousarray(rgb)
        picture = Picture(self.take(4), self._take((self.height + 4, -(-self.width // 16) * 16 + 4)))
        struct = picture._struct
        self._over_rows(self._library.cvsr_net_load, rgb.ctypes.data, ctypes.addressof(struct), self.height, self.width)
        return picture

    def warp(self, features: Array, flow: Array, output: Array, *, plus: Array | None = None) -> None:
        """Features (H, W, C) at every pixel's place plus its flow (H, W, 2), bilinear; added to ``plus``."""
        base = None if plus is None else plus.ctypes.data
        pointers = (features.ctypes.data, flow.ctypes.data, base, output.ctypes.data)
        self._over_rows(self._library.cvsr_net_warp, *pointers, features.shape[2], self.height, self.width)

    def flow_input(self, here: Picture, there: Picture, field: Array, flow: Array, output: Array | None) -> None:
        """A field on cells (2, h, w) as a flow (H, W, 2), and what the flow's head, if any, sees of it (H, W, 16)."""
        field = np.ascontiguousarray(field, np.float32)
        structs, seen = (here._struct, there._struct), None if output is None else output.ctypes.data
        pointers = (*map(ctypes.addressof, structs), field.ctypes.data, flow.ctypes.data, seen)
        self._over_rows(self._library.cvsr_net_flow_input, *pointers, self.height, self.width)

    def flow_output(self, head: Array, flow: Array) -> None:
        """Add the head's first two channels to the flow."""
        self._over_rows(self._library.cvsr_net_flow_output, head.ctypes.data, flow.ctypes.data, self.width)

    def look(self, here: Picture, others: Sequence[tuple[Picture, Array] | None], gain: float, output: Array) -> None:
        """What four neighbours, along the flows to them, add to a frame (H, W, 48); None for one that is not there."""
        told = _Look(here=here._struct, output=output.ctypes.data, height=self.height, width=self.width, gain=gain)
        for k, other in enumerate(others):
            if other is not None:
                told.others[k], told.flows[k] = other[0]._struct, other[1].ctypes.data
        self._over_rows(self._library.cvsr_net_look, ctypes.addressof(told))

    def finish(self, frame: Picture, residual: Array, output: npt.NDArray[np.uint8] | Array) -> None:
        """The picture (4H, 4W, 3): ``residual`` (H, W, 48) added to the frame, enlarged; clamped bytes, or plain floats."""
        struct = frame._struct
        targets = (output.ctypes.data, None) if output.dtype == np.uint8 else (None, output.ctypes.data)
        pointers = (ctypes.addressof(struct), residual.ctypes.data, *targets)
        self._over_rows(self._library.cvsr_net_finish, *pointers, self.height, self.width)

    def _reserve(self, size: int) -> None:
        if not self._scratch or self._scratch[0].nbytes < size:
            self._scratch = [empty(size // 4) for _ in range(self._threads)]

    def _over_rows(self, function: Callable[..., None], *arguments: object) -> None:
        self._share(self.height, lambda a, b, _: function(*arguments, a, b))

    def _share(self, rows: int, work: Callable[[int, int, int], None]) -> None:
        """Have ``work(first, last, thread)`` done for all rows."""
        if self._threads == 1:
            work(0, rows, 0)
            return
        self._pool = self._pool or ThreadPoolExecutor(self._threads - 1)
        count = min(rows, self._threads * _BANDS_PER_THREAD)
        bands = list(itertools.pairwise(rows * k // count for k in range(count + 1)))
        bands.reverse()

        def run(thread: int) -> None:
            while bands:
                try:
                    first, last = bands.pop()
                except IndexError:  # another thread was faster
                    return
                work(first, last, thread)

        others = [self._pool.submit(run, k) for k in range(1, self._threads)]
        run(0)
        for other in others:
            other.result()
