"""Writes the output video: the new pictures at the source's times, and the source's other streams."""

from __future__ import annotations

import heapq
import itertools
import logging
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from codecvsr.bitstream.clock import Clock
from codecvsr.bitstream.containers import TAG_ERRORS, WholePackets, open_input, read_only
from codecvsr.bitstream.decode import open_video
from codecvsr.errors import OutputError
from codecvsr.video import matroska
from codecvsr.video.packets import cover_packet, file_tags, fresh_packets, stream_tags, video_index, without
from codecvsr.video.priming import add_stream_with_delay, begin_exactly, priming_seconds
from codecvsr.video.probe import Media
from codecvsr.video.scan import Scan
from codecvsr.video.segments import read_packets
from codecvsr.video.selected_part import SelectedPart
from codecvsr.video.side_data_output import SideDataWriter
from codecvsr.video.sound import SoundEncoder, known_layout
from codecvsr.video.stream_mapping import BRANDS, COVER_TYPES, StreamPlan, codec_name, own_tags
from codecvsr.video.subtitle_converter import SubtitleConverter
from codecvsr.video.subtitles import ASS_HEADER
from codecvsr.video.timeline import PacketTimes, packet_time, shown_packets

_logger = logging.getLogger(__name__)

_MAX_TIMESCALE = 1 << 31


def assemble(
    media: Media,
    scan: Scan,
    segments: Sequence[Path],
    target: Path,
    container: str,
    plans: Sequence[StreamPlan],
    *,
    cut: bool,
) -> None:
    """Writes the output: the segments' pictures at the source's times, and the source's other streams.

    Args:
        media: the source.
        scan: its frames.
        segments: the encoded pictures, in order.
        target: the file, written in place: call this inside ``atomic_file``.
        container: libav's name of its format.
        plans: of :func:`plan_streams`.
        cut: only a part of the source was upscaled: cut its other streams to that part, and begin time at 0.

    Raises:
        OutputError: a frame is missing, or the file cannot be written.
    """
    source = None if media.kind == "pictures" else open_video(media.path)[0]
    try:
        with open_input(segments[0], format="nut") as segment, target.open("wb") as file:
            template = segment.streams.video[0]
            scale = Fraction(template.codec_context.width, scan.shown_width)
            side_data = SideDataWriter(scan.side_data, template.codec_context.name, container, scale)
            options = _options(media, source, container, plans)
            with av.open(file, "w", format=container, container_options=options, metadata_errors=TAG_ERRORS) as out:
                job = _Assembly(media, scan, out, side_data, cut)
                job.declare(template, next(segment.demux(template)), source, plans)
                job.copy(read_packets(segments, media.time_base, scan.pts), source)
        with target.open("rb+") as file:
            side_data.finish(file)
        if job.wav_headers:
            matroska.store_by_wav_header(target, job.wav_headers)
        if job.written != len(scan):
            raise OutputError(f"{target}: {job.written} of {len(scan)} frames were found; use -y to start over.")
    except av.FFmpegError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}).") from error
    finally:
        if source is not None:
            source.close()


