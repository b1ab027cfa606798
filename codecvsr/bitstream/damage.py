"""What is damaged: whether a file is cut short, and which of the pictures that came out of it are sound."""

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
from codecvsr.errors import DamagedInputError, InputError

T = TypeVar("T")

_MAX_HELD = 32  # twice the largest reorder delay of H.264 (16 pictures): a packet that shows nothing holds up no more
_NEWEST = 4  # so many are held in any case: where packets are missing, a gap may be among them
_USUAL_DELAY = 2  # pictures decoded before one and shown after it, in a pyramid of B pictures
_ENOUGH = 12  # steps between pictures: fewer tell nothing of the usual one
_LATEST = 17  # pictures among which one can be missing that comes after them in the stream: as many as a decoder keeps
_BOXES = (b"ftyp", b"styp", b"sidx", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"uuid", b"meta", b"mfra")
_logger = logging.getLogger(__name__)


class _Held(NamedTuple, Generic[T]):
    item: T
    decode_index: int | None
    seconds: float | None


class SoundFrames(Generic[T]):
    """Takes pictures in display order and hands on those that nothing can turn out to be wrong with any more.

    A B picture is shown before the later one it is predicted from: if that is damaged, so is the B picture. And where the
    last packets of a stream are missing, a decoder passes over the pictures they held: what it shows after a gap does not
    belong to the sound beginning of the film.

    Attributes:
        count: how many were handed on.
        first_packet: the lowest packet number of all pictures taken, None where none is known.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first_packet: int | None = None
        self._held: deque[_Held[T]] = deque()
        self._seen: set[int] = set()
        self._complete = 0  # every packet before this one has given its picture
        self._shown = 0
        self._delay = 1  # most pictures that were decoded before one and shown after it
        self._reorders = False
        self._steps: deque[float] = deque(maxlen=64)  # seconds between pictures handed on
        self._last: float | None = None

    def add(self, item: T, decode_index: int | None, seconds: float | None) -> Iterator[T]:
        """Take the next picture in display order and yield those that are safe now.

        Args:
            item: the picture, or whatever stands for it.
            decode_index: number of its packet, None where that is not known.
            seconds: when it is shown, None where that is not known.
        """
        self._held.append(_Held(item, decode_index, seconds))
        if decode_index is not None:
            self._seen.add(decode_index)
            self.first_packet = min(decode_index, decode_index if self.first_packet is None else self.first_packet)
            self._delay = max(self._delay, decode_index - self._shown)
            self._reorders |= decode_index > self._shown
        self._shown += 1
        while self._complete in self._seen:
            self._seen.remove(self._complete)
            self._complete += 1
        while len(self._held) > _MAX_HELD or (len(self._held) > _NEWEST and self._is_complete(self._held[0])):
            yield self._hand_on()

    def rest(self, *, damaged: bool, broken: int | None = None, frame_seconds: float | None = None) -> Iterator[T]:
        """Yield what is held at the end; where the stream is ``damaged``, what is sound of it.

        Args:
            damaged: packets are missing or broken.
            broken: the first broken packet, where one is known.
            frame_seconds: time between two pictures by the container's account, None where it gives none.
        """
        while self._held:
            if damaged and not self._is_sound(self._held[0], broken, frame_seconds):
                return
            yield self._hand_on()

    def ends_with_a_gap(self, frame_seconds: float | None) -> bool:
        """Whether pictures seem to be missing before the last ones of a stream that puts its pictures into another order.

        Args:
            frame_seconds: see :meth:`rest`.
        """
        times = [self._last, *(held.seconds for held in self._held)][-1 - self._delay :] if self._reorders else []
        known = [time for time in times if time is not None]
        step = self._usual_step(frame_seconds)
        return any(later - time > 1.5 * step for time, later in itertools.pairwise(known))

    @property
    def is_uneven(self) -> bool:
        """Pauses between pictures are usual in this stream."""
        usual = statistics.median(self._steps) if self._steps else 0.0
        return sum(step > 1.5 * usual for step in self._steps) > 1

    def _usual_step(self, frame_seconds: float | None) -> float:
        """Seconds between two pictures, infinity where nothing is known of them."""
        return min([*([statistics.median(self._steps)] if self._steps else []), frame_seconds or math.inf])

    def _is_complete(self, held: _Held[T]) -> bool:
        return held.decode_index is None or held.decode_index < self._complete

    def _is_sound(self, held: _Held[T], broken: int | None, frame_seconds: float | None) -> bool:
        if broken is not None and held.decode_index is not None and held.decode_index >= broken:
            return False
        if held.seconds is None:  # a gap cannot be seen; the decoder had at most so many pictures waiting behind one
            waiting = (
                max(self._delay, _USUAL_DELAY) if self._reorders else self._delay
            )  # so early it may not show in full
            return len(self._held) > min(waiting, _NEWEST) or self.count == 0
        if self._last is None:
            return True
        step = self._usual_step(frame_seconds)
        return step < math.inf and held.seconds - self._last <= 1.5 * step

    def _hand_on(self) -> T:
        held = self._held.popleft()
        if held.seconds is not None:
            if self._last is not None and held.seconds > self._last:
                self._steps.append(held.seconds - self._last)
            self._last = held.seconds
        self.count += 1
        return held.item


def end_of_stream(
    path: Path, sound: SoundFrames[T], damage: str, broken: int | None = None, *, allow_damaged: bool
) -> Iterator[T]:
    """Yield the last sound pictures of a file that was read to its end or to its first damage, then say what was wrong.

    Args:
        path: the file.
        sound: where the pictures went.
        damage: what broke, empty where nothing did; a file that is cut short is found here.
        broken: the first broken packet, where one is known.
        allow_damaged: warn instead of raising, if any picture is sound.

    Raises:
        InputError: the file holds no pictures.
        DamagedInputError: it is damaged.
    """
    damage = damage or cut_short(path)
    tells_nothing = not damage and _stated_size(path) == 0
    frame_seconds = _frame_seconds(path) if damage or tells_nothing else None
    if tells_nothing and sound.ends_with_a_gap(frame_seconds):
        by_number = _lacks_numbers(path)
        if not sound.is_uneven if by_number is None else by_number:
            damage = "pictures are missing before its last ones"
    yield from sound.rest(damaged=bool(damage), broken=broken, frame_seconds=frame_seconds)
    if not damage and sound.count == 0:
        raise InputError(f"{path}: the video stream holds no pictures; a video file was expected.")
    if damage and sound.count == 0:
        raise DamagedInputError(f"{path}: no picture of it can be decoded ({damage}); use a whole file.")
    if damage and not allow_damaged:
        raise DamagedInputError(
            f"{path}: the stream is damaged after {sound.count} sound frames ({damage}). Give --allow-damaged to use the "
            "frames before the damage, or repair the file."
        )
    if sound.first_packet:
        _logger.warning(
            "%s: its first %d pictures are left out (no key frame before them, or an edit list hides them).",
            path,
            sound.first_packet,
        )
    if damage:
        _logger.warning("%s: damaged (%s); its %d sound frames are used.", path, damage, sound.count)


def cut_short(path: Path) -> str:
    """What is missing at the end of an MP4, Matroska, WebM or AVI file by its own account; empty where nothing is.

    libav takes the end of such a file for the end of the film. A transport stream and a raw stream state no length: of
    them only a last picture that is incomplete shows, and in the first the missing time between its last pictures.
    """
    size, stated = path.stat().st_size, _stated_size(path)
    return f"{size} of {stated} bytes are there" if stated > size else ""


def _stated_size(path: Path) -> int:
    """How many bytes a file ought to have at least; 0 where it does not tell."""
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
            break  # no such file, or what follows its last box, or a last box that goes to the end
        at += length
    return at


def _ebml_size(data: bytes, at: int) -> tuple[int | None, int]:
    """An EBML element's size at ``at`` and the place after it; None where it is unknown (a live stream) or not there."""
    if at >= len(data) or not data[at]:
        return None, at
    width = 9 - data[at].bit_length()
    bits = (1 << (7 * width)) - 1
    value = int.from_bytes(data[at : at + width], "big") & bits
    return (None if value == bits else value), at + width


def _lacks_numbers(path: Path) -> bool | None:
    """Whether numbers are missing between the last pictures of an H.264 stream, None where they do not tell.

    By these numbers, not by their times, a decoder knows the order to show them in (``PicOrderCnt``, H.264 clause 8.2.1).
    """
    steps: list[int] = []
    period: list[int] = []  # since the last IDR picture
    try:
        with av.open(f"file:{path}") as container:
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
    """Time between two pictures as the container states or libav estimates it; None where neither knows."""
    try:
        with av.open(f"file:{path}") as container:
            rate = container.streams.video[0].average_rate if container.streams.video else None
    except av.FFmpegError:
        return None
    return float(1 / rate) if rate else None
