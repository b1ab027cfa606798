"""Sizes of the packets of an input: how much of a video is where, and what its other streams weigh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.containers import WholePackets, open_input
from codecvsr.video.packets import video_index
from codecvsr.video.probe import Media
from codecvsr.video.scan import Scan


@dataclass(frozen=True)
class PacketSizes:
    """Bytes of an input's packets.

    Attributes:
        frames: (T,) of every frame of the scan; all 0 where the packets' times are not those of the frames.
        streams: of every stream of the file, by its index.
    """

    frames: npt.NDArray[np.int64]
    streams: dict[int, int]

    def weight(self, places: Sequence[tuple[int, int]], keys: npt.NDArray[np.bool_]) -> float:
        """Returns how much larger the predicted frames of the input are than those of ``places``, on average."""
        predicted = ~keys & (self.frames > 0)
        tried = np.zeros_like(predicted)
        for start, length in places:
            tried[start : start + length] = True
        if not (predicted & tried).any():
            return 1.0
        return float(self.frames[predicted].mean() / self.frames[predicted & tried].mean())


def read_packet_sizes(media: Media, scan: Scan, *, is_cut: bool = False) -> PacketSizes:
    """Reads the packets of an input, without decoding.

    Args:
        media: the input.
        scan: its frames.
        is_cut: of other streams, only the packets during these frames count.

    Raises:
        av.FFmpegError: the file cannot be read to its end.
    """
    frames = np.zeros(len(scan), np.int64)
    streams: Counter[int] = Counter()
    if media.kind == "pictures":
        paths = media.pictures[scan.first : scan.first + len(scan)]
        return PacketSizes(np.array([path.stat().st_size for path in paths], np.int64), {})
    video = video_index(media)
    by_time: dict[int, int] = {}
    begin, end = (float(pts * media.time_base) for pts in (int(scan.pts[0]), scan.end_pts))
    with open_input(media.path) as container:
        for packet in WholePackets(container):
            is_inside = packet.pts is None or begin <= packet.pts * packet.time_base < end
            if is_inside or not is_cut:
                streams[packet.stream_index] += packet.size
            if packet.stream_index == video and packet.pts is not None:
                by_time[packet.pts] = by_time.get(packet.pts, 0) + packet.size
    found = [by_time.get(int(pts), 0) for pts in scan.pts]
    return PacketSizes(np.array(found, np.int64) if all(found) else frames, dict(streams))
