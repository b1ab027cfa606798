"""The sound of a live stream: copied, or coded as AAC where the output cannot store it, and as late as its pictures."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable
from fractions import Fraction

import av

from codecvsr.bitstream.containers import TAG_ERRORS
from codecvsr.streaming.adts import without_header
from codecvsr.streaming.events import LiveEvent, Note
from codecvsr.streaming.options import LiveAudio
from codecvsr.video.sound import SoundEncoder, known_layout
from codecvsr.video.stream_mapping import codec_name, fits
from codecvsr.video.timeline import PacketTimes, packet_time

_STORABLE = {
    "mpegts": {"aac", "mp2", "mp3", "ac3", "eac3", "opus", "dts"},
    "flv": {"aac", "mp3"},
    "hls": {"aac", "ac3", "eac3", "mp3"},
    "mp4": {"aac", "ac3", "eac3", "mp3", "opus", "flac", "alac"},
}
_ONE_SOUND = ("flv", "hls")  # containers of one sound stream here
_MAX_AHEAD = Fraction(30)  # seconds of sound that wait for pictures
_MAX_WAIT = 1.0  # seconds for which the output waits for the first sound


class _Track:
    """One sound stream of the output."""

    def __init__(self, out: av.container.OutputContainer, old: av.audio.stream.AudioStream, codec: str) -> None:
        self.encoder = SoundEncoder(out, old, codec) if codec else None
        self.times = PacketTimes("audio")
        if self.encoder is not None:
            self.stream: av.stream.Stream = self.encoder.stream
        else:
            new = out.add_stream_from_template(old, opaque=True)
            assert isinstance(new, av.audio.stream.AudioStream)
            new.codec_context.layout = known_layout(new.codec_context.layout)
            self.stream = new
        self.stream.metadata.update({key: value for key, value in old.metadata.items() if key == "language"})

    def packets(self, packet: av.Packet | None) -> list[av.Packet]:
        if self.encoder is not None:
            return self.encoder.add(packet)
        return [] if packet is None else [packet]


class _Template:
    """A sound stream of an input that may be closed meanwhile: a file in memory with its parameters and first packet."""

    def __init__(self, old: av.audio.stream.AudioStream, first: av.Packet) -> None:
        file = io.BytesIO()
        form = "matroska" if fits(old, "matroska") else "nut"
        with av.open(file, "w", format=form, metadata_errors=TAG_ERRORS) as out:
            copy = out.add_stream_from_template(old, opaque=True)
            assert isinstance(copy, av.audio.stream.AudioStream)
            copy.codec_context.layout = known_layout(copy.codec_context.layout)
            copy.metadata.update({key: value for key, value in old.metadata.items() if key == "language"})
            packet: av.Packet = av.Packet(bytes(first))
            packet.time_base, packet.pts, packet.dts, packet.duration = first.time_base, 0, 0, first.duration
            packet.is_keyframe, packet.stream = True, copy
            out.mux_one(packet)
        file.seek(0)
        self._container = av.open(file, format=form, metadata_errors=TAG_ERRORS)
        self.stream = self._container.streams.audio[0]


class LiveSound:
    """Collects the sound packets of the input, and writes those whose pictures are written.

    A sink of :class:`codecvsr.streaming.reader.StreamReader`.

    Attributes:
        losses: sound that the output lacks, in words.
    """

    def __init__(self, container: str, audio: LiveAudio, on_event: Callable[[LiveEvent], None]) -> None:
        """``container``: libav's name of the output's format."""
        self.losses: list[str] = []
        self._container, self._audio, self._on_event = container, audio, on_event
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Fraction, int, av.Packet]] = deque()  # with the number of their sound stream
        self._open: list[av.audio.stream.AudioStream] = []  # sound streams of the open input
        self._templates: dict[int, _Template] = {}  # of the first input, by number
        self._tracks: dict[int, _Track] = {}
        self._is_declared = self._has_ended = False

    def connected(self, container: av.container.InputContainer, video: av.video.stream.VideoStream) -> None:
        """See :class:`PacketSink`."""
        found = [stream for stream in container.streams if isinstance(stream, av.audio.stream.AudioStream)]
        with self._changed:
            self._open = [stream for stream in found if stream.codec_context is not None and self._audio != "none"]
            for number, stream in enumerate(self._open):
                template = self._templates.get(number)
                if template is not None and codec_name(stream) != codec_name(template.stream):
                    self._tell(f"sound stream {number} is {codec_name(stream)} now: it ends here in the output.")

    def add(self, packet: av.Packet) -> None:
        """See :class:`PacketSink`."""
        time = packet_time(packet)
        with self._changed:
            number = next((n for n, stream in enumerate(self._open) if stream.index == packet.stream_index), None)
            if number is None or time is None or (self._is_declared and number not in self._tracks):
                return
            if number not in self._templates:
                self._templates[number] = _Template(self._open[number], packet)
                self._changed.notify_all()
            if codec_name(self._open[number]) != codec_name(self._templates[number].stream):
                return
            self._waiting.append((time, number, packet))
            while self._waiting[-1][0] - self._waiting[0][0] > _MAX_AHEAD:  # no pictures come
                self._waiting.popleft()

    def end(self) -> None:
        """See :class:`PacketSink`."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def declare(self, out: av.container.OutputContainer) -> None:
        """Adds the sound streams to the output, before its header is written; waits a moment for those without data yet."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_ended or len(self._templates) >= len(self._open), _MAX_WAIT)
            self._is_declared = True
            for number in range(len(self._open)):
                if number not in self._templates:
                    self._lose(f"sound stream {number} has no data where the output begins, so it is omitted")
                    continue
                old = self._templates[number].stream
                codec = self._codec(number, old)
                if codec is not None:
                    self._tracks[number] = _Track(out, old, codec)
            self._waiting = deque(entry for entry in self._waiting if entry[1] in self._tracks)

    def _codec(self, number: int, old: av.audio.stream.AudioStream) -> str | None:
        """Returns the codec for a stream that is coded again, empty to copy it; None to omit it."""
        name = codec_name(old)
        if self._tracks and self._container in _ONE_SOUND:
            self._lose(f"sound stream {number} ({name}) is omitted, as this output has one sound stream")
            return None
        if self._audio == "aac" and name != "aac":
            return "aac"
        storable = _STORABLE.get(self._container)
        if name in storable if storable is not None else fits(old, self._container):
            return ""
        if self._audio == "copy":
            self._lose(f"sound stream {number} ({name}) is omitted, as the output cannot store it; use --audio auto")
            return None
        self._tell(f"sound stream {number} ({name}) is coded as AAC, as the output cannot store it.")
        return "aac"

    def _lose(self, text: str) -> None:
        self.losses.append(text)
        self._tell(f"{text}.")

    def _tell(self, text: str) -> None:
        self._on_event(Note(text))

    def write(self, out: av.container.OutputContainer, until: Fraction | None, start: Fraction) -> None:
        """Writes the packets that begin before ``until``, in seconds on the stream's clock; None: all, and the coder's last.

        ``start``: time that is 0 in the output; sound before it is omitted.
        """
        while True:
            with self._changed:
                if not self._waiting or (until is not None and self._waiting[0][0] > until):
                    break
                time, number, packet = self._waiting.popleft()
            if not start or time >= start:  # files keep their times, and sound may begin before 0
                self._write(out, self._tracks[number], packet, start)
        if until is None:
            for track in self._tracks.values():
                self._write(out, track, None, start)

    @staticmethod
    def _write(out: av.container.OutputContainer, track: _Track, packet: av.Packet | None, start: Fraction) -> None:
        if packet is not None:
            assert packet.time_base is not None
            by = round(start / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - by
            packet.dts = None if packet.dts is None else packet.dts - by
            track.times.correct(packet)
            packet = without_header(packet)
        for new in track.packets(packet):
            new.stream = track.stream
            out.mux_one(new)
