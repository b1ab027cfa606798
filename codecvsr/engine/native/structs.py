"""What the network library is told (``native/include/cvsr_net.h``): its records, and the steps that are made of them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Halves = npt.NDArray[np.uint16]  #: bfloat16, which numpy does not know

GROUP = 16  #: CVSR_GROUP: channels of convolutions come in multiples of this
TILE = 4  #: CVSR_TILE
NEIGHBOURS = 4
MAX_INPUTS = 4  #: CVSR_MOST_INPUTS: of a convolution
MAX_CHANNELS = 1024  #: CVSR_MOST_CHANNELS: of all inputs of a convolution


class Kind(IntEnum):
    """Of a step: ``CVSR_CONV3X3`` and the others."""

    CONV3X3 = 0
    CONV3X3_BF16 = 1
    CONV1X1 = 2
    LOAD = 3
    WARP = 4
    FLOW_INPUT = 5
    FLOW_OUTPUT = 6
    LOOK = 7
    HALVE = 8
    WIDEN = 9
    FINISH = 10


class ConvRecord(ctypes.Structure):
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


class PictureRecord(ctypes.Structure):
    """``cvsr_picture``."""

    _fields_ = [("colours", ctypes.c_void_p), ("luma", ctypes.c_void_p)]


class LoadRecord(ctypes.Structure):
    """``cvsr_load``."""

    _fields_ = [
        ("rgb", ctypes.c_void_p),
        ("picture", PictureRecord),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class WarpRecord(ctypes.Structure):
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


class FlowInputRecord(ctypes.Structure):
    """``cvsr_flow_input``."""

    _fields_ = [
        ("here", PictureRecord),
        ("there", PictureRecord),
        ("field", ctypes.c_void_p),
        ("flow", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class FlowOutputRecord(ctypes.Structure):
    """``cvsr_flow_output``."""

    _fields_ = [
        ("head", ctypes.c_void_p),
        ("flow", ctypes.c_void_p),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class LookRecord(ctypes.Structure):
    """``cvsr_look``."""

    _fields_ = [
        ("here", PictureRecord),
        ("others", PictureRecord * NEIGHBOURS),
        ("flows", ctypes.c_void_p * NEIGHBOURS),
        ("output", ctypes.c_void_p),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("gain", ctypes.c_float),
    ]


class ChangeRecord(ctypes.Structure):
    """``cvsr_change``."""

    _fields_ = [
        ("from", ctypes.c_void_p),
        ("to", ctypes.c_void_p),
        ("channels", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class FinishRecord(ctypes.Structure):
    """``cvsr_finish``."""

    _fields_ = [
        ("frame", PictureRecord),
        ("residual", ctypes.c_void_p),
        ("bytes", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    ]


class StepRecord(ctypes.Structure):
    """``cvsr_step``."""

    _fields_ = [("kind", ctypes.c_int32), ("record", ctypes.c_void_p)]


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame as sampling wants it: red, green, blue and 0 in 0..1 (H, W, 4), and luma with a border (``cvsr_picture``)."""

    colours: Array
    luma: Array

    @property
    def record(self) -> PictureRecord:
        """For the library."""
        return PictureRecord(self.colours.ctypes.data, self.luma.ctypes.data)


@dataclass(frozen=True, eq=False)
class Step:
    """Something to be done with a frame (``cvsr_step``).

    Attributes:
        kind: what.
        record: of that kind.
        rows: of tiles.
        arrays: that must be there until it is done.
        scratch: bytes of memory it needs of its own.
    """

    kind: Kind
    record: ctypes.Structure
    rows: int
    arrays: tuple[object, ...]
    scratch: int = 0
