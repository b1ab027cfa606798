"""Facts that libav does not export, read from NAL units (ITU-T H.264 clause 7.3).

Of a picture: whether it is a reference, whether it is an IDR picture, its order count. Of the stream: how many references
it stores, and whether macroblocks may be coded as fields.
"""

from __future__ import annotations

from dataclasses import dataclass

_SLICE_TYPES = (1, 2, 5)  # nal_unit_type of a non-IDR slice, data partition A, IDR slice (table 7-1)
_IDR = 5
_SEQUENCE = 7  # a sequence parameter set
_WITH_CHROMA_FORMAT = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)  # profiles (clause 7.3.2.1.1)
_MAX_IN_DPB = 16
_HEADER_BYTES = 64  # more than a slice header needs up to its order count


@dataclass(frozen=True)
class SequenceFacts:
    """Contents of the first sequence parameter set.

    Attributes:
        max_references: ``max_num_ref_frames``; None where there is no parameter set, or an invalid one.
        is_mbaff: its pictures switch between frame and field coding by macroblock pair (``MbaffFrameFlag``).
        order_bits: length of ``pic_order_cnt_lsb``; None where pictures are numbered otherwise.
        frame_number_bits: length of ``frame_num``.
        has_colour_planes: each slice names its plane (``separate_colour_plane_flag``).
        only_frames: no picture is a field (``frame_mbs_only_flag``).
    """

    max_references: int | None = None
    is_mbaff: bool = False
    order_bits: int | None = None
    frame_number_bits: int = 4
    has_colour_planes: bool = False
    only_frames: bool = True


UNKNOWN = SequenceFacts()


def length_prefix_size(extradata: bytes | None) -> int | None:
    """Returns the bytes of the length before each NAL unit of an ``avcC`` stream (1, 2 or 4); None for Annex B start codes."""
    if extradata and len(extradata) >= 5 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    return None


def picture_flags(packet: bytes, length_size: int | None) -> tuple[bool, bool]:
    """Returns (is_reference, is_idr) of the picture in ``packet``, from its first slice; (False, False) where it has none.

    Args:
        packet: one access unit, as in the container.
        length_size: the result of :func:`length_prefix_size`.
    """
    header_at = _first_slice(packet, length_size)
    return (False, False) if header_at is None else _slice_flags(packet[header_at])


def _slice_flags(header: int) -> tuple[bool, bool]:
    return (header >> 5) & 3 != 0, header & 31 == _IDR


def _first_slice(packet: bytes, length_size: int | None) -> int | None:
    """Returns the position of the header byte of the first slice in ``packet``."""
    at = 0
    while True:
        if length_size is None:
            start = packet.find(b"\x00\x00\x01", at)
            header_at = start + 3
            if start < 0 or header_at >= len(packet):
                return None
            at = header_at
        else:
            header_at = at + length_size
            if header_at >= len(packet):
                return None
            at = header_at + int.from_bytes(packet[at:header_at], "big")
        if packet[header_at] & 31 in _SLICE_TYPES:
            return header_at


def _read_slice(packet: bytes, at: int, facts: SequenceFacts) -> tuple[_Bits, tuple[int, bool] | None]:
    """Reads the beginning of the header of the slice at ``at`` (clause 7.3.3), up to the flags of field coding.

    Returns:
        The bits that follow, and ``frame_num`` and ``bottom_field_flag`` where the picture is a field, else None.

    Raises:
        EOFError: the header is cut short.
    """
    bits = _Bits(packet[at + 1 : at + 1 + _HEADER_BYTES].replace(b"\x00\x00\x03", b"\x00\x00"))
    for _ in range(3):  # first_mb_in_slice, slice_type, pic_parameter_set_id
        bits.unsigned()
    bits.read(2 if facts.has_colour_planes else 0)
    number = bits.read(facts.frame_number_bits)
    is_field = not facts.only_frames and bool(bits.read(1))
    return bits, (number, bool(bits.read(1))) if is_field else None


