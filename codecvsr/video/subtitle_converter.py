"""Text subtitles of every codec that FFmpeg decodes, converted to SubRip (Matroska) or timed text (MP4 and MOV)."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import Literal, NamedTuple

import av
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.subtitle import AssSubtitle

from codecvsr.video.ass import parse_event, read_styles
from codecvsr.video.subtitles import StyledText, join, parse_subrip, parse_timed_text, write_subrip, write_timed_text

Format = Literal["to_mov_text", "to_subrip"]
_MICROSECONDS, _UNTIL_NEXT = 1000000, 0xFFFFFFFF  # FFmpeg's unit of the times of decoded subtitles; its word for no end
_OTHER_TAG = re.compile(rb"<(?!/?[biu]>)[^>]*>")
_UNKNOWN_SECONDS = 5  # a text without a duration is shown until the next one, and no longer


class Event(NamedTuple):
    """A text and when it is shown, in units of its packet's time base; without ``end`` until the next one."""

    text: StyledText
    begin: int | None
    end: int | None


class TextReader:
    """Reads the text of packets of one stream."""

    def __init__(self, stream: av.stream.Stream) -> None:
        """``stream``: of a source; its decoder is used."""
        self._context = stream.codec_context
        self._name = self._context.name
        self._latest: av.Packet | None = None
        self._styles: dict[str, int] = {}
        if self._name in ("ass", "ssa"):
            self._styles = read_styles(self._context.extradata or b"")

    @property
    def has_styles(self) -> bool:
        """Whether the stream itself defines fonts and places."""
        return bool(self._styles)

    def read(self, packet: av.Packet) -> Event:
        """Returns what a packet shows, and when; the text is empty if it shows nothing."""
        if self._name in ("subrip", "srt"):
            return _event(packet, parse_subrip(bytes(packet)))
        if self._name == "mov_text":
            return _event(packet, parse_timed_text(bytes(packet)))
        if self._name in ("ass", "ssa"):
            return _event(packet, parse_event(bytes(packet), self._styles))
        return self._decode(packet)

    def last(self) -> tuple[av.Packet, Event] | None:
        """Returns what is shown at the end of the stream, if the decoder waits for the end to tell it."""
        if self._latest is None or not self._context.codec.delay:
            return None
        end: av.Packet = av.Packet()
        end.time_base, end.pts = self._latest.time_base, (self._latest.pts or 0) + (self._latest.duration or 0)
        return end, self._decode(end)._replace(end=end.pts)

    def _decode(self, packet: av.Packet) -> Event:
        self._latest = packet
        assert isinstance(self._context, SubtitleCodecContext)
        try:
            decoded = self._context.decode2(packet)
        except av.FFmpegError:
            return _event(packet, StyledText("", (), True))
        if decoded is None:
            return _event(packet, StyledText("", ()))
        text = join([parse_event(each.ass, {}) for each in decoded.rects if isinstance(each, AssSubtitle)])
        if self._name == "webvtt":
            has_more = packet.has_sidedata("webvtt_settings") or _OTHER_TAG.search(bytes(packet)) is not None
            return _event(packet, replace(text, lost=text.lost or has_more))
        if self._name != "cc_dec":
            return _event(packet, text)
        begin = round(Fraction(decoded.pts, _MICROSECONDS) / packet.time_base)  # captions are known when they end
        seconds = Fraction(decoded.end_display_time, 1000)
        end = None if decoded.end_display_time == _UNTIL_NEXT else begin + round(seconds / packet.time_base)
        return Event(text, begin, end)


class SubtitleConverter:
    """Converts the packets of a stream.

    Samples of timed text follow each other, so a text that is shown while another is becomes several: in each all that is
    shown, in the order of their begins.

    Attributes:
        stream: of the output.
    """

    def __init__(self, stream: av.stream.Stream, old: av.stream.Stream, form: Format) -> None:
        """``stream``: of the output, for packets in the form ``form``; ``old``: of the source."""
        self.stream = stream
        self._reader, self._form = TextReader(old), form
        self._shown: list[Event] = []
        self._at = 0
        self._template: av.Packet | None = None

    def add(self, packet: av.Packet | None) -> list[av.Packet]:
        """Returns the new packets that are complete; with None, the last ones."""
        if packet is None:
            last = self._reader.last()
            return [*([] if last is None else self._add(*last)), *self._samples_until(None)]
        return self._add(packet, self._reader.read(packet))

    def _add(self, packet: av.Packet, event: Event) -> list[av.Packet]:
        if event.begin is None or not event.text.text.strip():
            return []
        if self._form == "to_subrip":
            return [_packet(packet, write_subrip(event.text), event.begin, event.end)]
        samples = self._samples_until(event.begin)
        self._template = packet
        self._at = max(self._at, event.begin)
        self._shown = [each for each in self._shown if each.end is not None or each.begin == event.begin]
        if event.end is None or event.end > self._at:
            self._shown.append(event)
        return samples

    def _samples_until(self, time: int | None) -> list[av.Packet]:
        """Returns the samples up to a time; with None, all."""
        samples = []
        while self._shown and (time is None or self._at < time):
            assert self._template is not None
            unknown = self._at + round(_UNKNOWN_SECONDS / self._template.time_base)
            ends = [unknown if event.end is None else event.end for event in self._shown]
            stop = min(ends) if time is None else min(time, *ends)
            payload = write_timed_text(join([event.text for event in self._shown]))
            samples.append(_packet(self._template, payload, self._at, stop))
            self._at = stop
            self._shown = [event for event, end in zip(self._shown, ends, strict=True) if end > stop]
        return samples


def _event(packet: av.Packet, text: StyledText) -> Event:
    return Event(text, packet.pts, packet.pts + packet.duration if packet.pts is not None and packet.duration else None)


def _packet(template: av.Packet, payload: bytes, start: int, end: int | None) -> av.Packet:
    new: av.Packet = av.Packet(payload)
    new.time_base, new.pts, new.dts = template.time_base, start, start
    if end is not None:
        new.duration = end - start
    new.is_keyframe = True
    return new
