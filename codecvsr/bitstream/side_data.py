"""Side data that FFmpeg's decoders export with a picture: motion vectors, captions, display matrix and others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import av
from av.sidedata import sidedata

#: Types of libavutil 60 (``enum AVFrameSideDataType``) that PyAV has no names for.
_NEWER_TYPES = {28: "LCEVC", 29: "VIEW_ID", 30: "REFERENCE_DISPLAYS_3D", 31: "EXIF"}
#: Names of types that nothing here knows begin with this.
UNKNOWN = "TYPE_"


def side_data(picture: av.VideoFrame) -> Mapping[str, Any]:
    """Returns what the decoder exported with a picture, by the name of its type without ``AV_FRAME_DATA_``.

    ``picture.side_data`` is the same, but it and the picture then refer to each other, and thousands of pictures stay in
    memory until Python's garbage collector finds such circles.
    """
    exported = sidedata.SideDataContainer(picture)  # type: ignore[call-arg]  # its stub has no constructor
    return {item.type.name: item for item in exported}


def _unnamed_type(cls: type[sidedata.Type], value: object) -> sidedata.Type | None:
    """Returns a member for a number that PyAV has no name for (``Enum._missing_``)."""
    if not isinstance(value, int):
        return None
    member = object.__new__(cls)
    vars(member).update(_name_=_NEWER_TYPES.get(value, f"{UNKNOWN}{value}"), _value_=value)
    return member


# PyAV refuses all side data of a picture if the type of one is not in its enumeration: one EXIF block would hide the rotation.
sidedata.Type._missing_ = classmethod(_unnamed_type)  # type: ignore[method-assign, assignment]
