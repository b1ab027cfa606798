"""Output times from source times: clocks that restart, times in coding order, raw streams, missing and backward times."""

from __future__ import annotations

import itertools
import struct
from fractions import Fraction

import av
import pytest

import codecvsr
from codecvsr.bitstream.conceal import ConcealedVideo
from codecvsr.video.probe import Media
from codecvsr.video.scan import scan
from codecvsr.video.timeline import PacketTimes, display_times
from tests.streams import encode, moving_texture
from tests.videos import read


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 10, 25, 30], [0, 10, 25, 30]),
        ([0, 30, 10, 20, 60, 40, 50], [0, 10, 20, 30, 40, 50, 60]),  # coding order
        ([0, 10, 20, 0, 10, 20], [0, 10, 20, 30, 40, 50]),  # the clock restarts
        (
            [*range(500, 700, 10), *range(5, 600, 30)],
            [*range(500, 700, 10), *range(700, 1295, 30)],
        ),  # steps after it stay
        ([0, 10, 20, 20, 40, 50], [0, 10, 20, 30, 40, 50]),  # a single repeated time
        ([None, 10, None, None, 40, None], [0, 10, 20, 30, 40, 50]),
        ([None, None], [0, 10]),
    ],
)
def test_display_times(times, expected):
    assert display_times(times, 10) == expected


def _sound(dts: int | None) -> av.Packet:
    packet = av.Packet(b"0")
    packet.time_base, packet.duration = Fraction(1, 1000), 20
    packet.pts = packet.dts = dts
    return packet


@pytest.mark.parametrize(
    ("times", "expected", "moved"),
    [
        ([0, 20, 40], [0, 20, 40], 0),
        ([500, 520, 0, 20, 560 + 20], [500, 520, 540, 560, 580], 2),  # runs backwards, then is right again
        ([None, None, 40], [0, 20, 40], 2),
        ([0, 20, 15, 35], [0, 20, 21, 35], 0),  # parts that overlap by less than a packet stay with the picture
    ],
)
def test_sound_packets(times, expected, moved):
    corrector = PacketTimes("audio")
    packets = [_sound(time) for time in times]
    for packet in packets:
        corrector.correct(packet)
    assert [packet.dts for packet in packets] == [packet.pts for packet in packets] == expected
    assert corrector.moved == moved


def _with_sound(path, frames=24):
    """A video of ``frames`` / 24 s with B frames and sound as long."""
    with av.open(str(path), "w") as out:
        video, sound = out.add_stream("mpeg2video" if path.suffix == ".mpg" else "libx264", rate=24), None
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        video.codec_context.max_b_frames = 2
        sound = out.add_stream("mp2", rate=48000)
        packets = []
        for picture in moving_texture(frames, 32, 48, 2, 1):
            packets += video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        packets += video.encode(None)
        samples = frames * 2000
        for start in range(0, samples - 1151, 1152):
            silence = av.AudioFrame(format="s16", layout="stereo", samples=1152)
            for plane in silence.planes:
                plane.update(bytes(plane.buffer_size))
            silence.sample_rate, silence.pts = 48000, start
            packets += sound.encode(silence)
        packets += sound.encode(None)
        out.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
    return path


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_joined_files_last_as_long_as_their_parts(tmp_path, suffix, caplog):
    part = _with_sound(tmp_path / f"part.{suffix}")
    joined = tmp_path / f"joined.{suffix}"
    joined.write_bytes(part.read_bytes() * 3)
    codecvsr.upscale(joined, tmp_path / "o.mkv", model="bicubic", preset="ultrafast", chunk=20)
    streams, _, _ = read(tmp_path / "o.mkv")
    times = {kind: sorted(seconds for seconds, _ in packets) for kind, _, packets in streams}
    video, sound = times["video"], times["audio"]
    steps = [later - time for time, later in itertools.pairwise(video)]
    assert len(video) == 72 and all(abs(step - 1 / 24) < 0.03 for step in steps)
    assert float(video[-1] - video[0]) == pytest.approx(71 / 24, abs=0.05)
    assert float(sound[-1] - sound[0]) == pytest.approx(3, abs=0.1)
    assert abs(sound[-1] - video[-1]) < 0.1
    assert "do not increase" not in caplog.text


@pytest.mark.parametrize(("codec", "delay"), [("libx264", 2), ("mpeg4", 1)])
def test_avi_with_b_frames(tmp_path, codec, delay, caplog):
    source = tmp_path / "s.avi"
    with av.open(str(source), "w") as out:
        video = out.add_stream(codec, rate=24)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        video.codec_context.max_b_frames = 2
        for picture in moving_texture(24, 32, 48, 2, 1):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode(None))
    media = Media.open(source)
    found = scan(media)
    steps = {later - time for time, later in itertools.pairwise(found.pts.tolist())}
    assert {step * media.time_base for step in steps} == {Fraction(1, 24)} and len(found) == 24
    assert found.pts[0] * media.time_base == Fraction(delay, 24)  # as FFmpeg's command line shows it
    assert found.end_pts * media.time_base == Fraction(24 + delay, 24)
    assert "do not increase" not in caplog.text
    concealed = ConcealedVideo(source)
    assert [frame.pts_seconds for frame in concealed] == [(t + delay) / 24 for t in range(24)]
    assert concealed.concealed == 0


def test_streams_of_avi_in_matroska(tmp_path):
    """V_MS/VFW/FOURCC: an AVI header for codec data, and times of decoding."""
    source = encode(tmp_path / "s.avi", moving_texture(24, 32, 48, 2, 1), options={"bf": "2"})
    other = encode(tmp_path / "o.avi", moving_texture(2, 32, 48, 2, 1), codec="mpeg4")
    target = tmp_path / "t.mkv"
    with av.open(str(source)) as old, av.open(str(other)) as model, av.open(str(target), "w") as new:
        copy = new.add_stream_from_template(model.streams.video[0])  # Matroska's name of its codec has as many letters
        header = struct.pack("<3I2H4s5I", 40, 48, 32, 1, 24, b"H264", 0, 0, 0, 0, 0)
        copy.codec_context.extradata = header
        for packet in old.demux(video=0):
            if packet.size:
                packet.pts, packet.stream = packet.dts, copy
                new.mux(packet)
    data = target.read_bytes()
    assert data.count(b"V_MPEG4/ISO/ASP") == 1
    target.write_bytes(data.replace(b"V_MPEG4/ISO/ASP", b"V_MS/VFW/FOURCC"))
    media = Media.open(target)
    assert media.codec == "h264"
    assert [round(pts * media.time_base * 24) for pts in scan(media).pts.tolist()] == list(range(2, 26))
    concealed = ConcealedVideo(target)
    assert len(list(concealed)) == 24 and concealed.concealed == 0


def test_a_raw_stream_has_its_own_rate_or_the_one_asked_for(tmp_path):
    encoded = encode(tmp_path / "s.mp4", moving_texture(12, 32, 48, 2, 1), fps=30)
    raw = tmp_path / "s.h264"
    with av.open(str(encoded)) as source, av.open(str(raw), "w", format="h264") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        annex_b = av.BitStreamFilterContext("h264_mp4toannexb", source.streams.video[0], stream)
        for packet in source.demux(video=0):
            for filtered in annex_b.filter(packet if packet.size else None):
                filtered.stream = stream
                out.mux(filtered)
    for fps, expected in ((None, 30), (Fraction(12), 12)):
        media = Media.open(raw, fps)
        found = scan(media)
        assert media.rate == expected and len(found) == 12
        assert float(found.pts[-1] * media.time_base) == pytest.approx(11 / expected, abs=1e-3)
