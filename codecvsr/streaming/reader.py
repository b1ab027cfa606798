"""Reads a live input in a thread: decodes it as it comes, and opens it again where it is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Protocol

import av

from codecvsr.bitstream.deinterlace import Deinterlaced
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.errors import CodecVSRError, InputError
from codecvsr.streaming.clock import StreamClock
from codecvsr.streaming.decoder import StreamDecoder
from codecvsr.streaming.events import (
    Connected,
    GivenUp,
    Interrupted,
    LiveEvent,
    Note,
    Reconnected,
    SourceChanged,
    WaitingForKeyFrame,
)
from codecvsr.streaming.frame_queue import FrameQueue, LiveFrame, Section
from codecvsr.streaming.inputs import LiveInput
from codecvsr.streaming.losses import Losses
from codecvsr.streaming.omissions import not_carried

_USUAL_RATE, _MAX_RATE = Fraction(25), 240
_FIRST_PICTURE, _NO_PICTURE = (
    30.0,
    5.0,
)  # seconds in which data comes and nothing can be decoded, at the start and later
_MIN_PACKETS = 50  # without a picture, before the stream counts as unreadable
_BACK_OFF, _MAX_BACK_OFF = 0.25, 8.0  # seconds before the second attempt; doubled after each


class PacketSink(Protocol):
    """Takes the packets of an input as they come: the recording, and the sound of the output."""

    def connected(self, container: av.container.InputContainer, video: av.video.stream.VideoStream) -> None:
        """Called when the input is open, for the first time or again."""

    def add(self, packet: av.Packet) -> None:
        """Called with every packet, in the order of the input, on the clock of the stream."""

    def end(self) -> None:
        """Called when no packet follows."""


class _Stopped(Exception):
    """Nobody wants frames any more."""


class _Unreadable(Exception):
    """Data comes, but no picture."""


class StreamReader(threading.Thread):
    """Fills a :class:`FrameQueue` from an input.

    Attributes:
        queue: the frames.
        losses: counts what was lost.
        reconnects: how often the input was opened again.
    """

    def __init__(
        self,
        source: LiveInput,
        sinks: list[PacketSink],
        on_event: Callable[[LiveEvent], None],
        *,
        realtime: bool,
        reconnect: float,
    ) -> None:
        """Opens nothing yet; see :meth:`start`.

        Args:
            source: the input.
            sinks: take its packets.
            on_event: called, in this thread, with what happens.
            realtime: give frames at the rate at which they are shown.
            reconnect: seconds for which a lost network source is tried again.
        """
        super().__init__(name="codecvsr-live-reader", daemon=True)  # libav may wait for data when everything else ends
        self.queue, self.losses, self.reconnects = FrameQueue(), Losses(source.title, on_event), 0
        self._source, self._sinks, self._on_event = source, sinks, on_event
        self._realtime, self._patience = realtime, reconnect
        self._clock = StreamClock()
        self._section: Section | None = None
        self._last_seconds: float | None = None
        self._begun: tuple[float, float] | None = None  # real time and time of the first frame
        self._last_picture, self._packets = 0.0, 0  # since that picture

    def run(self) -> None:
        """Reads until the input ends or is lost for good, or the queue is stopped."""
        error: Exception | None = None
        try:
            self._read()
        except _Stopped:
            pass
        except Exception as raised:  # noqa: BLE001 - raised again where frames are asked for
            error = raised
        for sink in self._sinks:
            sink.end()
        self.queue.end(error)

    def _read(self) -> None:
        opened = self._source.open()
        if missing := not_carried(*opened):
            self._on_event(Note(f"{self._source.title}: not carried: {', '.join(missing)}."))
        while True:
            is_finite = self._source.is_finite(opened[0])
            reason, is_unreadable = self._read_connection(*opened)
            can_come_back = is_unreadable if self._source.kind in ("file", "pipe") else bool(reason) or not is_finite
            if not can_come_back or not self._patience:
                if reason:
                    self._on_event(Note(f"{self._source.title}: {reason}; the output ends."))
                return
            self._on_event(Interrupted(self._source.title, reason or "the source has ended"))
            again = self._reopen()
            if again is None:
                return
            opened = again
            self._clock.resume()

    def _reopen(self) -> tuple[av.container.InputContainer, av.video.stream.VideoStream] | None:
        """Opens the input again, with back-off; None where it does not come back in time."""
        lost, wait, attempts = time.monotonic(), _BACK_OFF, 0
        while time.monotonic() - lost < self._patience:
            self._check_stop()
            attempts += 1
            try:
                opened = self._source.open()
            except CodecVSRError:
                self._sleep(min(wait, max(self._patience - (time.monotonic() - lost), 0)))
                wait = min(2 * wait, _MAX_BACK_OFF)
                continue
            self.reconnects += 1
            self._on_event(Reconnected(self._source.title, time.monotonic() - lost, attempts))
            return opened
        self._on_event(GivenUp(self._source.title, self._patience))
        return None

    def _read_connection(
        self, container: av.container.InputContainer, stream: av.video.stream.VideoStream
    ) -> tuple[str, bool]:
        """Reads an open input to its end.

        Returns:
            Why it ended, empty for its proper end; and whether data comes, but none that can be decoded any more.

        Raises:
            InputError: it never gives a picture.
        """
        for sink in self._sinks:
            sink.connected(container, stream)
        self._clock.opened(container, is_file=self._source.kind == "file")
        self._last_picture, self._packets = time.monotonic(), 0
        with StreamDecoder(container, stream, self._clock, self._on_packet) as decoder:
            has_picture = False
            try:
                for frame in Deinterlaced(decoder.frames()):
                    self._add(frame, decoder, stream, begins=not has_picture)
                    has_picture = True
                    self.losses.count(decoder)
            except _Unreadable:
                if self._section is None or self._source.kind == "file":
                    raise InputError(
                        f"{self._source.title}: no picture could be decoded in {_FIRST_PICTURE:g} s of data; video of a codec that "
                        "libav decodes was expected."
                    ) from None
                return f"no picture can be decoded any more ({decoder.codec})", True
            if self._section is None:
                raise InputError(f"{self._source.title}: ended before a picture could be decoded; is it video?")
            silent = "Immediate exit" in decoder.damage
            return f"no data came for {self._source.timeout:g} s" if silent else decoder.damage, False

    def _on_packet(self, packet: av.Packet, is_video: bool) -> None:
        self._check_stop()
        if is_video:
            if self._packets == 0 and self._last_seconds is None and not packet.is_keyframe:
                self._on_event(WaitingForKeyFrame(self._source.title))
            self._packets += 1
        for sink in self._sinks:
            sink.add(packet)
        limit = _FIRST_PICTURE if self._section is None else _NO_PICTURE
        is_file = self._source.kind == "file"
        if self._packets > _MIN_PACKETS and not is_file and time.monotonic() - self._last_picture > limit:
            raise _Unreadable

    def _add(
        self, coded: CodedFrame, decoder: StreamDecoder, stream: av.video.stream.VideoStream, *, begins: bool
    ) -> None:
        section = self._section
        size = coded.height, coded.width
        if section is None or begins or size != (section.height, section.width):
            has_vectors = decoder.has_vectors and not (coded.is_field_coded or coded.is_deinterlaced)
            number = 0 if section is None else section.number + 1
            aspect = stream.sample_aspect_ratio or Fraction(1)
            new = Section(number, decoder.codec, *size, _rate(stream), has_vectors, aspect)
            self._tell_of(section, new)
            self._section = section = new
        seconds, usual = coded.pts_seconds, float(1 / section.rate)
        if self._last_seconds is not None:
            if seconds is None or seconds <= self._last_seconds:
                seconds = self._last_seconds + usual
            self.losses.count_gap(seconds - self._last_seconds, usual)
        self._last_seconds = seconds = 0.0 if seconds is None else seconds
        if self._realtime:
            now = time.monotonic()
            begun, first = self._begun = self._begun or (now, seconds)
            self._sleep(begun + seconds - first - now)
        was_late = self.queue.wait_for_room()
        self._check_stop()
        self._last_picture, self._packets = time.monotonic(), 1
        self.queue.put(LiveFrame(coded, seconds, self._last_picture, was_late, section))

    def _tell_of(self, old: Section | None, new: Section) -> None:
        motion = describe_motion(new)
        if old is None:
            rate = float(new.rate)
            self._on_event(Connected(self._source.title, new.codec, new.width, new.height, rate, motion))
        elif (old.codec, old.height, old.width) != (new.codec, new.height, new.width):
            self._on_event(SourceChanged(self._source.title, new.codec, new.width, new.height, motion))

    def _check_stop(self) -> None:
        if self.queue.is_stopped:
            raise _Stopped

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._check_stop()
            time.sleep(min(left, 0.1))


def describe_motion(section: Section) -> str:
    """Returns, in words, where the motion of a section comes from."""
    if section.has_vectors:
        return f"from the vectors of the {section.codec} stream"
    return f"from an encode with x264, frame by frame, as {section.codec} has no vectors that can be read"


def _rate(stream: av.video.stream.VideoStream) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate
    return rate if rate is not None and 1 <= rate <= _MAX_RATE else _USUAL_RATE
