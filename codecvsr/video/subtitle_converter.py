"""Text subtitles of every codec that FFmpeg decodes, converted to SubRip (Matroska) or timed text (MP4 and MOV)."""

from __future__ import annotations

from typing import Literal

import av

from codecvsr.video.ass import parse_event, read_styles
from codecvsr.video.subtitles import StyledText, join, parse_subrip, parse_timed_text, write_subrip, write_timed_text

Format = Literal["to_mov_text", "to_subrip"]
_UNKNOWN_SECONDS = 5  # a text without a duration is shown until the next one, and no longer


class TextReader:
    """Reads the text of packets of one stream."""

    def __init__(self, stream: av.stream.Stream) -> None:
        """``stream``: of a source; its decoder is used."""
        self._context = stream.codec_context
        self._name = self._context.name
        self._styles: dict[str, int] = {}
        if self._name in ("ass", "ssa"):
            self._styles = read_styles(self._context.extradata or b"")

    @property
    def has_styles(self) -> bool:
        """Whether the stream itself defines fonts and places."""
        return bool(self._styles)

    def read(self, packet: av.Packet) -> StyledText:
        """Returns the text of a packet; empty if it shows nothing."""
        if self._name in ("subrip", "srt"):
            return parse_subrip(bytes(packet))
        if self._name == "mov_text":
            return parse_timed_text(bytes(packet))
        if self._name in ("ass", "ssa"):
            return parse_event(bytes(packet), self._styles)
        assert isinstance(self._context, av.subtitles.codeccontext.SubtitleCodecContext)
        try:
            decoded = self._context.decode2(packet)
        except av.FFmpegError:
            return StyledText("", (), True)
        events = (
            [] if decoded is None else [parse_event(each.ass, {}) for each in decoded.rects if hasattr(each, "ass")]
        )
        return join(events)


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
        self._shown: list[tuple[int, int | None, StyledText]] = []  # begin, end, text; in the order of their begins
        self._at = 0
        self._template: av.Packet | None = None

    def add(self, packet: av.Packet | None) -> list[av.Packet]:
        """Returns the new packets that are complete; with None, the last ones."""
        if packet is None:
            return self._samples_until(None)
        styled = self._reader.read(packet)
        if packet.pts is None or not styled.text.strip():
            return []
        end = packet.pts + packet.duration if packet.duration else None
        if self._form == "to_subrip":
            return [_packet(packet, write_subrip(styled), packet.pts, end)]
        samples = self._samples_until(packet.pts)
        self._template = packet
        self._at = max(self._at, packet.pts)
        self._shown = [each for each in self._shown if each[1] is not None or each[0] >= packet.pts]
        if end is None or end > self._at:
            self._shown.append((packet.pts, end, styled))
        return samples

    def _samples_until(self, time: int | None) -> list[av.Packet]:
        """Returns the samples up to a time; with None, all."""
        samples = []
        while self._shown and (time is None or self._at < time):
            assert self._template is not None
            unknown = self._at + round(_UNKNOWN_SECONDS / self._template.time_base)
            ends = [unknown if end is None else end for _, end, _ in self._shown]
            stop = min(ends) if time is None else min(time, *ends)
            payload = write_timed_text(join([text for *_, text in self._shown]))
            samples.append(_packet(self._template, payload, self._at, stop))
            self._at = stop
            self._shown = [each for each, end in zip(self._shown, ends, strict=True) if end > stop]
        return samples


def _packet(template: av.Packet, payload: bytes, start: int, end: int | None) -> av.Packet:
    new: av.Packet = av.Packet(payload)
    new.time_base, new.pts, new.dts = template.time_base, start, start
    if end is not None:
        new.duration = end - start
    new.is_keyframe = True
    return new
