"""Side data of a source in an output: what holds for all pictures in the container, what belongs to one in its packet.

Matroska: FFmpeg's writer stores what a stream states, and PyAV copies that from a template: a header in memory, to which elements
are added. MP4 and MOV: boxes are added to the finished file, as FFmpeg's own ``vexu`` has no angles and layouts. Captions, user
data, active format and HDR10 are SEI messages in H.264 and HEVC.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np

from codecvsr.bitstream import sei
from codecvsr.bitstream.containers import TAG_ERRORS, with_data
from codecvsr.bitstream.picture_encoder import PictureEncoder, VideoFormat
from codecvsr.video import iso_boxes, matroska
from codecvsr.video.packets import matroska_sample
from codecvsr.video.segments import ENCODERS, Codec, EncoderOptions, usual_pixel_format
from codecvsr.video.side_data import OF_PICTURES, OF_STREAM, WORDS, PictureData, SideData, parse, shown_side_data
from codecvsr.video.side_data_forms import matroska_elements, mp4_boxes, sei_messages

_SIDE = 64  # pixels of the sample picture


class SideDataWriter:
    """Writes the side data of a source into an output."""

    def __init__(self, data: SideData, codec: str, container: str, scale: Fraction = Fraction(1)) -> None:
        """Prepares elements, boxes and messages.

        Args:
            data: of the source.
            codec: of the output's pictures.
            container: libav's name of the output's format.
            scale: width of the output / width of the source.
        """
        self._pictures = data.pictures
        self._codec: sei.Codec | None = "h264" if codec == "h264" else "hevc" if codec == "hevc" else None
        values = {name: parse(name, content) for name, content in data.stream.items()}
        if "SPHERICAL" in values:
            *sphere, padding = values["SPHERICAL"]
            values["SPHERICAL"] = (*sphere, round(padding * scale))
        self._of_key_pictures = sei_messages(values)
        self._elements = matroska_elements(values) if container == "matroska" else []
        self._boxes = b"" if container == "matroska" else mp4_boxes(values)

    def add_stream(
        self, out: av.container.OutputContainer, template: av.video.stream.VideoStream, first: av.Packet
    ) -> av.video.stream.VideoStream:
        """Adds a stream to ``out`` that is like ``template``, whose first packet is ``first``, and states the side data."""
        if not self._elements:
            return out.add_stream_from_template(template, opaque=True)
        data = matroska_sample(template, first)
        for path, added in self._elements:
            data = matroska.add_elements(data, (*matroska.VIDEO_PATH, *path), added)
        with av.open(io.BytesIO(data), "r", metadata_errors=TAG_ERRORS) as described:
            new = out.add_stream_from_template(described.streams.video[0], opaque=True)
        new.codec_context.extradata = template.codec_context.extradata  # Matroska's has no start codes
        if (aspect := template.codec_context.sample_aspect_ratio) is not None:
            new.codec_context.sample_aspect_ratio = aspect
        return new

    def finish(self, file: BinaryIO) -> None:
        """Adds what the muxer does not write to a finished output, open for reading and writing."""
        if self._boxes:
            iso_boxes.add_to_pictures(file, self._boxes)

    def attach(self, packet: av.Packet, index: int) -> av.Packet:
        """Returns the packet of picture ``index``, counted in display order, with its messages."""
        if self._codec is None:
            return packet
        messages = list(self._of_key_pictures) if packet.is_keyframe else []
        if "A53_CC" in self._pictures:
            messages += sei.captions(self._pictures["A53_CC"].of(index))
        if "AFD" in self._pictures and (code := self._pictures["AFD"].of(index)):
            messages.append(sei.active_format(code[0]))
        if "SEI_UNREGISTERED" in self._pictures:
            messages += sei.unregistered(self._pictures["SEI_UNREGISTERED"].of(index))
        if not messages:
            return packet
        return with_data(packet, sei.insert(bytes(packet), self._codec, messages))


def carried(data: SideData, codec: Codec, container: str) -> set[str]:
    """Returns, in words, the side data that an output will have: that of a sample with one picture, written and read.

    Args:
        data: of the source.
        codec: of the output's pictures.
        container: libav's name of the output's format.
    """
    if not data.stream and not data.pictures:
        return set()
    first = {name: PictureData.of_all([_first(each)]) for name, each in data.pictures.items()}
    writer = SideDataWriter(SideData(data.names, data.stream, first), codec, container)
    written = io.BytesIO()
    with av.open(io.BytesIO(_sample(codec)), "r", format="nut") as sample:
        template = sample.streams.video[0]
        packet = next(sample.demux(template))
        try:
            with av.open(written, "w", format=container, metadata_errors=TAG_ERRORS) as out:
                stream = writer.add_stream(out, template, packet)
                packet = writer.attach(packet, 0)
                packet.stream = stream
                out.mux_one(packet)
        except (av.FFmpegError, ValueError):
            return set()
    writer.finish(written)
    with av.open(io.BytesIO(written.getvalue()), "r") as result:
        found = shown_side_data(next(result.decode(video=0)))
    old = {**data.stream, **{name: each.of(0) for name, each in first.items()}}
    return {
        WORDS[name]
        for name in (*OF_STREAM, *OF_PICTURES)
        if name in old and name in found and parse(name, old[name]) == parse(name, found[name])
    }


def _first(pictures: PictureData) -> bytes:
    return next((data for index in range(len(pictures.ends)) if (data := pictures.of(index))), b"")


def _sample(codec: Codec) -> bytes:
    """Returns a NUT file with one grey picture."""
    options = EncoderOptions(codec, pixel_format=usual_pixel_format(codec, "yuv420p"))
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as out:
        form = VideoFormat(_SIDE, _SIDE, Fraction(24), pixel_format=options.pixel_format)
        encoder = PictureEncoder(out, ENCODERS[codec], form, options.parameters, threads=1)
        encoder.add(np.full((_SIDE, _SIDE, 3), 128, np.uint8), 0)
        encoder.finish()
    return file.getvalue()


def lost(data: SideData, codec: Codec, container: str | None, stored: Collection[str] = ()) -> list[str]:
    """Returns, in words, what of a source's side data the output lacks.

    Args:
        data: of the source.
        codec: of a video output's pictures.
        container: libav's name of its format; None for image files.
        stored: in words, what image files have.
    """
    there = {*stored} if container is None else {*stored, *carried(data, codec, container)}
    return [f"{name}: the output cannot store it, so it is omitted" for name in data.names if name not in there]
