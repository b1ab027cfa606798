"""Decoding with PyAV: packets in, pictures out that know which packet they came from.

FFmpeg's frame threads corrupt the motion vectors it exports for streams with B-frames, so a stream whose vectors are read is
decoded on one thread and no caller can change that; to decode faster, split a video between key frames.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import av
from av.stream import Disposition

from codecvsr.bitstream import h264, mpeg
from codecvsr.bitstream.clock import read_only_video
from codecvsr.bitstream.containers import open_input
from codecvsr.bitstream.frame import NO_VECTORS, CodedFrame, FrameType
from codecvsr.bitstream.packet_seek import packets_from
from codecvsr.bitstream.side_data import qp_of, vectors_of
from codecvsr.errors import InputError, UnsupportedInputError

_FRAME_TYPES: dict[int, FrameType] = {1: "I", 2: "P", 3: "B", 5: "I", 6: "P"}  # 5 and 6: switching SI and SP
_EXPORT = {"flags2": "+export_mvs", "export_side_data": "mvs+venc_params"}


class PacketFacts(NamedTuple):
    """A packet's time in seconds, where it has one (in AVI: of decoding), and what its NAL units say.

    The packets of the two fields of a picture count as one: ``fields`` is 2. ``pixel_aspect`` is known after decoding.
    """

    pts_seconds: float | None
    is_reference: bool = False
    is_idr: bool = False
    fields: int = 1
    pixel_aspect: Fraction | None = None


class VideoDecoder:
    """Decodes the main video stream of a file; iterate it once, within ``with``.

    The ``pts`` of each picture is the number of its packet, an index of ``packets``.

    Attributes:
        packets: what is known of every packet read so far.
        damage: why decoding ended early, or what failed at its end; empty where nothing did.
        is_h264: the stream is H.264.
        has_vectors: pictures carry motion vectors and QPs.
        codec: FFmpeg's name of the decoder.
        sequence: what the H.264 sequence parameter set says.
    """

    def __init__(
        self,
        path: Path,
        *,
        export: bool,
        conceal: bool = False,
        begin: int | None = None,
        opened: tuple[av.container.InputContainer, av.video.stream.VideoStream] | None = None,
    ) -> None:
        """Opens the file.

        Args:
            path: any container FFmpeg reads.
            export: pictures carry motion vectors and QPs if the codec is H.264 or one of ``mpeg.CODECS``.
            conceal: continue after damage; without it decoding ends at the first broken packet.
            begin: start at the key packet shown at this time, in units of the stream's time base; no picture comes where
                it cannot be found.
            opened: the result of :func:`open_video`, where the input is open already; closed with the decoder.

        Raises:
            InputError: the file cannot be opened or has no video stream.
        """
        self.packets: MutableSequence[PacketFacts] = []
        self.damage = ""
        self._container, self._stream = opened or open_video(path)
        if opened is None:
            read_only_video(self._container, self._stream)
        self._conceal, self._begin = conceal, begin
        self._context = self._stream.codec_context
        self.codec = self._context.name
        self.is_h264 = self.codec == "h264"
        self.has_vectors = export and (self.is_h264 or self.codec in mpeg.CODECS)
        self._last_key = mpeg.LastKeyPacket()
        self._last_shown = -1  # packet of the picture before
        self._last_seconds: float | None = None  # its time
        self._has_decoding_times = has_decoding_times(self._container, self._stream)
        if self.is_h264 or self.has_vectors:
            self._context.thread_type = "SLICE"
            self._context.thread_count = 1  # with several slice threads the decoder reports no errors
        if self.has_vectors:
            self._context.options = dict(_EXPORT)
        self._length_size = h264.length_prefix_size(self._context.extradata)
        self.sequence = h264.sequence_facts(self._context.extradata) if self.is_h264 else h264.UNKNOWN
        self._field_pairs = h264.FieldPairs(self.sequence, self._length_size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[av.VideoFrame]:
        """Yields pictures in display order."""
        for packet in self._read():
            number = len(self.packets) - 1
            if packet.is_corrupt and not self._conceal:
                self.damage = f"packet {number} is incomplete"
                break
            packet.pts = packet.dts = number
            try:
                pictures = self._context.decode(packet)
                self.packets[number] = self.packets[number]._replace(pixel_aspect=self._context.sample_aspect_ratio)
            except av.FFmpegError as error:
                if self._conceal:
                    self._last_key.remove(number)
                    continue
                self.damage = f"packet {number}: {error.strerror}"
                break
            for picture in pictures:
                self._last_key.check(picture)
                yield picture
        yield from self._last_pictures()

    def _last_pictures(self) -> Iterator[av.VideoFrame]:
        """Yields the pictures that the decoder still has, with their vectors."""
        extra = len(self.packets)
        if self._last_key.data and not self.damage:
            packet: av.Packet = av.Packet(self._last_key.data)
            packet.pts = packet.dts = extra
            with suppress(av.FFmpegError):
                yield from (picture for picture in self._context.decode(packet) if picture.pts != extra)
        try:
            yield from (picture for picture in self._context.decode(None) if picture.pts != extra)
        except av.FFmpegError as error:
            self.damage = self.damage or f"at its end: {error.strerror}"

    def coded_frame(self, picture: av.VideoFrame, index: int) -> CodedFrame:
        """Returns ``picture``, the ``index``-th in display order, with what the bitstream says about it.

        Call it for every picture in turn. Without vectors only the time is known, and the type of frames is "I".
        """
        assert picture.pts is not None
        packet = self.packets[picture.pts]
        if packet.fields > 1 and picture.duration:
            picture.duration *= packet.fields  # it is that of the first packet
        is_field_coded = self.is_field_coded(picture)
        coded = CodedFrame(
            index=index,
            decode_index=picture.pts,
            pts_seconds=self.shown_at(picture),
            type="I",
            is_reference=packet.is_reference,
            is_idr=packet.is_idr,
            vectors=NO_VECTORS,
            qp=None,
            picture=picture,
            max_references=self.sequence.max_references,
            is_field_coded=is_field_coded,
            pixel_aspect=self.pixel_aspect(picture),
        )
        last, self._last_shown = self._last_shown, picture.pts
        if not self.has_vectors:
            return coded
        kind = _FRAME_TYPES.get(int(picture.pict_type), "P")
        exported_qp = None if is_field_coded else qp_of(picture)
        own_vectors = not is_field_coded and (self.is_h264 or mpeg.has_vectors(self.codec, kind))
        coded = replace(coded, type=kind, vectors=vectors_of(picture) if own_vectors else NO_VECTORS, qp=exported_qp)
        if self.is_h264:
            return coded
        return replace(
            coded,
            is_reference=kind != "B",
            is_idr=kind == "I" and last < picture.pts and not self._has_leading(picture.pts),
            qp=None if exported_qp is None else mpeg.qp_of_steps(exported_qp),
            references_per_list=1,
        )

    def shown_at(self, picture: av.VideoFrame) -> float | None:
        """Returns when ``picture`` is shown, in seconds; None where that is not known. Call it for every picture in turn.

        AVI knows times of decoding only (:func:`has_decoding_times`). There, as in FFmpeg's command line, a picture is shown when
        the decoder returned it, and those that it returns at the end follow each other.
        """
        number = self.slot(picture)
        if number is not None and 0 <= number < len(self.packets):
            seconds = self.packets[number].pts_seconds
        elif not self._has_decoding_times:
            seconds = None
        elif self._last_seconds is None:
            seconds = self.packets[0].pts_seconds
        else:
            rate = self._stream.average_rate or self._stream.guessed_rate
            seconds = self._last_seconds + float(1 / rate) if rate else None
        self._last_seconds = seconds
        return seconds

    def slot(self, picture: av.VideoFrame) -> int | None:
        """Returns the number of the packet at whose time ``picture`` is shown; None where there is none."""
        return picture.dts if self._has_decoding_times else picture.pts

    def pixel_aspect(self, picture: av.VideoFrame) -> Fraction | None:
        """Returns width / height of a pixel, as the stream states it when ``picture`` is decoded; None where it does not."""
        if self._context.thread_count != 1:  # the context is that of the latest picture, not of the latest packet
            return self._context.sample_aspect_ratio
        number = picture.pts
        return None if number is None or not 0 <= number < len(self.packets) else self.packets[number].pixel_aspect

    def is_field_coded(self, picture: av.VideoFrame) -> bool:
        """Returns whether ``picture`` was coded as fields, or may contain such macroblocks (MBAFF).

        Not every encoder flags MBAFF pictures as interlaced; their content may well be progressive.
        """
        return bool(picture.interlaced_frame) or self.sequence.is_mbaff

    def _has_leading(self, number: int) -> bool:
        """Returns whether a packet read after ``number`` is shown before it, though the decoder may have skipped it."""
        seconds = self.packets[number].pts_seconds
        later = self.packets[number + 1 :]
        return seconds is not None and any(p.pts_seconds is not None and p.pts_seconds < seconds for p in later)

    def _read(self) -> Iterator[av.Packet]:
        """Yields the packets that are not empty, each registered in ``packets``."""
        try:
            for packet in self._video_packets():
                if not packet.size:
                    continue
                time = packet.dts if self._has_decoding_times else packet.pts
                seconds = None if time is None else float(time * packet.time_base)
                flags = h264.picture_flags(bytes(packet), self._length_size) if self.is_h264 else (False, False)
                if self._field_pairs.is_second(bytes(packet)) and self.packets:
                    self.packets[-1] = self.packets[-1]._replace(fields=2)
                else:
                    self.packets.append(PacketFacts(seconds, *flags))
                if self.has_vectors and packet.is_keyframe and self.codec in mpeg.DELAYED:
                    self._last_key.add(len(self.packets) - 1, packet)
                yield packet
        except av.FFmpegError as error:
            self.damage = f"packet {len(self.packets) - 1}: {error.strerror}"

    def _video_packets(self) -> Iterator[av.Packet]:
        """Yields the packets of the stream, some of them empty."""
        return packets_from(self._container, self._stream, self._begin)


def has_decoding_times(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> bool:
    """Returns whether a file has no times of display: AVI, and AVI's streams in Matroska (V_MS/VFW/FOURCC)."""
    if container.format.name.startswith("matroska"):  # which names no such code for other streams of these codecs
        return stream.codec_context.name in ("h264", "mpeg4") and bool(stream.codec_context.codec_tag.strip("\0"))
    return container.format.name == "avi"


def open_video(path: Path) -> tuple[av.container.InputContainer, av.video.stream.VideoStream]:
    """Opens a file with PyAV and finds its main video stream; cover pictures do not count.

    Raises:
        InputError: the file cannot be opened or has no video stream.
    """
    try:
        container = open_input(path)
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path}: not a readable media file ({error.strerror}).") from error
    return container, main_video(container, str(path))


def main_video(container: av.container.InputContainer, name: str) -> av.video.stream.VideoStream:
    """Returns the main video stream of an open input called ``name``; cover pictures do not count.

    Raises:
        InputError: it has none; the input is closed.
    """
    best = container.streams.best("video")
    for stream in (best, *container.streams.video):
        if (
            isinstance(stream, av.video.stream.VideoStream)
            and stream.codec_context is not None
            and not stream.disposition & Disposition.attached_pic
        ):
            return stream
    is_undecodable = any(stream.codec_context is None for stream in container.streams.video)
    container.close()
    if is_undecodable:
        raise UnsupportedInputError(
            f"{name}: has pictures of a codec for which there is no decoder here; convert it first, for example to H.264 or PNG."
        )
    raise InputError(f"{name}: has no video stream; a video file was expected.")
