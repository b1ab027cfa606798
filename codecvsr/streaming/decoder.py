"""Decoding a live stream: frames with their vectors as they come, in memory that does not grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, MutableSequence
from pathlib import Path
from typing import Any

import av

from codecvsr.bitstream import h264
from codecvsr.bitstream.decode import PacketFacts, VideoDecoder
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.streaming.clock import StreamClock

_STORED = 512  # packets: far more than a decoder delays


class RecentPackets(MutableSequence[PacketFacts]):
    """A list of packets of which only the last ones are stored; the others are unknown, without a time."""

    def __init__(self) -> None:
        self._recent: deque[PacketFacts] = deque(maxlen=_STORED)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            start, stop, _ = index.indices(self._count)
            return [self[i] for i in range(max(start, self._count - len(self._recent)), stop)]
        place = self._place(index)
        return self._recent[place] if place >= 0 else PacketFacts(None)

    def __setitem__(self, index: Any, facts: Any) -> None:
        self._recent[self._place(index)] = facts

    def __delitem__(self, index: Any) -> None:
        raise NotImplementedError

    def insert(self, index: int, facts: PacketFacts) -> None:
        """Adds a packet at the end, the only place where one can come."""
        if index != self._count:
            raise NotImplementedError
        self._recent.append(facts)
        self._count += 1

    def _place(self, index: int) -> int:
        index += self._count if index < 0 else 0
        if not 0 <= index < self._count:
            raise IndexError(index)
        return index - self._count + len(self._recent)


class StreamDecoder(VideoDecoder):
    """Decodes the video of an open live input; damage is concealed.

    Attributes:
        corrupt_packets: video packets that came incomplete.
        concealed: pictures that the decoder calls corrupt.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.video.stream.VideoStream,
        clock: StreamClock,
        on_packet: Callable[[av.Packet, bool], None],
    ) -> None:
        """Takes over an open input.

        Args:
            container: the input; it is closed with the decoder.
            stream: its video.
            clock: moves the packets of all streams.
            on_packet: called with every packet, and whether it is of the video, before it is decoded.
        """
        super().__init__(Path(), export=True, conceal=True, opened=(container, stream))
        self.packets = RecentPackets()
        self.corrupt_packets = self.concealed = 0
        self._clock, self._on_packet = clock, on_packet
        if not self.has_vectors:
            self._context.thread_type = "SLICE"  # threads that share a picture; one picture each would delay them

    def _video_packets(self) -> Iterator[av.Packet]:
        for packet in self._container.demux():
            if not packet.size:
                continue
            is_video = packet.stream_index == self._stream.index
            if is_video:
                self.corrupt_packets += packet.is_corrupt
                if self.is_h264 and packet.is_keyframe:
                    self._read_sequence(packet)
            self._clock.move(packet)
            self._on_packet(packet, is_video)
            if is_video:
                yield packet

    def _read_sequence(self, packet: av.Packet) -> None:
        """Takes the parameters of a sequence that begins with this packet, where they are in it."""
        facts = h264.sequence_facts(bytes(packet)) if self._length_size is None else h264.UNKNOWN
        if facts not in (h264.UNKNOWN, self.sequence):
            self.sequence = facts
            self._field_pairs = h264.FieldPairs(facts, self._length_size)

    def frames(self) -> Iterator[CodedFrame]:
        """Yields frames in display order, until the input ends."""
        index = 0
        for picture in self:
            if picture.pts is None or not 0 <= picture.pts < len(self.packets):
                continue
            self.concealed += bool(picture.is_corrupt)
            yield self.coded_frame(picture, index)
            index += 1
