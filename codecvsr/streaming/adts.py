"""AAC in ADTS frames, as transport streams have it, for containers that store its parameters once."""

from __future__ import annotations

import av

from codecvsr.bitstream.containers import with_data

_SYNC = 0xFFF0
_HEADER, _CRC = 7, 2  # bytes


def is_adts(data: bytes) -> bool:
    """Returns whether a packet begins with an ADTS header (ISO/IEC 13818-7 clause 6.2)."""
    return len(data) > _HEADER and int.from_bytes(data[:2], "big") & 0xFFF6 == _SYNC


def without_header(packet: av.Packet) -> av.Packet:
    """Returns a packet without its ADTS header, with its times; the packet itself where it has none."""
    data = bytes(packet)
    if not is_adts(data):
        return packet
    length = _HEADER if data[1] & 1 else _HEADER + _CRC
    new = with_data(packet, data[length:])
    new.is_keyframe = True
    return new
