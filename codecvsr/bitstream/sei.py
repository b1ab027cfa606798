"""Supplemental enhancement information (SEI) for H.264 and HEVC pictures, as NAL units with start codes.

Message syntax: ITU-T H.264 clause 7.3.2.3.1 and H.265 clause 7.3.5; payloads: H.264 annex D and H.265 annex D, which give the
same numbers to those used here; captions and active format: ATSC A/53 part 4, clause 6.2.3.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Literal

Codec = Literal["h264", "hevc"]
#: Payload type and payload.
Message = tuple[int, bytes]

_REGISTERED, _UNREGISTERED = 4, 5  # user_data_registered_itu_t_t35, user_data_unregistered
MASTERING_DISPLAY, CONTENT_LIGHT, AMBIENT_VIEWING = 137, 144, 148  #: payload types
_ATSC = b"\xb5\x00\x31"  # United States, provider code of ATSC
#: UUIDs of the settings that x264 and x265 write into their own streams: they describe the old encoding alone.
_OF_ENCODERS = (
    bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef"),
    bytes.fromhex("2ca2de09b51747dbbb55a4fe7fc2fc4e"),
)
_MAX_CAPTIONS = 31  # cc_count has five bits
_START_CODE = re.compile(rb"\x00?\x00\x00\x01")
_EMULATION = re.compile(rb"\x00\x00(?=[\x00-\x03])")


def captions(cc_data: bytes) -> list[Message]:
    """Returns EIA-608/708 captions: triplets of a header byte and two bytes of data, as FFmpeg's ``A53_CC`` has them."""
    triplets = [cc_data[at : at + 3] for at in range(0, len(cc_data) - 2, 3)]
    return [
        (_REGISTERED, _ATSC + b"GA94\x03" + bytes([0xC0 | len(part), 0xFF]) + b"".join(part) + b"\xff")
        for part in (triplets[at : at + _MAX_CAPTIONS] for at in range(0, len(triplets), _MAX_CAPTIONS))
    ]


def pack_user_data(payloads: Sequence[bytes]) -> bytes:
    """Returns the unregistered user data of a picture as one string, each payload after its length.

    The settings of x264 and x265 are left out.
    """
    others = [payload for payload in payloads if payload[:16] not in _OF_ENCODERS]
    return b"".join(struct.pack("<I", len(payload)) + payload for payload in others)


def unregistered(packed: bytes) -> list[Message]:
    """Returns the messages of what :func:`pack_user_data` has packed (telemetry of cameras and drones, MISB time stamps)."""
    messages, at = [], 0
    while at < len(packed):
        (length,) = struct.unpack_from("<I", packed, at)
        messages.append((_UNREGISTERED, packed[at + 4 : at + 4 + length]))
        at += 4 + length
    return messages


def active_format(code: int) -> Message:
    """Returns the active format description, a number of four bits."""
    return _REGISTERED, _ATSC + b"DTG1" + bytes([0x41, 0xF0 | code & 15])


def mastering_display(primaries: Sequence[int], white: Sequence[int], luminance: Sequence[int]) -> Message:
    """Returns the colour volume of the mastering display (SMPTE ST 2086).

    Args:
        primaries: x and y of red, green and blue, in units of 0.00002.
        white: x and y of the white point, in the same units.
        luminance: the least and the greatest, in units of 0.0001 candela per square metre.
    """
    red, green, blue = primaries[:2], primaries[2:4], primaries[4:6]
    return MASTERING_DISPLAY, struct.pack(">8H2I", *green, *blue, *red, *white, luminance[1], luminance[0])


def content_light(max_content: int, max_average: int) -> Message:
    """Returns the greatest light level of a pixel and of the mean of a picture, in candela per square metre (CTA-861)."""
    return CONTENT_LIGHT, struct.pack(">2H", max_content, max_average)


def ambient_viewing(illuminance: int, x: int, y: int) -> Message:
    """Returns the light that a video was graded for: in units of 0.0001 lux, and its x and y in units of 0.00002."""
    return AMBIENT_VIEWING, struct.pack(">I2H", illuminance, x, y)


def insert(packet: bytes, codec: Codec, messages: Sequence[Message]) -> bytes:
    """Returns a coded picture with messages before its first slice.

    Args:
        packet: NAL units with start codes.
        codec: of the packet.
        messages: payload types and payloads.

    Raises:
        ValueError: the packet has no slice.
    """
    for start in _START_CODE.finditer(packet):
        header = packet[start.end() : start.end() + 2]
        if len(header) == 2 and _is_slice(header, codec):
            units = b"".join(_unit(message, codec, header) for message in messages)
            return packet[: start.start()] + units + packet[start.start() :]
    raise ValueError("a coded picture with a slice after a start code was expected")


def _is_slice(header: bytes, codec: Codec) -> bool:
    if codec == "h264":
        return 1 <= header[0] & 31 <= 5  # H.264 table 7-1
    return header[0] >> 1 & 63 < 32  # H.265 table 7-1


def _unit(message: Message, codec: Codec, slice_header: bytes) -> bytes:
    """Returns an SEI NAL unit; in HEVC it has the temporal layer of the picture."""
    kind, payload = message
    coded = b"\xff" * (kind // 255) + bytes([kind % 255])
    coded += b"\xff" * (len(payload) // 255) + bytes([len(payload) % 255]) + payload + b"\x80"
    header = b"\x06" if codec == "h264" else bytes([39 << 1, slice_header[1]])  # PREFIX_SEI_NUT
    return b"\x00\x00\x00\x01" + header + _EMULATION.sub(b"\x00\x00\x03", coded)
