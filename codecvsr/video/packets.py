"""Packets and tags of a source's streams, as the output has them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av

from codecvsr.bitstream.containers import WholePackets, open_input, read_only
from codecvsr.bitstream.decode import open_video
from codecvsr.video.probe import Media

#: Beginnings of the names of tags that describe how a stream was coded.
OF_OLD_STREAM = (
    "encoder", "bps", "duration", "number_of_frames", "number_of_bytes", "_statistics", "vendor_id", "file_package", "alpha_mode",
)  # fmt: skip
_MAX_FIRST = 8
_MAX_TRIED, _MAX_TRIED_BYTES = 2000, 1 << 25  # packets and bytes that are read for the first ones of every stream


def fresh_packets(path: Path, index: int) -> Iterator[av.Packet]:
    """Yields the packets of a stream, read from the start, without damaged ones."""
    with open_input(path) as container:
        read_only(container, [index])
        for packet in WholePackets(container):
            if packet.size and packet.stream_index == index:
                yield packet


def first_packets(container: av.container.InputContainer) -> dict[int, list[av.Packet]]:
    """Returns up to 8 packets of each stream, by its index, from the first seconds of a file; reads from its place on."""
    found: dict[int, list[av.Packet]] = {}
    wanted = {stream.index for stream in container.streams if stream.type in ("audio", "video", "subtitle", "data")}
    size = 0
    for count, packet in enumerate(WholePackets(container)):
        size += packet.size
        if packet.size and len(packets := found.setdefault(packet.stream_index, [])) < _MAX_FIRST:
            packets.append(packet)
            if len(packets) == _MAX_FIRST:
                wanted.discard(packet.stream_index)
        if not wanted or count > _MAX_TRIED or size > _MAX_TRIED_BYTES:
            break
    return found


def cover_packet(packet: av.Packet, stream: av.stream.Stream) -> av.Packet:
    """Returns a cover picture as the only packet of ``stream``."""
    new: av.Packet = av.Packet(bytes(packet))
    new.time_base, new.pts, new.dts, new.stream = Fraction(1, 1000), 0, 0, stream
    new.is_keyframe = True
    return new


def matroska_sample(template: av.stream.Stream, first: av.Packet) -> bytes:
    """Returns a Matroska file with one stream, like ``template``, and its first packet: a header to add elements to."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska", container_options={"live": "1", "write_crc32": "0"}) as sample:
        packet: av.Packet = av.Packet(bytes(first))
        packet.stream = sample.add_stream_from_template(template, opaque=True)
        packet.pts = packet.dts = 0
        packet.time_base, packet.is_keyframe = Fraction(1, 1000), True
        sample.mux_one(packet)
    return file.getvalue()


def video_index(media: Media) -> int:
    """Returns the index of the video stream of a source."""
    container, stream = open_video(media.path)
    with container:
        return stream.index


def without(metadata: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    """Returns the tags whose names do not begin with one of ``names``."""
    return {key: value for key, value in metadata.items() if not key.lower().startswith(tuple(names))}


def file_tags(container: av.container.Container) -> dict[str, str]:
    """Returns the tags of a file; in Ogg they are those of its streams, the first one's where they differ."""
    tags = dict(container.metadata)
    if container.format.name == "ogg":
        for stream in container.streams:
            for key, value in without(stream.metadata, ("language", *OF_OLD_STREAM)).items():
                tags.setdefault(key, value)
    return tags


def stream_tags(stream: av.stream.Stream, *, is_new: bool) -> dict[str, str]:
    """Returns the tags of a stream for a muxer; for a stream that is coded anew those that still hold.

    FFmpeg reads the name of a track of MP4 as "name", and its muxers expect it as "title".
    """
    tags = without(stream.metadata, OF_OLD_STREAM if is_new else ("encoder",))
    if "name" in tags and "title" not in tags:
        tags["title"] = tags.pop("name")
    return tags
