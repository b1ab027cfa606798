"""The clock of formats that may restart it: joined transport streams, program streams and Ogg files.

The rule is that of FFmpeg's command line (``ts_discontinuity_detect`` in fftools/ffmpeg_demux.c): the decoding times of each
sound and video stream must follow each other. Where one jumps, the packets of all streams move by the same time from there on,
so that sound and picture stay in step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import av

from codecvsr.bitstream.containers import open_input, read_only, with_data

_TS_DISCONT = 0x0200  # AVFMT_TS_DISCONT of libavformat
_MAX_AHEAD = 10_000_000  # microseconds that a stream may jump forward
_MAX_BACK = 100_000  # microseconds that a decoding time may lie before the last one
_UNIT = 1_000_000
_BEFORE_JOINT = 2  # packets of a stream: libav's parser marks one early


class Clock:
    """Moves the packets of one file, in file order, onto a clock that does not restart.

    Attributes:
        restarts: how many jumps were found.
    """

    def __init__(self, container: av.container.InputContainer | None) -> None:
        """``container``: the file. Formats that must not restart their clock are left as they are; None for a live stream."""
        self.restarts = 0
        self.is_active = container is None or bool(container.format.flags & _TS_DISCONT)
        self._offset = 0  # microseconds
        self._expected: dict[int, tuple[int, int]] = {}  # last and next decoding time by stream, moved
        self._latest: int | None = None

    def packets(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        """Yields all ``packets`` of the file, moved."""
        for packet in packets:
            if self.is_active and packet.size:
                self.move(packet)
            yield packet

    def move(self, packet: av.Packet) -> None:
        """Moves the next packet in file order."""
        base = packet.time_base
        if packet.dts is not None and packet.stream.type in ("audio", "video"):
            dts = round(packet.dts * base * _UNIT) + self._offset
            jump = self._jump(packet.stream_index, dts)
            if jump:
                self._offset -= jump
                self.restarts += 1
                dts -= jump
            self._expected[packet.stream_index] = dts, dts + round((packet.duration or 0) * base * _UNIT)
            self._latest = dts
        if self._offset:
            by = round(self._offset / (_UNIT * base))
            packet.pts = None if packet.pts is None else packet.pts + by
            packet.dts = None if packet.dts is None else packet.dts + by

    def _jump(self, stream: int, dts: int) -> int:
        """Returns the microseconds that ``dts`` is off the expected time, 0 if that is no jump."""
        if stream in self._expected:
            last, expected = self._expected[stream]
            off = dts - expected
            return off if abs(off) > _MAX_AHEAD or dts + _MAX_BACK < last else 0
        off = 0 if self._latest is None else dts - self._latest
        return off if abs(off) > _MAX_AHEAD else 0


def video_packets(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> Iterator[av.Packet]:
    """Yields the packets of a video stream on a clock that does not restart.

    Where transport streams were joined, their packet counters do not match, and libav calls the last packets before the joint
    incomplete. They continue as whole ones: the decoder reports real damage.
    """
    clock = Clock(container)
    if not clock.is_active:
        yield from container.demux(stream)
        return
    waiting: deque[tuple[av.Packet, int]] = deque()  # with the number of restarts before it
    for packet in clock.packets(container.demux()):
        if packet.stream_index != stream.index:
            continue
        waiting.append((packet, clock.restarts))
        if len(waiting) > _BEFORE_JOINT:
            first, restarts = waiting.popleft()
            yield _as_whole(first, stream) if first.is_corrupt and clock.restarts > restarts else first
    yield from (packet for packet, _ in waiting)


def read_only_video(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> None:
    """Has libav pass over the streams that decoding ``stream`` does not need."""
    is_active = Clock(container).is_active  # it follows the times of sound
    needed = [other.index for other in container.streams if is_active and other.type in ("audio", "video")]
    read_only(container, [stream.index, *needed])


def _as_whole(packet: av.Packet, stream: av.video.stream.VideoStream) -> av.Packet:
    whole = with_data(packet, bytes(packet))
    whole.stream = stream
    return whole


def has_restarts(path: Path) -> bool:
    """Returns whether the clock of a file restarts; reads its packets if the format allows that."""
    with open_input(path) as container:
        clock = Clock(container)
        if clock.is_active:
            try:
                for _ in clock.packets(container.demux()):
                    pass
            except av.FFmpegError:
                pass  # the end of what can be read
        return clock.restarts > 0
