"""Videos with side data, made byte by byte and not by the code under test; and what FFmpeg reads of it."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from codecvsr.bitstream.side_data import side_data
from codecvsr.video import iso_boxes
from tests.streams import encode, moving_texture

RATE = 24
CAPTION_HEADERS = {"mpeg2video": b"\x00\x00\x01\xb2GA94\x03", "libx264": b"\xb5\x00\x31GA94\x03"}


def integers(*numbers: int) -> bytes:
    """A structure of FFmpeg's of 32-bit integers."""
    return struct.pack(f"={len(numbers)}i", *numbers)


SPHERE = (30 << 16, -(10 << 16), 5 << 16)  # yaw, pitch and roll in degrees, 16.16
#: Red, green, blue and white as (x, y) in steps of 0.00002; luminance in steps of 0.0001: a display of BT.2020's reference.
CHROMA = (35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450)
STRUCTURES = {
    "SPHERICAL": integers(0, *SPHERE, 0, 0, 0, 0, 0),
    "STEREO3D": integers(2, 0, 0, 0, 0, 0, 1, 0, 1),
    "MASTERING_DISPLAY_METADATA": integers(
        *(number for value in CHROMA for number in (value, 50000)), 50, 10000, 1000, 1, 1, 1
    ),
    "CONTENT_LIGHT_LEVEL": integers(1000, 400),
    "AMBIENT_VIEWING_ENVIRONMENT": integers(314, 10, 15635, 50000, 16450, 50000),
    "ICC_PROFILE": bytes(range(256)) * 3,
}

OF_CAMERAS = {
    name: STRUCTURES[name] for name in STRUCTURES if name not in ("AMBIENT_VIEWING_ENVIRONMENT", "ICC_PROFILE")
}


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


def described(folder, name, structures=OF_CAMERAS, size=64):
    """An H.264 video in MP4 whose boxes are written here, with the given side data."""
    path = encode(folder / name, moving_texture(6, size, size, 1, 1), options={"x264-params": "bframes=1:keyint=3"})

    def box(kind, payload):
        return struct.pack(">I4s", 8 + len(payload), kind) + payload

    boxes = b""
    if "STEREO3D" in structures:
        boxes += box(b"st3d", bytes(4) + b"\x01")
    if "SPHERICAL" in structures:
        kind = struct.unpack_from("=i", structures["SPHERICAL"])[0]
        shape = box(b"cbmp", struct.pack(">3I", 0, 0, 8)) if kind == 1 else box(b"equi", bytes(20))
        head = box(b"prhd", bytes(4) + struct.pack(">3i", *SPHERE))
        boxes += box(b"sv3d", box(b"svhd", bytes(4) + b"test\0") + box(b"proj", head + shape))
    if "CONTENT_LIGHT_LEVEL" in structures:
        red, rest = CHROMA[:2], CHROMA[2:6]
        boxes += box(b"mdcv", struct.pack(">8H2I", *rest, *red, *CHROMA[6:], 10000000, 50))
        boxes += box(b"clli", struct.pack(">2H", 1000, 400))
    if "AMBIENT_VIEWING_ENVIRONMENT" in structures:
        boxes += box(b"amve", struct.pack(">I2H", 314000, 15635, 16450))
    if "ICC_PROFILE" in structures:
        boxes += box(b"colr", b"prof" + structures["ICC_PROFILE"])
    with path.open("rb+") as file:
        iso_boxes.add_to_pictures(file, boxes)
    return path


def time_lapse(path, orientation):
    """Motion JPEG as cameras write it: every picture has an EXIF block."""
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0) + bytes(4)
    block = b"Exif\0\0" + tiff
    with av.open(str(path), "w") as out:
        stream = out.add_mux_stream("mjpeg", rate=24, width=64, height=48)
        for number, picture in enumerate(moving_texture(4, 48, 64, 1, 1)):
            data = cv2.imencode(".jpg", picture)[1].tobytes()
            packet = av.Packet(data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:])
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 24), stream, True
            out.mux(packet)
    return path
