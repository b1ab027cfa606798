"""Videos with side data, made byte by byte and not by the code under test; and what FFmpeg reads of it."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from codecvsr.bitstream.side_data import side_data
from tests.streams import moving_texture

RATE = 24
CAPTION_HEADERS = {"mpeg2video": b"\x00\x00\x01\xb2GA94\x03", "libx264": b"\xb5\x00\x31GA94\x03"}


def caption(number: int) -> bytes:
    """One to three triplets of caption data that differ from picture to picture, with zeros that need escapes in H.264."""
    triplets = [(0xFC, 0x94, 0x20 + number % 32), (0xFF, 0x80 | number, 0x00), (0xFE, 0x00, 0x00)]
    return bytes(value for triplet in triplets[: 1 + number % 3] for value in triplet)


def _with_caption(packet: bytes, codec: str, number: int) -> bytes:
    """A coded picture with caption ``number``; ATSC A/53 part 4, clause 6.2.3."""
    data = caption(number)
    user_data = CAPTION_HEADERS[codec] + bytes([0x40 | len(data) // 3, 0xFF]) + data + b"\xff"
    if codec == "mpeg2video":
        at = packet.index(b"\x00\x00\x01\x01")  # the first slice
        return packet[:at] + user_data + packet[at:]
    escaped = bytearray()
    zeros = 0
    for value in bytes([4, len(user_data)]) + user_data + b"\x80":
        if zeros >= 2 and value <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(value)
        zeros = zeros + 1 if value == 0 else 0
    at = next(i for i in range(len(packet)) if packet[i : i + 3] == b"\x00\x00\x01" and packet[i + 3] & 31 in (1, 5))
    return packet[:at] + b"\x00\x00\x01\x06" + bytes(escaped) + packet[at:]


def video_with_captions(path: Path, codec: str, frames: int = 10) -> Path:
    """A video with B pictures; every picture but the third has a caption that states when it is shown."""
    raw = "mpeg2video" if codec == "mpeg2video" else "h264"
    stream_file = path.with_suffix(".stream.nut")
    with av.open(str(stream_file), "w", format="nut") as out:
        stream = out.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.options = (
            {"bf": "2"} if raw == "mpeg2video" else {"x264-params": "bframes=2:b-adapt=0:keyint=5"}
        )
        if raw == "mpeg2video":
            stream.codec_context.gop_size, stream.codec_context.bit_rate = 5, 2000000
            stream.codec_context.max_b_frames = 2
        for number, picture in enumerate(moving_texture(frames, 48, 64, 1, 1)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with av.open(str(stream_file)) as old, av.open(str(path), "w") as new:
        template = old.streams.video[0]
        copy = new.add_stream_from_template(template, opaque=True)
        packets = [packet for packet in old.demux(template) if packet.size]
        order = sorted(packet.pts for packet in packets)
        for packet in packets:
            number = order.index(packet.pts)
            data = bytes(packet) if number == 2 else _with_caption(bytes(packet), codec, number)
            changed = av.Packet(data)
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.is_keyframe, changed.stream = packet.is_keyframe, copy
            new.mux(changed)
    stream_file.unlink()
    return path


def shown(path: Path, name: str) -> list[tuple[Fraction, bytes]]:
    """Time from the first picture, and side data of a type, of each picture."""
    with av.open(str(path)) as container:
        found = []
        for frame in container.decode(video=0):
            item = side_data(frame).get(name)
            found.append(((frame.pts or 0) * frame.time_base, b"" if item is None else bytes(item)))
    return [(time - found[0][0], data) for time, data in found]


def integers(*numbers: int) -> bytes:
    """A structure of FFmpeg's of 32-bit integers."""
    return struct.pack(f"={len(numbers)}i", *numbers)
