"""Damage of a subtitle track is named, and the pictures are upscaled; what a muxer cannot write is known before the work."""

from __future__ import annotations

import logging
import zlib
from fractions import Fraction

import av
import pytest

import codecvsr
from codecvsr.bitstream.containers import WholePackets
from codecvsr.inference.infer import infer
from codecvsr.video import matroska
from codecvsr.video.probe import Media
from codecvsr.video.stream_mapping import plan_streams
from tests.streams import encode, moving_texture
from tests.tracks import with_sound

BICUBIC = {"model": "bicubic", "preset": "ultrafast", "crf": 20}
FRAMES = 8
MUXER = {"live": "1", "write_crc32": "0", "cluster_time_limit": "70"}
SUBTITLE = bytes(range(40))


def with_compressed_subtitles(path, damaged):
    """A video after a track of picture subtitles that Matroska compresses by zlib, some of them damaged."""
    video = encode(path.with_suffix(".video.mp4"), moving_texture(FRAMES, 48, 64, 1, 1))
    with (
        av.open(str(video)) as old,
        av.open(str(path), "w", container_options=MUXER) as out,
    ):
        text = out.add_mux_stream("dvd_subtitle", time_base=Fraction(1, 1000))
        picture = out.add_stream_from_template(old.streams.video[0], opaque=True)
        out.start_encoding()
        packets = [(packet.dts * packet.time_base, packet) for packet in old.demux(video=0) if packet.size]
        for _, packet in packets:
            packet.stream = picture
        for number in range(4):
            data = bytearray(zlib.compress(SUBTITLE))
            if number in damaged:
                data[2:] = b"\xff" * (len(data) - 2)
            packet = av.Packet(bytes(data))
            packet.pts = packet.dts = 80 * number
            packet.time_base, packet.stream = Fraction(1, 1000), text
            packets.append((Fraction(80 * number, 1000), packet))
        for _, packet in sorted(packets, key=lambda each: each[0]):
            out.mux_one(packet)
    compression = matroska.element(0x5034, matroska.unsigned(0x4254, 0))  # ContentCompression, ContentCompAlgo
    encoding = matroska.element(0x6240, matroska.unsigned(0x5031, 0) + matroska.unsigned(0x5032, 1) + compression)
    tracks = (0x18538067, 0x1654AE6B, 0xAE)
    path.write_bytes(matroska.add_elements(path.read_bytes(), tracks, matroska.element(0x6D80, encoding)))
    return path


def subtitles(path):
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        packets = WholePackets(container)
        return [bytes(packet) for packet in packets if packet.size and packet.stream_index == stream.index]


@pytest.mark.parametrize("damaged", [(), (0,), (1,), (0, 1, 2, 3)])
def test_damaged_subtitles_do_not_stop_the_pictures(tmp_path, caplog, damaged):
    source = with_compressed_subtitles(tmp_path / "in.mkv", damaged)
    left = subtitles(source)
    assert set(left) <= {SUBTITLE} and (len(left) < 4) == bool(damaged)
    with caplog.at_level(logging.WARNING):
        report = codecvsr.upscale(source, tmp_path / "o.mkv", strict=True, **BICUBIC)
    assert report.frames == FRAMES and subtitles(tmp_path / "o.mkv") == left
    told = [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()]
    expected = f"{source}: {len(damaged)} packets of its subtitles are damaged; they were left out, with others up to the next cluster."
    assert told == ([expected] if damaged else [])
    assert infer(source, tmp_path / "sr", model="bicubic").frames == FRAMES


class Broken:
    """A file whose reads fail."""

    def __init__(self, reads):
        self._reads = list(reads)

    def demux(self):
        while self._reads:
            read = self._reads.pop(0)
            if read is None:
                raise av.error.InvalidDataError(1094995529, "Invalid data")
            yield read


def test_reading_goes_on_after_damage_and_ends():
    packets = WholePackets(Broken([1, None, 2, None, None, 3]))
    assert list(packets) == [1, 2, 3] and packets.damaged == 3
    packets = WholePackets(Broken([1, *[None] * 1000]))
    assert list(packets) == [1] and packets.damaged < 100


def test_damaged_blocks_are_counted(tmp_path):
    path = with_compressed_subtitles(tmp_path / "in.mkv", (1, 3))
    assert matroska.damaged_blocks(path) == 2
    for name, data in (("empty", b""), ("cut", path.read_bytes()[:700]), ("text", b"no matroska")):
        (tmp_path / name).write_bytes(data)
        assert matroska.damaged_blocks(tmp_path / name) <= 1


def test_a_codec_that_fails_at_its_first_packet_is_encoded_again(tmp_path):
    """E-AC-3 in NUT is taken for AC-3: MP4 takes the header, and fails when the first packet says otherwise."""
    source = with_sound(tmp_path / "in.nut", "eac3", 48000, "stereo")
    (plan,) = plan_streams(Media.open(source), tmp_path / "o.mp4")
    assert plan.action == "encode" and "is encoded again as aac" in plan.note
    assert codecvsr.upscale(source, tmp_path / "o.mp4", **BICUBIC).frames == 6
    whole = with_sound(tmp_path / "in.mkv", "eac3", 48000, "stereo")
    (plan,) = plan_streams(Media.open(whole), tmp_path / "o.mp4")
    assert plan.action == "copy"
