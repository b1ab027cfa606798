"""Side data that FFmpeg's decoders export with a picture: motion vectors, captions, display matrix and others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.sidedata import sidedata

from codecvsr.bitstream.frame import NO_VECTORS, VECTOR_DTYPE

_BLOCK_DTYPE = np.dtype([(name, np.int32) for name in ("src_x", "src_y", "w", "h", "delta_qp")])  # AVVideoBlockParams

#: Types of libavutil 60 (``enum AVFrameSideDataType``) that PyAV has no names for.
_NEWER_TYPES = {28: "LCEVC", 29: "VIEW_ID", 30: "REFERENCE_DISPLAYS_3D", 31: "EXIF"}
#: Names of types that nothing here knows begin with this.
UNKNOWN = "TYPE_"


def side_data(picture: av.VideoFrame) -> Mapping[str, Any]:
    """Returns what the decoder exported with a picture, by the name of its type without ``AV_FRAME_DATA_``.

    ``picture.side_data`` is the same, but it and the picture then refer to each other, and thousands of pictures stay in
    memory until Python's garbage collector finds such circles.
    """
    return {item.type.name: item for item in _exported(picture)}


def user_data(picture: av.VideoFrame) -> list[bytes]:
    """Returns the SEI messages of unregistered user data of a picture, each a UUID of 16 bytes and its data."""
    return [bytes(item) for item in _exported(picture) if item.type.name == "SEI_UNREGISTERED"]


def _exported(picture: av.VideoFrame) -> sidedata.SideDataContainer:
    return sidedata.SideDataContainer(picture)  # type: ignore[call-arg]  # its stub has no constructor


def _unnamed_type(cls: type[sidedata.Type], value: object) -> sidedata.Type | None:
    """Returns a member for a number that PyAV has no name for (``Enum._missing_``)."""
    if not isinstance(value, int):
        return None
    member = object.__new__(cls)
    vars(member).update(_name_=_NEWER_TYPES.get(value, f"{UNKNOWN}{value}"), _value_=value)
    return member


# PyAV refuses all side data of a picture if the type of one is not in its enumeration: one EXIF block would hide the rotation.
sidedata.Type._missing_ = classmethod(_unnamed_type)  # type: ignore[method-assign, assignment]


def vectors_of(picture: av.VideoFrame) -> npt.NDArray[np.void]:
    """Returns the exported motion vectors of a picture as an array of ``VECTOR_DTYPE``."""
    exported: Any = side_data(picture).get("MOTION_VECTORS")
    if exported is None:
        return NO_VECTORS
    table = exported.to_ndarray()
    vectors = np.empty(len(table), VECTOR_DTYPE)
    for name in VECTOR_DTYPE.names or ():
        vectors[name] = table[name]
    return vectors


def qp_of(picture: av.VideoFrame) -> npt.NDArray[np.int8] | None:
    """Returns the exported quantiser of each macroblock, (ceil(H/16), ceil(W/16)); None where there is none."""
    exported: Any = side_data(picture).get("VIDEO_ENC_PARAMS")
    if exported is None:
        return None
    blocks = np.frombuffer(exported, _BLOCK_DTYPE, exported.nb_blocks, exported.blocks_offset)
    rows, columns = blocks["src_y"] // 16, blocks["src_x"] // 16
    qp = np.zeros((-(-picture.height // 16), -(-picture.width // 16)), np.int8)
    # the coded picture may be larger: PyAV's qp_map refuses it, and so streams whose rows come in pairs for fields
    shown = (rows < qp.shape[0]) & (columns < qp.shape[1])
    qp[rows[shown], columns[shown]] = np.clip(exported.qp + blocks["delta_qp"][shown], -128, 127)
    return qp
