"""Packets and tags of a source's streams, as the output has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av

from codecvsr.bitstream.containers import open_input
from codecvsr.bitstream.decode import open_video
from codecvsr.video.probe import Media


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


def video_index(media: Media) -> int:
    """Returns the index of the video stream of a source."""
    container, stream = open_video(media.path)
    with container:
        return stream.index


def without(metadata: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    """Returns the tags whose names do not begin with one of ``names``."""
    return {key: value for key, value in metadata.items() if not key.lower().startswith(tuple(names))}
