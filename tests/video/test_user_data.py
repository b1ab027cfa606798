"""Unregistered user data in SEI messages, such as telemetry of drones: every byte at its picture, or a word about it."""

from __future__ import annotations

import av
import pytest

import codecvsr
from codecvsr.bitstream import sei
from codecvsr.bitstream.side_data import user_data
from codecvsr.errors import OutputError
from tests.streams import moving_texture

BICUBIC = {"model": "bicubic", "preset": "ultrafast", "crf": 20}
MISB = b"MISPmicrosectime"
DRONE = bytes(range(16))
X264 = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef")
FRAMES = 7


def messages(number: int) -> list[bytes]:
    """Of a picture: two of different owners, one long and with bytes to be escaped; none for the third picture."""
    return [] if number == 2 else [MISB + bytes([0x1F, number]), DRONE + bytes(300) + b"\0\0\x01" + bytes([number])]


def recording(folder, codec="h264", payloads=messages, container="mkv"):
    """A video with B-frames whose pictures have the messages of their number in display order."""
    raw = folder / "raw.nut"
    with av.open(str(raw), "w", format="nut") as out:
        stream = out.add_stream("libx264" if codec == "h264" else "libx265", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.options = {
            "preset": "ultrafast",
            "x264-params": "bframes=2:b-adapt=0",
            "x265-params": "log-level=none",
        }
        for number, picture in enumerate(moving_texture(FRAMES, 48, 64, 1, 1)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    path = folder / f"in.{container}"
    with av.open(str(raw)) as old, av.open(str(path), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0], opaque=True)
        packets = [packet for packet in old.demux(video=0) if packet.size]
        order = sorted(packet.pts for packet in packets)
        for packet in packets:
            found = payloads(order.index(packet.pts))
            changed = av.Packet(sei.insert(bytes(packet), codec, [(5, each) for each in found]))
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.is_keyframe, changed.stream = packet.is_keyframe, copy
            new.mux(changed)
    return path


def owned(path):
    """The messages of each picture that no encoder wrote about itself."""
    with av.open(str(path)) as container:
        return [
            [each for each in user_data(frame) if each[:16] in (MISB, DRONE)] for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("output", ["o.mp4", "o.mkv"])
def test_user_data_stay_at_their_pictures(tmp_path, codec, output):
    source = recording(tmp_path, codec)
    expected = [messages(number) for number in range(FRAMES)]
    assert owned(source) == expected
    report = codecvsr.upscale(source, tmp_path / output, strict=True, chunk=3, **{**BICUBIC, "codec": codec})
    assert report.losses == []
    assert owned(tmp_path / output) == expected


@pytest.mark.parametrize("name", ["o.mkv", "frames"])
def test_user_data_that_the_output_cannot_store_are_named(tmp_path, name):
    source, options = recording(tmp_path), {**BICUBIC, "codec": "ffv1" if name == "o.mkv" else "h264"}
    report = codecvsr.upscale(source, tmp_path / name, **options)
    assert [loss.split(" (")[0] for loss in report.losses] == ["user data of the pictures"]
    if name == "o.mkv":
        with pytest.raises(OutputError, match="user data"):
            codecvsr.upscale(source, tmp_path / "p.mkv", strict=True, **options)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_settings_of_encoders_are_no_loss(tmp_path, codec):
    source = recording(tmp_path, codec, lambda _: [X264 + b"x264 - core 164 - options: crf=23"])
    report = codecvsr.upscale(source, tmp_path / "o.mkv", strict=True, **{**BICUBIC, "codec": "ffv1"})
    assert report.losses == []
