"""FFmpeg's structures of side data, and what they become: Matroska elements, MP4 boxes and SEI messages.

Matroska: RFC 9559, sections 5.1.4.1.28.3 (StereoMode), .30 (Colour) and .42 (Projection). MP4 and MOV: Google's Spherical Video V2
(st3d, sv3d), ISO/IEC 14496-12 (colr, mdcv, clli, amve).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from codecvsr.bitstream import sei
from codecvsr.video import iso_boxes, matroska
from codecvsr.video.side_data import CHROMA_STEPS, LUMINANCE_STEPS

Values = dict[str, tuple[Any, ...]]

_INVERTED = 1  # AV_STEREO3D_FLAG_INVERT: the right eye comes first
#: AVStereo3DType and flags -> StereoMode of Matroska.
_STEREO_MODES = {
    (0, 0): 0, (1, 0): 1, (1, _INVERTED): 11, (2, 0): 3, (2, _INVERTED): 2, (3, 0): 13, (3, _INVERTED): 14, (4, 0): 5,
    (4, _INVERTED): 4, (6, 0): 7, (6, _INVERTED): 6, (7, 0): 9, (7, _INVERTED): 8,
}  # fmt: skip
_STEREO_BOX = {(0, 0): 0, (2, 0): 1, (1, 0): 2}  #: the same -> st3d of MP4
_EQUIRECTANGULAR, _CUBEMAP, _TILE = 0, 1, 2  # AVSphericalProjection
_COLOUR = 0x55B0


def matroska_elements(values: Values) -> list[tuple[tuple[int, ...], bytes]]:
    """Returns Matroska elements, each with the path of its parent from that of the pictures."""
    found: list[tuple[tuple[int, ...], bytes]] = []
    if "STEREO3D" in values and (mode := _STEREO_MODES.get(values["STEREO3D"][:2])) is not None:
        found.append(((), matroska.unsigned(0x53B8, mode)))
    if "SPHERICAL" in values and values["SPHERICAL"][0] in (_EQUIRECTANGULAR, _CUBEMAP, _TILE):
        found.append(((), _projection(values["SPHERICAL"])))
    if "CONTENT_LIGHT_LEVEL" in values:
        content, average = values["CONTENT_LIGHT_LEVEL"]
        found.append(((_COLOUR,), matroska.unsigned(0x55BC, content) + matroska.unsigned(0x55BD, average)))
    if "MASTERING_DISPLAY_METADATA" in values:
        chroma, light = values["MASTERING_DISPLAY_METADATA"]
        numbers = [*zip(range(0x55D1, 0x55D9), (each / CHROMA_STEPS for each in chroma), strict=False)]
        numbers += [*zip((0x55DA, 0x55D9), (each / LUMINANCE_STEPS for each in light), strict=False)]
        found.append(((_COLOUR,), matroska.element(0x55D0, b"".join(matroska.number(i, v) for i, v in numbers))))
    return found


def mp4_boxes(values: Values) -> bytes:
    """Returns the boxes of MP4 and MOV."""
    found = b""
    if "STEREO3D" in values and (mode := _STEREO_BOX.get(values["STEREO3D"][:2])) is not None:
        found += iso_boxes.full_box(b"st3d", bytes([mode]))
    if "SPHERICAL" in values and values["SPHERICAL"][0] in (_EQUIRECTANGULAR, _CUBEMAP, _TILE):
        kind, yaw, pitch, roll, left, top, right, bottom, padding = values["SPHERICAL"]
        shape = iso_boxes.full_box(b"equi", _edges(top, bottom, left, right))
        if kind == _CUBEMAP:
            shape = iso_boxes.full_box(b"cbmp", struct.pack(">2I", 0, padding))
        head = iso_boxes.full_box(b"prhd", struct.pack(">3i", yaw, pitch, roll))
        found += iso_boxes.box(b"sv3d", iso_boxes.full_box(b"svhd", b"\0") + iso_boxes.box(b"proj", head + shape))
    if "ICC_PROFILE" in values:
        found += iso_boxes.box(b"colr", b"prof" + values["ICC_PROFILE"][0])
    boxes = {sei.MASTERING_DISPLAY: b"mdcv", sei.CONTENT_LIGHT: b"clli", sei.AMBIENT_VIEWING: b"amve"}  # same payloads
    return found + b"".join(iso_boxes.box(boxes[kind], payload) for kind, payload in sei_messages(values))


def _edges(*edges: int) -> bytes:
    return struct.pack(">4I", *(edge & 0xFFFFFFFF for edge in edges))


def _projection(values: Sequence[int]) -> bytes:
    kind, yaw, pitch, roll, left, top, right, bottom, padding = values
    private = b""
    if kind == _CUBEMAP:
        private = struct.pack(">3I", 0, 0, padding)
    elif kind == _TILE:
        private = bytes(4) + _edges(top, bottom, left, right)
    angles = zip((0x7673, 0x7674, 0x7675), (yaw, pitch, roll), strict=True)
    return matroska.element(
        0x7670,
        matroska.unsigned(0x7671, 2 if kind == _CUBEMAP else 1)
        + (matroska.element(0x7672, private) if private else b"")
        + b"".join(matroska.number(identifier, angle / 65536) for identifier, angle in angles),
    )


def sei_messages(values: Values) -> list[sei.Message]:
    """Returns the SEI messages of key pictures."""
    found = []
    if "MASTERING_DISPLAY_METADATA" in values:
        chroma, light = values["MASTERING_DISPLAY_METADATA"]
        if chroma and light:
            found.append(sei.mastering_display(chroma[:6], chroma[6:], light))
    if "CONTENT_LIGHT_LEVEL" in values:
        found.append(sei.content_light(*values["CONTENT_LIGHT_LEVEL"]))
    if "AMBIENT_VIEWING_ENVIRONMENT" in values:
        found.append(sei.ambient_viewing(*values["AMBIENT_VIEWING_ENVIRONMENT"]))
    return found