def _options(
    media: Media, source: av.container.InputContainer | None, container: str, plans: Sequence[StreamPlan]
) -> dict[str, str]:
    """Returns the options of the muxer.

    MP4 stores the start of a stream in units of the movie timescale. The default of 1/1000 s is too coarse: it would move
    streams.
    """
    actions = {plan.action for plan in plans}
    if container == "matroska":
        return {"write_crc32": "0"} if "wav_header" in actions else {}
    bases = [media.time_base] if source is None else [s.time_base for s in source.streams if s.time_base is not None]
    unit = math.lcm(media.time_base.denominator, *(base.denominator for base in bases))
    unit = unit if unit < _MAX_TIMESCALE else media.time_base.denominator
    options = {"movie_timescale": str(unit * -(-1000 // unit))}
    if source is not None and own_tags(source) and "cover" not in actions:  # covers need MP4's own tags
        options["movflags"] = "use_metadata_tags"
    return options


class _Assembly:
    """The output file while it is written."""

    def __init__(
        self, media: Media, scan: Scan, out: av.container.OutputContainer, side_data: SideDataWriter, cut: bool
    ) -> None:
        self._media, self._scan, self._out, self._side_data = media, scan, out, side_data
        self._is_mp4 = out.format.name != "matroska"
        base = media.time_base
        self._part = SelectedPart(int(scan.pts[0]) * base, scan.end_pts * base) if cut else SelectedPart()
        self._copies: dict[int, av.stream.Stream] = {}
        self._converters: dict[int, SoundEncoder | SubtitleConverter] = {}
        self._covers: list[av.Packet] = []
        self._delays: dict[int, Fraction] = {}  # seconds of priming, until the first packet is written
        self.wav_headers: dict[int, bytes] = {}  # of tracks of the output
        self.written = 0

    def declare(
        self,
        template: av.video.stream.VideoStream,
        first: av.Packet,
        source: av.container.InputContainer | None,
        plans: Sequence[StreamPlan],
    ) -> None:
        """Creates every stream, in the source's order, with its tags, and writes the header."""
        if source is None:
            self._declare_video(template, first, None)
        else:
            video = video_index(self._media)
            actions = {plan.index: plan for plan in plans}
            for stream in source.streams:
                if stream.index == video:
                    self._declare_video(template, first, stream)
                elif (plan := actions.get(stream.index)) is not None and plan.action not in ("omit", "implied"):
                    self._declare_other(stream, plan)
            self._out.metadata.update(without(file_tags(source), BRANDS))
            self._out.set_chapters(self._part.chapters(source.chapters()))
        self._out.start_encoding()
        for packet in self._covers:
            self._out.mux_one(packet)

    def _declare_video(
        self, template: av.video.stream.VideoStream, first: av.Packet, old: av.stream.Stream | None
    ) -> None:
        new = self._side_data.add_stream(self._out, template, first)
        new.time_base = self._media.time_base
        new.codec_context.framerate = self._media.rate
        if self._is_mp4 and template.codec_context.name == "hevc":
            new.codec_context.codec_tag = "hvc1"  # the tag that Apple's players support
        if self._scan.rotation is not None:
            new.set_display_matrix(self._scan.rotation)
        if old is not None:
            new.metadata.update(stream_tags(old, is_new=True))
            new.disposition = old.disposition
        self._video = new

    def _declare_other(self, old: av.stream.Stream, plan: StreamPlan) -> None:
        action = plan.action
        if action == "attach":
            mime, suffix = COVER_TYPES[codec_name(old)]
            data = next((bytes(packet) for packet in fresh_packets(self._media.path, old.index)), b"")
            self._out.add_attachment(old.metadata.get("filename") or f"cover.{suffix}", mime, data)
            return
        new: av.stream.Stream
        if action == "to_mov_text":
            new = self._out.add_stream("mov_text")
            new.codec_context.subtitle_header = ASS_HEADER
            new.time_base = Fraction(1, 1000)
            new.codec_context.time_base = Fraction(1, 1000)
            self._converters[old.index] = SubtitleConverter(new, old, action)
        elif action == "to_subrip":
            new = self._out.add_mux_stream("subrip", time_base=Fraction(1, 1000))
            self._converters[old.index] = SubtitleConverter(new, old, action)
        elif action == "encode":
            assert isinstance(old, av.audio.stream.AudioStream)
            self._converters[old.index] = encoder = SoundEncoder(self._out, old, plan.codec)
            new = encoder.stream
        elif action == "wav_header":
            assert isinstance(old, av.audio.stream.AudioStream)
            new = self._declare_by_wav_header(old)
        else:
            new = self._declare_copy(old)
            if isinstance(new, av.audio.stream.AudioStream):  # MP4 has to state the channels of PCM
                new.codec_context.layout = known_layout(new.codec_context.layout)
            if old.time_base is not None:
                new.time_base = old.time_base
        new.metadata.update(stream_tags(old, is_new=action != "copy"))
        new.disposition = old.disposition
        if action == "cover":
            new.disposition = Disposition.attached_pic  # FFmpeg's writer wants this one alone
            self._covers += [
                cover_packet(packet, new) for packet in itertools.islice(fresh_packets(self._media.path, old.index), 1)
            ]
        elif old.type != "attachment":
            self._copies[old.index] = new

    def _declare_copy(self, old: av.stream.Stream) -> av.stream.Stream:
        if isinstance(old, av.audio.stream.AudioStream):
            begin, delay = priming_seconds(self._media.path, old.index)
            if delay and self._part.has_time(begin):
                if not self._is_mp4:
                    return add_stream_with_delay(self._out, old, self._media.path, delay)
                self._delays[old.index] = delay
        return self._out.add_stream_from_template(old, opaque=True)

    def _declare_by_wav_header(self, old: av.audio.stream.AudioStream) -> av.stream.Stream:
        """Declares sound under another codec; :func:`matroska.store_by_wav_header` changes that in the finished file."""
        header = matroska.wav_header(old)
        assert header is not None
        new = self._out.add_stream(matroska.PLACEHOLDER, rate=old.codec_context.sample_rate)
        assert isinstance(new, av.audio.stream.AudioStream)
        new.codec_context.layout = known_layout(old.codec_context.layout)
        new.codec_context.extradata = header
        if old.time_base is not None:
            new.time_base = old.time_base
        self.wav_headers[sum(stream.type != "attachment" for stream in self._out.streams) - 1] = header
        return new

    def copy(self, pictures: Iterator[av.Packet], source: av.container.InputContainer | None) -> None:
        """Writes all packets, interleaved by time."""
        waiting = next(pictures, None)
        if source is not None and self._copies:
            times = {index: PacketTimes(source.streams[index].type) for index in self._copies}
            moved = (p for p in Clock(source).packets(self._read(source)) if p.stream_index in self._copies)
            for packet in shown_packets(moved):
                if packet.size == 0:
                    continue
                times[packet.stream_index].correct(packet)
                time = packet_time(packet)
                if time is None:
                    continue
                while waiting is not None and (packet_time(waiting) or 0) <= time:
                    self._write_picture(waiting)
                    waiting = next(pictures, None)
                self._write_other(packet)
            if corrected := sum(each.moved for each in times.values()):
                _logger.warning("%s: times of %d sound packets were corrected.", self._media.path, corrected)
        while waiting is not None:
            self._write_picture(waiting)
            waiting = next(pictures, None)
        for converter in self._converters.values():
            self._convert(converter, None)

    def _read(self, source: av.container.InputContainer) -> Iterator[av.Packet]:
        """Yields the packets of all streams; where subtitles are damaged, without losing others."""
        damaged = matroska.damaged_blocks(self._media.path)
        packets = WholePackets(source)
        if not damaged:
            yield from packets
        else:
            subtitles = [stream.index for stream in source.streams.subtitles]
            read_only(source, [stream.index for stream in source.streams if stream.index not in subtitles])
            with open_input(self._media.path) as again:
                read_only(again, subtitles)
                both = ((p for p in each if p.size) for each in (packets, WholePackets(again)))
                yield from heapq.merge(*both, key=lambda packet: packet_time(packet) or 0)
            _logger.warning(
                "%s: %d packets of its subtitles are damaged; they were left out, with others up to the next cluster.",
                self._media.path, damaged,
            )  # fmt: skip
        if packets.damaged:
            _logger.warning(
                "%s: %d packets of its sound, subtitles or data are damaged and were left out.",
                self._media.path, packets.damaged,
            )  # fmt: skip

    def _convert(self, converter: SoundEncoder | SubtitleConverter, packet: av.Packet | None) -> None:
        for new in converter.add(packet):
            new.stream = converter.stream
            self._out.mux_one(new)

    def _write_picture(self, packet: av.Packet) -> None:
        assert packet.pts is not None
        index = int(np.searchsorted(self._scan.pts, packet.pts))
        if index == len(self._scan) - 1:
            packet.duration = self._scan.last_duration
        self._part.shift(packet)
        packet = self._side_data.attach(packet, index)
        packet.stream = self._video
        self._out.mux_one(packet)
        self.written += 1

    def _write_other(self, packet: av.Packet) -> None:
        if not self._part.contains(packet):
            return
        if (converter := self._converters.get(packet.stream_index)) is not None:
            self._convert(converter, packet)
            return
        if packet.stream_index in self._delays:
            begin_exactly(packet, self._delays.pop(packet.stream_index))
        packet.stream = self._copies[packet.stream_index]
        self._out.mux_one(packet)
