"""The packets of a video stream from its start, or from a key packet on."""

from __future__ import annotations

from collections.abc import Iterator

import av

from codecvsr.bitstream.clock import video_packets

_SEEK_EARLIER = (0, 1, 10)  # seconds
_MAX_TRIED = 8  # key packets that may precede the one that is sought


def packets_from(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, pts: int | None
) -> Iterator[av.Packet]:
    """Yields the packets of a stream: all, or from the key packet shown at ``pts``; none where that cannot be found."""
    if pts is None:
        yield from video_packets(container, stream)
        return
    for earlier in _SEEK_EARLIER:  # a transport stream has no index: a seek may end too late
        back = 0 if stream.time_base is None else round(earlier / stream.time_base)
        try:
            container.seek(pts - back, stream=stream)
        except av.FFmpegError:
            return
        tried = 0
        packets = container.demux(stream)
        for packet in packets:
            if packet.pts == pts and packet.is_keyframe:
                yield packet
                yield from packets
                return
            tried += packet.is_keyframe
            if tried > _MAX_TRIED or (tried and packet.dts is not None and packet.dts > pts):
                break
