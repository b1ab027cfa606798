"""The structures of ``native/include/cvsr_net.h`` in ctypes, and steps made of them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.constants import SCALE

Array = npt.NDArray[np.float32]
Bf16Array = npt.NDArray[np.uint16]  #: bfloat16, a type that numpy lacks
Tiles = npt.NDArray[np.uint8]  #: (rows, columns) of tiles, 0 for one that is left out

GROUP = 16  #: CVSR_GROUP: channels of convolutions are multiples of this
TILE = 4  #: CVSR_TILE
NEIGHBOURS = 4
MAX_INPUTS = 4  #: CVSR_MAX_INPUTS: of a convolution
MAX_CHANNELS = 1024  #: CVSR_MAX_CHANNELS: of all inputs of a convolution


def address(array: npt.NDArray[Any] | None) -> int | None:
    """Returns where an array begins; None for no array."""
    return None if array is None else array.ctypes.data


def pixels_around(scale: int) -> int:
    """Returns the pixels of a residual around a tile that its part of a picture of this scale depends on."""
    return {SCALE: 0, 1: 2}.get(scale, 1)


class Kind(IntEnum):
    """The kind of a step: ``CVSR_CONV3X3`` and the others."""

    CONV3X3 = 0
    CONV3X3_BF16 = 1
    CONV1X1 = 2
    LOAD = 3
    WARP = 4
    FLOW_INPUT = 5
    FLOW_OUTPUT = 6
    GATHER = 7
    TO_BF16 = 8
    FROM_BF16 = 9
    FINISH = 10
    COPY = 11


class ConvParams(ctypes.Structure):
    """``cvsr_conv``."""

    _fields_ = [
        ("inputs", ctypes.c_void_p * MAX_INPUTS),
        ("weights", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("cells", ctypes.c_void_p),
        ("residual", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("input_channels", ctypes.c_int32 * MAX_INPUTS),
        ("output_channels", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("slope", ctypes.c_float),
    ]


class PictureParams(ctypes.Structure):
    """``cvsr_picture``."""

    _fields_ = [("colours", ctypes.c_void_p), ("luma", ctypes.c_void_p)]


class LoadParams(ctypes.Structure):
    """``cvsr_load``."""

    _fields_ = [
        ("rgb", ctypes.c_void_p),
        ("picture", PictureParams),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class WarpParams(ctypes.Structure):
    """``cvsr_warp``."""

    _fields_ = [
        ("features", ctypes.c_void_p),
        ("flow", ctypes.c_void_p),
        ("plus", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("channels", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class FlowInputParams(ctypes.Structure):
    """``cvsr_flow_input``."""

    _fields_ = [
        ("here", PictureParams),
        ("there", PictureParams),
        ("field", ctypes.c_void_p),
        ("flow", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class FlowOutputParams(ctypes.Structure):
    """``cvsr_flow_output``."""

    _fields_ = [
        ("head", ctypes.c_void_p),
        ("flow", ctypes.c_void_p),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class GatherParams(ctypes.Structure):
    """``cvsr_gather``."""

    _fields_ = [
        ("here", PictureParams),
        ("others", PictureParams * NEIGHBOURS),
        ("flows", ctypes.c_void_p * NEIGHBOURS),
        ("output", ctypes.c_void_p),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("gain", ctypes.c_float),
    ]


class ConvertParams(ctypes.Structure):
    """``cvsr_convert``."""

    _fields_ = [
        ("from", ctypes.c_void_p),
        ("to", ctypes.c_void_p),
        ("channels", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class FinishParams(ctypes.Structure):
    """``cvsr_finish``."""

    _fields_ = [
        ("frame", PictureParams),
        ("residual", ctypes.c_void_p),
        ("bytes", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("scale", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class WeightGradientParams(ctypes.Structure):
    """``cvsr_weight_gradient``."""

    _fields_ = [
        ("input", ctypes.c_void_p),
        ("gradient", ctypes.c_void_p),
        ("points", ctypes.c_void_p),
        ("input_channels", ctypes.c_int32),
        ("output_channels", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class CopyParams(ctypes.Structure):
    """``cvsr_copy``."""

    _fields_ = [
        ("from", ctypes.c_void_p),
        ("to", ctypes.c_void_p),
        ("pixel_bytes", ctypes.c_int32),
        ("scale", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class StepParams(ctypes.Structure):
    """``cvsr_step``."""

    _fields_ = [
        ("kind", ctypes.c_int32),
        ("columns", ctypes.c_int32),
        ("params", ctypes.c_void_p),
        ("tiles", ctypes.c_void_p),
    ]


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame for sampling (``cvsr_picture``): red, green, blue and 0 in 0..1 (H, W, 4), and luma with a border."""

    colours: Array
    luma: Array

    @property
    def params(self) -> PictureParams:
        """The ``cvsr_picture``."""
        return PictureParams(self.colours.ctypes.data, self.luma.ctypes.data)


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution: packed weights, bias and activation.

    Attributes:
        packed: weights as ``cvsr_net_pack`` wrote them.
        bias: (outputs,).
        inputs: channels of each input, multiples of 16.
        kind: the kind of convolution.
        slope: of the activation ``max(x, slope * x)``: 1 for none, 0 for ReLU.
    """

    packed: npt.NDArray[Any]
    bias: Array
    inputs: tuple[int, ...]
    kind: Kind
    slope: float


@dataclass(frozen=True, eq=False)
class Step:
    """A step of the work on a frame (``cvsr_step``).

    Attributes:
        kind: what to compute.
        params: the structure of that kind.
        rows: number of rows of tiles.
        arrays: objects to keep alive until the step has run.
        scratch: bytes of scratch memory it needs.
        tiles: those to compute; None for all.
    """

    kind: Kind
    params: ctypes.Structure
    rows: int
    arrays: tuple[object, ...]
    scratch: int = 0
    tiles: Tiles | None = None

    @property
    def native(self) -> StepParams:
        """The ``cvsr_step``."""
        tiles = self.tiles
        if tiles is None:
            return StepParams(self.kind, 0, ctypes.addressof(self.params), None)
        assert tiles.shape[0] == self.rows and tiles.flags.c_contiguous and tiles.dtype == np.uint8
        return StepParams(self.kind, tiles.shape[1], ctypes.addressof(self.params), tiles.ctypes.data)
