"""What is damaged: which frames before a broken one are sound, and whether a file is cut short."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from codecvsr.bitstream.frames import CodedFrame

_MOST_HELD = 32  # twice the largest reorder delay of H.264 (16 frames): a packet that gives no frame holds up no more


class SoundFrames:
    """Hands frames on in display order as soon as everything that was decoded before them has come out sound.

    ``count`` is the number of frames handed on. A B-frame is shown before the later picture it is predicted from; if that picture turns out damaged, so is the B-frame.
    """

    def __init__(self) -> None:
        self._held: deque[CodedFrame] = deque()
        self._seen: set[int] = set()
        self.count = 0
        self._complete = 0  # every packet before this one has given its frame

    def add(self, frame: CodedFrame) -> Iterator[CodedFrame]:
        """Take the next frame in display order; yield those that can no longer turn out damaged."""
        self._held.append(frame)
        self._seen.add(frame.decode_index)
        while self._complete in self._seen:
            self._seen.remove(self._complete)
            self._complete += 1
        while self._held and (self._held[0].decode_index < self._complete or len(self._held) > _MOST_HELD):
            self.count += 1
            yield self._held.popleft()

    def rest(self, before: int | None = None) -> Iterator[CodedFrame]:
        """Yield what is held; with ``before``, up to the first frame that was decoded after that damaged packet."""
        while self._held and (before is None or self._held[0].decode_index < before):
            self.count += 1
            yield self._held.popleft()


def is_cut_short(path: Path) -> bool:
    """Whether a Matroska or WebM file ends before its Segment says it does, which libav takes for a normal end.

    Other containers give themselves away: a packet is incomplete, or packets are missing.
    """
    with path.open("rb") as file:
        head = file.read(256)
    if head[:4] != b"\x1a\x45\xdf\xa3":  # the EBML header (RFC 8794)
        return False
    length, at = _variable_size(head, 4)
    at += length or 0
    if head[at : at + 4] != b"\x18\x53\x80\x67":  # the Segment (RFC 9559)
        return False
    length, at = _variable_size(head, at + 4)
    return length is not None and path.stat().st_size < at + length


def _variable_size(data: bytes, at: int) -> tuple[int | None, int]:
    """An EBML element size at ``at`` and the place after it; None where it is unknown (a live stream) or not there."""
    if at >= len(data) or not data[at]:
        return None, at
    width = 9 - data[at].bit_length()
    bits = (1 << (7 * width)) - 1
    value = int.from_bytes(data[at : at + width], "big") & bits
    return (None if value == bits else value), at + width