class FieldPairs:
    """Finds the packets that have the second field of a picture, in streams that code fields as pictures (PAFF)."""

    def __init__(self, facts: SequenceFacts, length_size: int | None) -> None:
        """Starts a stream.

        Args:
            facts: of the stream.
            length_size: the result of :func:`length_prefix_size`.
        """
        self._facts, self._length_size = facts, length_size
        self._first: tuple[int, bool] | None = None  # frame_num and parity of a field that may be the first of a pair

    def is_second(self, packet: bytes) -> bool:
        """Returns whether the next packet in decode order has the other field of the picture before it (clause 3.30)."""
        if self._facts.only_frames:
            return False
        at = _first_slice(packet, self._length_size)
        try:
            field = None if at is None else _read_slice(packet, at, self._facts)[1]
        except EOFError:
            field = None
        is_second = field is not None and self._first == (field[0], not field[1])
        self._first = None if is_second else field
        return is_second


class OrderCounter:
    """Computes ``PicOrderCnt``, the display order of pictures, from their slices (clause 8.2.1.1)."""

    def __init__(self, facts: SequenceFacts, length_size: int | None) -> None:
        """Starts a stream.

        Args:
            facts: of the stream.
            length_size: the result of :func:`length_prefix_size`.
        """
        self._facts, self._length_size = facts, length_size
        self._last = 0  # of the last reference picture

    def count(self, packet: bytes) -> tuple[int, bool] | None:
        """Returns the order count and whether an IDR picture restarts the count; None where the packet has no such number.

        Args:
            packet: the next access unit in decode order.
        """
        facts, at = self._facts, _first_slice(packet, self._length_size)
        if facts.order_bits is None or at is None:
            return None
        is_reference, is_idr = _slice_flags(packet[at])
        try:
            bits, _ = _read_slice(packet, at, facts)
            if is_idr:
                bits.unsigned()  # idr_pic_id
            low = bits.read(facts.order_bits)
        except EOFError:
            return None
        last, period = 0 if is_idr else self._last, 1 << facts.order_bits
        order = last + period // 2 - (period // 2 - low + last) % period  # the nearest with these low bits
        if is_reference:
            self._last = order
        return order, is_idr


def sequence_facts(extradata: bytes | None) -> SequenceFacts:
    """Reads the first sequence parameter set of a stream's header: an ``avcC`` box, or NAL units with start codes."""
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
    """A reader of bits, most significant first, and of Exp-Golomb codes (clause 9.1)."""

    def __init__(self, data: bytes) -> None:
        self._value, self._remaining = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        if count > self._remaining:
            raise EOFError
        self._remaining -= count
        return self._value >> self._remaining & ((1 << count) - 1)

    def unsigned(self) -> int:
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def _read_sequence(bits: _Bits) -> SequenceFacts:
    """``seq_parameter_set_data`` up to the flags of field coding (clause 7.3.2.1.1)."""
    profile = bits.read(8)
    bits.read(16)  # constraints, level
    bits.unsigned()  # seq_parameter_set_id
    has_planes = False
    if profile in _WITH_CHROMA_FORMAT:
        chroma_format = bits.unsigned()
        if chroma_format == 3:
            has_planes = bool(bits.read(1))
        bits.unsigned()  # bit depths
        bits.unsigned()
        bits.read(1)
        if bits.read(1):  # scaling matrices
            for index in range(12 if chroma_format == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    frame_number_bits = bits.unsigned() + 4
    order, order_bits = bits.unsigned(), None  # pic_order_cnt_type
    if order == 0:
        order_bits = bits.unsigned() + 4
    elif order == 1:
        bits.read(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.unsigned(), 255)):
            bits.signed()
    references = bits.unsigned()
    bits.read(1)
    bits.unsigned()  # width and height in macroblocks
    bits.unsigned()
    only_frames = bool(bits.read(1))
    is_mbaff = not only_frames and bool(bits.read(1))
    return SequenceFacts(
        references if references <= _MAX_IN_DPB else None,
        is_mbaff,
        order_bits,
        frame_number_bits,
        has_planes,
        only_frames,
    )


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
