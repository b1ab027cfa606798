"""Opens media files with PyAV: the only place that names the protocol and the encoding of their tags."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
from av.stream import Discard

#: Tags need not be UTF-8 (Shift-JIS and Latin-1 are common): other bytes become surrogates, and are written as they were.
TAG_ERRORS = "surrogateescape"
_MAX_FAILED = 64  # reads without a packet: the rest of the file cannot be read


def open_input(path: Path, **keywords: Any) -> av.container.InputContainer:
    """Opens a file for reading; ``keywords`` are those of ``av.open``.

    With the protocol named, no file name can pass for an address.

    Raises:
        av.FFmpegError: it cannot be read.
    """
    return av.open(f"file:{path}", metadata_errors=TAG_ERRORS, **keywords)


def with_data(packet: av.Packet, data: bytes) -> av.Packet:
    """Returns a packet of other data with the times and the key flag of ``packet``; it belongs to no stream yet."""
    new: av.Packet = av.Packet(data)
    new.time_base, new.pts, new.dts, new.duration = packet.time_base, packet.pts, packet.dts, packet.duration
    new.is_keyframe = packet.is_keyframe
    return new


def read_only(container: av.container.InputContainer, streams: Collection[int]) -> None:
    """Has libav pass over all other streams of a file that was just opened, so that damage of theirs does not count.

    A compressed packet of Matroska that is damaged costs all packets up to the next cluster, of every stream. libav has read some
    before it learns what to pass over, so it begins again.
    """
    for stream in container.streams:
        if stream.index not in streams:
            stream.discard = Discard.all
    if container.format.name.startswith("matroska") and container.streams.subtitles:
        with suppress(av.FFmpegError):
            container.seek(0)


class WholePackets:
    """The packets of all streams of a file, without those that cannot be read, such as compressed subtitles that are damaged.

    Attributes:
        damaged: number of those that were left out so far.
    """

    def __init__(self, container: av.container.InputContainer) -> None:
        """``container``: read from where it is."""
        self.damaged = 0
        self._container = container

    def __iter__(self) -> Iterator[av.Packet]:
        """Yields packets up to the end, or to where nothing more can be read.

        Raises:
            av.FFmpegError: the file cannot be read for another reason than damage.
        """
        failed = 0  # in a row
        while failed < _MAX_FAILED:
            try:
                for packet in self._container.demux():
                    failed = 0
                    yield packet
                return
            except av.error.InvalidDataError:
                failed += 1
                self.damaged += 1
