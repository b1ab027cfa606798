"""The two facts that only a slice's NAL header tells (ITU-T H.264 clause 7.3.1): reference picture or not, IDR or not."""

from __future__ import annotations

_SLICE_TYPES = (1, 2, 5)  # nal_unit_type of a non-IDR slice, data partition A, IDR slice (table 7-1)
_IDR = 5


def length_prefix_size(extradata: bytes | None) -> int | None:
    """Bytes of the length before each NAL unit of an ``avcC`` stream (1, 2 or 4); None for Annex B start codes."""
    if extradata and len(extradata) >= 5 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    return None


def picture_flags(packet: bytes, length_size: int | None) -> tuple[bool, bool]:
    """(is_reference, is_idr) of the picture in ``packet``, from its first slice; (False, False) where it has none.

    Args:
        packet: one access unit, as the container holds it.
        length_size: what :func:`length_prefix_size` said of the stream.
    """
    at = 0
    while True:
        if length_size is None:
            start = packet.find(b"\x00\x00\x01", at)
            header_at = start + 3
            if start < 0 or header_at >= len(packet):
                return False, False
            at = header_at
        else:
            header_at = at + length_size
            if header_at >= len(packet):
                return False, False
            at = header_at + int.from_bytes(packet[at:header_at], "big")
        header = packet[header_at]
        nal_ref_idc, nal_unit_type = (header >> 5) & 3, header & 31
        if nal_unit_type in _SLICE_TYPES:
            return nal_ref_idc != 0, nal_unit_type == _IDR
