"""Closed captions (EIA-608/708): every byte at the picture of the same time, whatever becomes of the pictures' order."""

from __future__ import annotations

import json
import shutil
import subprocess

import av
import pytest

import codecvsr
from codecvsr.bitstream import sei
from codecvsr.errors import OutputError
from codecvsr.upscaling import job
from tests.side_data import RATE, caption, shown, video_with_captions

BICUBIC = {"model": "bicubic", "preset": "medium", "crf": 20}
FRAMES = 10


@pytest.fixture(scope="module", params=[("libx264", "in.mkv"), ("libx264", "in.ts"), ("mpeg2video", "in.mpg")], ids=str)
def source(request, tmp_path_factory):
    codec, name = request.param
    path = video_with_captions(tmp_path_factory.mktemp("captions") / name, codec, FRAMES)
    captions = [data for _, data in shown(path, "A53_CC")]
    assert captions == [b"" if number == 2 else caption(number) for number in range(FRAMES)]
    return path


@pytest.mark.parametrize("output", ["o.mp4", "o.mov", "o.mkv"])
def test_captions_stay_at_their_pictures(source, tmp_path, output):
    report = codecvsr.upscale(source, tmp_path / output, strict=True, chunk=4, overlap=1, **BICUBIC)
    assert report.losses == [] and report.chunks > 1
    old, new = shown(source, "A53_CC"), shown(tmp_path / output, "A53_CC")
    assert [data for _, data in new] == [data for _, data in old]
    assert max(abs(a - b) for (a, _), (b, _) in zip(old, new, strict=True)) <= 1 / 1000


def test_captions_in_hevc(source, tmp_path):
    codecvsr.upscale(source, tmp_path / "o.mp4", strict=True, **{**BICUBIC, "codec": "hevc", "preset": "ultrafast"})
    assert [data for _, data in shown(tmp_path / "o.mp4", "A53_CC")] == [data for _, data in shown(source, "A53_CC")]


def test_captions_of_a_part(source, tmp_path):
    codecvsr.upscale(source, tmp_path / "o.mp4", strict=True, start=2.5 / RATE, end=7.5 / RATE, chunk=2, **BICUBIC)
    assert [data for _, data in shown(tmp_path / "o.mp4", "A53_CC")] == [caption(number) for number in range(3, 8)]


def test_captions_after_a_stop(tmp_path, monkeypatch):
    source = video_with_captions(tmp_path / "in.mkv", "libx264", FRAMES)

    def stop(event):
        if event["event"] == "progress" and event["frame"] >= 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        codecvsr.upscale(source, tmp_path / "o.mkv", chunk=2, overlap=1, listener=stop, **BICUBIC)
    monkeypatch.setattr(job, "scan", lambda *_, **__: pytest.fail("the scan is saved"))
    report = codecvsr.upscale(source, tmp_path / "o.mkv", chunk=2, overlap=1, strict=True, **BICUBIC)
    assert report.resumed_frames > 0
    assert [data for _, data in shown(tmp_path / "o.mkv", "A53_CC")] == [data for _, data in shown(source, "A53_CC")]


def test_captions_are_not_doubled_with_the_pictures(source, tmp_path):
    codecvsr.upscale(source, tmp_path / "o.mkv", deinterlace="field", **BICUBIC)
    found = [data for _, data in shown(tmp_path / "o.mkv", "A53_CC")]
    assert found[::2] == [b"" if number == 2 else caption(number) for number in range(FRAMES)]
    assert not any(found[1::2])


def test_captions_of_damaged_videos(tmp_path):
    """A picture that is missing is replaced by the one before, without its caption."""
    whole = video_with_captions(tmp_path / "whole.ts", "libx264", FRAMES)
    source = tmp_path / "in.ts"
    with av.open(str(whole)) as old, av.open(str(source), "w") as out:
        copy = out.add_stream_from_template(old.streams.video[0], opaque=True)
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            new = av.Packet(b"\0\0\0\x01\x41" + b"\xff" * 40) if number == 7 else packet
            new.pts, new.dts, new.time_base, new.stream = packet.pts, packet.dts, packet.time_base, copy
            out.mux(new)
    report = codecvsr.upscale(source, tmp_path / "o.mkv", conceal=True, **BICUBIC)
    found = [data for _, data in shown(tmp_path / "o.mkv", "A53_CC")]
    assert report.frames == FRAMES and report.concealed_frames > 0
    assert len(set(found)) == len(found) - found.count(b"") + 1 and 2 <= found.count(b"") < FRAMES // 2


def test_outputs_that_have_no_captions(tmp_path):
    source = video_with_captions(tmp_path / "in.mkv", "libx264", 4)
    for output, codec in (("o.mkv", "ffv1"), ("frames", "h264")):
        losses = codecvsr.upscale(source, tmp_path / output, **{**BICUBIC, "codec": codec}).losses
        assert [loss.split(":")[0] for loss in losses] == ["closed captions (EIA-608/708)"]
    with pytest.raises(OutputError, match="captions"):
        codecvsr.upscale(source, tmp_path / "p.mkv", strict=True, **{**BICUBIC, "codec": "ffv1"})


@pytest.mark.ffmpeg
@pytest.mark.skipif(not shutil.which("ffprobe"), reason="no ffprobe here")
def test_ffprobe_sees_captions(tmp_path):
    source = video_with_captions(tmp_path / "in.ts", "libx264", 4)
    codecvsr.upscale(source, tmp_path / "o.mp4", **BICUBIC)
    command = ["ffprobe", "-v", "error", "-show_streams", "-count_frames", "-of", "json", tmp_path / "o.mp4"]
    streams = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]
    assert streams[0]["closed_captions"] == 1


def test_long_captions_are_split_and_no_start_code_is_faked():
    data = bytes([0xFC, 0, 0]) * 40
    picture = b"\x00\x00\x00\x01\x67\x64" + b"\x00\x00\x01\x65\x88\x84"
    result = sei.insert(picture, "h264", sei.captions(data))
    units = result.split(b"\x00\x00\x01")
    assert [unit[:1] for unit in units] == [b"\x00", b"\x67", b"\x06", b"\x06", b"\x65"]
    assert all(b"\x00\x00\x00" not in unit and b"\x00\x00\x02" not in unit for unit in (u.rstrip(b"\0") for u in units))
    with pytest.raises(ValueError, match="slice"):
        sei.insert(b"\x00\x00\x01\x67\x64", "h264", sei.captions(data))
