"""The network library's functions, and which instruction sets of the processor it uses."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from codecvsr.engine.native.buffers import empty_bytes
from codecvsr.engine.native.structs import GROUP, MAX_CHANNELS, TILE, Array, Kind, Layer, Tiles

BEST_ISA = 3  #: instruction sets: 0 plain C, 1 AVX2, 2 AVX-512, 3 AVX-512 with products of bfloat16
_POINTS = {Kind.CONV3X3: 36, Kind.CONV3X3_BF16: 36, Kind.CONV1X1: 1}  # packed values per kernel


@cache
def declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Returns the library with the signatures of its functions."""
    pointer, size = ctypes.c_void_p, ctypes.c_int32
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "cvsr_net_choose": (size, [size]),
        "cvsr_net_scratch_bytes": (ctypes.c_size_t, [size] * 2),
        "cvsr_net_finish_bytes": (ctypes.c_size_t, [size] * 2),
        "cvsr_net_pack": (size, [pointer, size, size, size, pointer]),
        "cvsr_net_run": (None, [pointer, size, size, size, pointer, pointer]),
        "cvsr_net_gradient_scratch_bytes": (ctypes.c_size_t, [size] * 2),
        "cvsr_net_weight_gradient": (None, [pointer, pointer]),
        "cvsr_net_changes": (None, [pointer, pointer, size, size, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.cvsr_net_choose(BEST_ISA)
    return library


def is_worth_it(library: ctypes.CDLL) -> bool:
    """Whether the library is faster than torch on this processor: it is with AVX2 or better."""
    return int(declared(library).cvsr_net_choose(BEST_ISA)) > 0


def has_bf16(library: ctypes.CDLL) -> bool:
    """Whether the processor multiplies bfloat16, at twice the rate of float32."""
    return int(declared(library).cvsr_net_choose(BEST_ISA)) == BEST_ISA


def changed_tiles(library: ctypes.CDLL, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> Tiles:
    """Returns the tiles in which two frames (H, W, 3) differ: (ceil(H / 4), ceil(W / 4)), 1 or 0."""
    height, width, _ = before.shape
    tiles = np.empty((-(-height // TILE), -(-width // TILE)), np.uint8)
    before, after = np.ascontiguousarray(before), np.ascontiguousarray(after)
    addresses = before.ctypes.data, after.ctypes.data
    declared(library).cvsr_net_changes(*addresses, height, width, tiles.ctypes.data)
    return tiles


def pack_layer(
    library: ctypes.CDLL, weights: Array, bias: Array, inputs: Sequence[int], slope: float, *, is_bf16: bool = False
) -> Layer:
    """Packs a convolution.

    Args:
        library: the network library.
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
    if library.cvsr_net_pack(weights.ctypes.data, channels, outputs, kind, packed.ctypes.data):
        raise ValueError(f"at most {MAX_CHANNELS} channels were expected, got {channels}")
    return Layer(packed, np.ascontiguousarray(bias, np.float32), tuple(inputs), kind, slope)
