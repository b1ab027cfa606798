"""What only NAL units tell (ITU-T H.264 clause 7.3).

Of a picture, whether it is a reference and whether an IDR picture; of the stream, how many references it keeps and
whether macroblocks may be coded as fields.
"""

from __future__ import annotations

from dataclasses import dataclass

_SLICE_TYPES = (1, 2, 5)  # nal_unit_type of a non-IDR slice, data partition A, IDR slice (table 7-1)
_IDR = 5
_SEQUENCE = 7  # a sequence parameter set
_WITH_CHROMA_FORMAT = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)  # profiles (clause 7.3.2.1.1)
_MOST_IN_DPB = 16


@dataclass(frozen=True)
class SequenceFacts:
    """What the first sequence parameter set says.

    Attributes:
        most_references: ``max_num_ref_frames``; None where there is no parameter set, or one that makes no sense.
        is_mbaff: its pictures switch between frame and field coding by macroblock pair (``MbaffFrameFlag``).
    """

    most_references: int | None = None
    is_mbaff: bool = False


UNKNOWN = SequenceFacts()


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


def sequence_facts(extradata: bytes | None) -> SequenceFacts:
    """Read the first sequence parameter set of a stream's header: an ``avcC`` box, or NAL units with start codes."""
    unit = _first_sequence(extradata or b"")
    try:
        return _read_sequence(_Bits(unit[1:].replace(b"\x00\x00\x03", b"\x00\x00"))) if unit else UNKNOWN
    except EOFError:
        return UNKNOWN


def _first_sequence(extradata: bytes) -> bytes:
    if length_prefix_size(extradata) is not None:  # version, profile, 2 bytes, count, then 2 bytes of length
        length = int.from_bytes(extradata[6:8], "big")
        unit = extradata[8 : 8 + length]
        return unit if unit and unit[0] & 31 == _SEQUENCE else b""
    for unit in extradata.split(b"\x00\x00\x01")[1:]:
        if unit and unit[0] & 31 == _SEQUENCE:
            return unit
    return b""


class _Bits:
    """A row of bits, most significant first, with Exp-Golomb codes in it (clause 9.1)."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise EOFError
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def unsigned(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def _read_sequence(bits: _Bits) -> SequenceFacts:
    """``seq_parameter_set_data`` up to the flags of field coding (clause 7.3.2.1.1)."""
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    bits.unsigned()  # seq_parameter_set_id
    if profile in _WITH_CHROMA_FORMAT:
        chroma_format = bits.unsigned()
        if chroma_format == 3:
            bits.take(1)
        bits.unsigned()  # bit depths
        bits.unsigned()
        bits.take(1)
        if bits.take(1):  # scaling matrices
            for index in range(12 if chroma_format == 3 else 8):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    bits.unsigned()  # log2_max_frame_num_minus4
    order = bits.unsigned()  # pic_order_cnt_type
    if order == 0:
        bits.unsigned()
    elif order == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.unsigned(), 255)):
            bits.signed()
    references = bits.unsigned()
    bits.take(1)
    bits.unsigned()  # width and height in macroblocks
    bits.unsigned()
    only_frames = bits.take(1)
    is_mbaff = not only_frames and bool(bits.take(1))
    return SequenceFacts(references if references <= _MOST_IN_DPB else None, is_mbaff)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
