"""Packets and tags of a source's streams, as the output has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av

from codecvsr.bitstream.containers import open_input
from codecvsr.bitstream.decode import open_video
from codecvsr.video.probe import Media
from codecvsr.video.stream_mapping import Action
from codecvsr.video.subtitles import parse_subrip, parse_timed_text, write_subrip, write_timed_text


def fresh_packets(path: Path, index: int) -> Iterator[av.Packet]:
    """Yields the packets of a stream, read from the start."""
    with open_input(path) as container:
        for packet in container.demux(container.streams[index]):
            if packet.size:
                yield packet


def cover_packet(packet: av.Packet, stream: av.stream.Stream) -> av.Packet:
    """Returns a cover picture as the only packet of ``stream``."""
    new: av.Packet = av.Packet(bytes(packet))
    new.time_base, new.pts, new.dts, new.stream = Fraction(1, 1000), 0, 0, stream
    new.is_keyframe = True
    return new


def convert_subtitle(packet: av.Packet, action: Action) -> av.Packet | None:
    """Returns a subtitle packet in the other format; None if it shows nothing."""
    if action == "to_mov_text":
        payload = write_timed_text(parse_subrip(bytes(packet)))
    else:
        styled = parse_timed_text(bytes(packet))
        if not styled.text:
            return None
        payload = write_subrip(styled)
    new: av.Packet = av.Packet(payload)
    new.time_base, new.pts, new.dts, new.duration = packet.time_base, packet.pts, packet.dts, packet.duration
    return new


def video_index(media: Media) -> int:
    """Returns the index of the video stream of a source."""
    container, stream = open_video(media.path)
    with container:
        return stream.index


def without(metadata: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    """Returns the tags whose names do not begin with one of ``names``."""
    return {key: value for key, value in metadata.items() if not key.lower().startswith(tuple(names))}
