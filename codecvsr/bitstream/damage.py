"""Damage: whether a file is truncated, and which of its decoded pictures are sound."""

from __future__ import annotations

import itertools
import logging
import math
import statistics
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Generic, NamedTuple, TypeVar

import av

from codecvsr.bitstream import h264
from codecvsr.bitstream.containers import open_input
from codecvsr.errors import DamagedInputError, InputError

T = TypeVar("T")

_MAX_WAITING = 32  # twice the largest reorder delay of H.264 (16 pictures); a packet without a picture delays no longer
_MIN_WAITING = 4  # the newest pictures always wait: where packets are missing, a gap may be among them
_USUAL_DELAY = 2  # pictures decoded before another and shown after it, in a pyramid of B pictures
_ENOUGH = 12  # steps between pictures: the usual one cannot be estimated from fewer
_LATEST = 17  # last pictures among which a later packet's may be missing: the size of a decoder's buffer
_BOXES = (b"ftyp", b"styp", b"sidx", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"uuid", b"meta", b"mfra")
_logger = logging.getLogger(__name__)


class _Waiting(NamedTuple, Generic[T]):
    item: T
    decode_index: int | None
    seconds: float | None


class SoundFrames(Generic[T]):
    """A queue of pictures in display order that returns those which later damage cannot affect.

    A B picture is shown before the later picture it is predicted from: damage of that one damages the B picture too. Where
    the last packets of a stream are missing, a decoder skips their pictures: what it shows after the gap is not sound.

    Attributes:
        count: how many pictures were returned.
        first_packet: the lowest packet number of all pictures added, None where none is known.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first_packet: int | None = None
        self._waiting: deque[_Waiting[T]] = deque()
        self._seen: set[int] = set()
        self._complete = 0  # every packet before this one has its picture
        self._shown = 0
        self._delay = 1  # most pictures decoded before another and shown after it
        self._reorders = False
        self._steps: deque[float] = deque(maxlen=64)  # seconds between returned pictures
        self._last: float | None = None

    def add(self, item: T, decode_index: int | None, seconds: float | None) -> Iterator[T]:
        """Adds the next picture in display order; yields the pictures that are safe now.

        Args:
            item: the picture, or an object for it.
            decode_index: number of its packet, None where that is not known.
            seconds: when it is shown, None where that is not known.
        """
        self._waiting.append(_Waiting(item, decode_index, seconds))
        if decode_index is not None:
            self._seen.add(decode_index)
            self.first_packet = min(decode_index, decode_index if self.first_packet is None else self.first_packet)
            self._delay = max(self._delay, decode_index - self._shown)
            self._reorders |= decode_index > self._shown
        self._shown += 1
        while self._complete in self._seen:
            self._seen.remove(self._complete)
            self._complete += 1
        while len(self._waiting) > _MAX_WAITING or (
            len(self._waiting) > _MIN_WAITING and self._is_complete(self._waiting[0])
        ):
            yield self._pop()

    def flush(self, *, damaged: bool, broken: int | None = None, frame_seconds: float | None = None) -> Iterator[T]:
        """Yields the waiting pictures at the end of the stream; only the sound ones if it is ``damaged``.

        Args:
            damaged: packets are missing or broken.
            broken: the first broken packet, where one is known.
            frame_seconds: time between two pictures as the container states it, None where it does not.
        """
        while self._waiting:
            if damaged and not self._is_sound(self._waiting[0], broken, frame_seconds):
                return
            yield self._pop()

    def ends_with_a_gap(self, frame_seconds: float | None) -> bool:
        """Returns whether pictures seem to be missing before the last ones of a stream that reorders pictures.

        Args:
            frame_seconds: see :meth:`flush`.
        """
        times = [self._last, *(entry.seconds for entry in self._waiting)][-1 - self._delay :] if self._reorders else []
        known = [time for time in times if time is not None]
        step = self._usual_step(frame_seconds)
        return any(later - time > 1.5 * step for time, later in itertools.pairwise(known))

    @property
    def is_uneven(self) -> bool:
        """Whether the time between pictures varies in this stream."""
        usual = statistics.median(self._steps) if self._steps else 0.0
        return sum(step > 1.5 * usual for step in self._steps) > 1

    def _usual_step(self, frame_seconds: float | None) -> float:
        """Returns the usual seconds between two pictures, infinity where they are unknown."""
        return min([*([statistics.median(self._steps)] if self._steps else []), frame_seconds or math.inf])

    def _is_complete(self, entry: _Waiting[T]) -> bool:
        return entry.decode_index is None or entry.decode_index < self._complete

    def _is_sound(self, entry: _Waiting[T], broken: int | None, frame_seconds: float | None) -> bool:
        if broken is not None and entry.decode_index is not None and entry.decode_index >= broken:
            return False
        if entry.seconds is None:  # without times a gap cannot be seen; the decoder delays at most this many pictures
            waiting = (
                max(self._delay, _USUAL_DELAY) if self._reorders else self._delay
            )  # early in a stream its full delay is unknown
            return len(self._waiting) > min(waiting, _MIN_WAITING) or self.count == 0
        if self._last is None:
            return True
        step = self._usual_step(frame_seconds)
        return step < math.inf and entry.seconds - self._last <= 1.5 * step

    def _pop(self) -> T:
        entry = self._waiting.popleft()
        if entry.seconds is not None:
            if self._last is not None and entry.seconds > self._last:
                self._steps.append(entry.seconds - self._last)
            self._last = entry.seconds
        self.count += 1
        return entry.item


def end_of_stream(
    path: Path, sound: SoundFrames[T], damage: str, broken: int | None = None, *, allow_damaged: bool
) -> Iterator[T]:
    """Yields the last sound pictures of a file that was read to its end or its first damage, then reports the damage.

    Args:
        path: the file.
        sound: the queue of its pictures.
        damage: the fault that ended decoding, empty without one; a truncated file is detected here.
        broken: the first broken packet, where one is known.
        allow_damaged: warn instead of raising, if any picture is sound.

    Raises:
        InputError: the file holds no pictures.
        DamagedInputError: it is damaged.
    """
    damage = damage or cut_short(path)
    states_no_size = not damage and _stated_size(path) == 0
    frame_seconds = _frame_seconds(path) if damage or states_no_size else None
    if states_no_size and sound.ends_with_a_gap(frame_seconds):
        by_number = _lacks_numbers(path)
        if not sound.is_uneven if by_number is None else by_number:
            damage = "pictures are missing before its last ones"
    yield from sound.flush(damaged=bool(damage), broken=broken, frame_seconds=frame_seconds)
    if not damage and sound.count == 0:
        raise InputError(f"{path}: the video stream holds no pictures; a video file was expected.")
    if damage and sound.count == 0:
        raise DamagedInputError(f"{path}: no picture of it can be decoded ({damage}); use a whole file.")
    if damage and not allow_damaged:
        raise DamagedInputError(
            f"{path}: the stream is damaged after {sound.count} sound frames ({damage}). Use --allow-damaged to use the "
            "frames before the damage, or repair the file."
        )
    if sound.first_packet:
        _logger.warning(
            "%s: its first %d pictures are skipped (no key frame before them, or an edit list hides them).",
            path,
            sound.first_packet,
        )
    if damage:
        _logger.warning("%s: damaged (%s); its %d sound frames are used.", path, damage, sound.count)


def cut_short(path: Path) -> str:
    """Returns what is missing at the end of an MP4, Matroska, WebM or AVI file by its own header; empty if nothing is.

    libav reports no error at the end of such a file. Transport streams and raw streams state no length: damage shows there
    only in an incomplete last picture and, in the former, in the missing time between the last pictures.
    """
    size, stated = path.stat().st_size, _stated_size(path)
    return f"{size} of {stated} bytes are there" if stated > size else ""


def _stated_size(path: Path) -> int:
    """Returns the least number of bytes the file should have; 0 where it does not state one."""
    with path.open("rb") as file:
        return _size_by_headers(file, path.stat().st_size)


def _size_by_headers(file: BinaryIO, size: int) -> int:
    head = file.read(256)
    if head[:4] == b"\x1a\x45\xdf\xa3":  # the EBML header (RFC 8794), then the Segment (RFC 9559)
        length, at = _ebml_size(head, 4)
        at += length or 0
        if head[at : at + 4] != b"\x18\x53\x80\x67":
            return 0
        length, at = _ebml_size(head, at + 4)
        return 0 if length is None else at + length
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return int.from_bytes(head[4:8], "little") + 8
    at = 0
    while at + 8 <= size:  # ISO boxes (ISO/IEC 14496-12 clause 4.2), one after the other
        file.seek(at)
        box = file.read(16)
        length, header = int.from_bytes(box[:4], "big"), 8
        if length == 1:
            length, header = int.from_bytes(box[8:16], "big"), 16
        if box[4:8] not in _BOXES or length < header:
            break  # not this format, or bytes after the last box, or a last box up to the end of the file
        at += length
    return at


def _ebml_size(data: bytes, at: int) -> tuple[int | None, int]:
    """Returns the size of an EBML element at ``at``, None where it is unknown (a live stream), and the place after it."""
    if at >= len(data) or not data[at]:
        return None, at
    width = 9 - data[at].bit_length()
    bits = (1 << (7 * width)) - 1
    value = int.from_bytes(data[at : at + width], "big") & bits
    return (None if value == bits else value), at + width


def _lacks_numbers(path: Path) -> bool | None:
    """Returns whether order counts are missing between the last pictures of an H.264 stream, None where that is unknown.

    A decoder orders pictures by these numbers and not by their times (``PicOrderCnt``, H.264 clause 8.2.1).
    """
    steps: list[int] = []
    period: list[int] = []  # since the last IDR picture
    try:
        with open_input(path) as container:
            stream = container.streams.best("video")
            if stream is None or stream.codec_context is None or stream.codec_context.name != "h264":
                return None
            header = stream.codec_context.extradata
            counter = h264.OrderCounter(h264.sequence_facts(header), h264.length_prefix_size(header))
            for packet in container.demux(stream):
                counted = counter.count(bytes(packet)) if packet.size else None
                if counted is not None and counted[1]:
                    steps += _steps(period)
                    period.clear()
                if counted is not None:
                    period.append(counted[0])
    except av.FFmpegError:
        return None
    last = _steps(period)
    if len(steps) + len(last) < _ENOUGH:
        return None
    usual = statistics.mode(steps + last)
    return any(step > usual for step in last[-_LATEST:])


def _steps(numbers: list[int]) -> list[int]:
    return [later - number for number, later in itertools.pairwise(sorted(numbers))]


def _frame_seconds(path: Path) -> float | None:
    """Returns the seconds between two pictures as the container states or libav estimates them; None where neither does."""
    try:
        with open_input(path) as container:
            rate = container.streams.video[0].average_rate if container.streams.video else None
    except av.FFmpegError:
        return None
    return float(1 / rate) if rate else None
