"""Encoding at a CRF: same bytes every time, tagged colours, the GOP that was asked for."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from codecvsr.bitstream import color
from codecvsr.bitstream import ffmpeg_encode as system_ffmpeg
from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import InputError, OutputError
from tests.streams import moving_texture

# 180 rows do not fill macroblocks: with x264's AVX-512 code paths this very clip gave several different streams.
CLIP = moving_texture(16, 180, 320, 2, 1)


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for attempt in range(5):
        encode_h264(CLIP, tmp_path / f"{attempt}.mp4", EncodeSettings(25))
    streams = {(tmp_path / f"{attempt}.mp4").read_bytes() for attempt in range(5)}
    assert len(streams) == 1


def test_default_gop_has_b_frames_and_references(tmp_path: Path) -> None:
    report = encode_h264(CLIP, tmp_path / "a.mp4", EncodeSettings(25))
    types = [frame.type for frame in read_video(tmp_path / "a.mp4", backend="pyav")]
    assert types[0] == "I"
    assert "B" in types
    assert {"ref=3", "bframes=3", "b_pyramid=2", "crf=25.0", "threads=1"} <= set(report.x264_options.split())
    assert report.x264.startswith("core ")
    assert report.frames == len(CLIP)


def test_ldp_predicts_every_frame_from_the_one_before(tmp_path: Path) -> None:
    report = encode_h264(CLIP, tmp_path / "a.mp4", EncodeSettings(25, gop="ldp"))
    frames = list(read_video(tmp_path / "a.mp4", backend="pyav"))
    assert [frame.type for frame in frames] == ["I"] + ["P"] * (len(CLIP) - 1)
    assert [frame.decode_index for frame in frames] == list(range(len(CLIP)))
    assert {"ref=1", "bframes=0", "sliced_threads=0"} <= set(report.x264_options.split())


def test_colours_are_tagged_and_come_back(tmp_path: Path) -> None:
    flat = np.empty((4, 32, 48, 3), np.uint8)
    flat[:] = (200, 40, 90)
    encode_h264(flat, tmp_path / "a.mp4", EncodeSettings(5))
    with av.open(str(tmp_path / "a.mp4")) as container:
        picture = next(container.decode(video=0))
        assert (int(picture.colorspace), int(picture.color_range)) == (6, 1)
        assert np.abs(color.to_rgb(picture).astype(int) - (200, 40, 90)).max() <= 3


def test_frame_rate_is_exact_and_changes_the_bit_rate(tmp_path: Path) -> None:
    ntsc = encode_h264(CLIP, tmp_path / "ntsc.mp4", EncodeSettings(25, fps=Fraction(24000, 1001)))
    with av.open(str(tmp_path / "ntsc.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(24000, 1001)
    fast = encode_h264(CLIP, tmp_path / "fast.mp4", EncodeSettings(25, fps=Fraction(120)))
    assert fast.payload_bytes < ntsc.payload_bytes
    assert fast.bit_rate == pytest.approx(8 * fast.payload_bytes * 120 / len(CLIP) / 1000, abs=1e-3)


def test_bad_frames_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "a.mp4"
    with pytest.raises(InputError, match="33x32 cannot be coded"):
        encode_h264(np.zeros((2, 32, 33, 3), np.uint8), target, EncodeSettings(25))
    with pytest.raises(InputError, match="frame 1 is 64x32, the first is 32x32"):
        encode_h264([np.zeros((32, 32, 3), np.uint8), np.zeros((32, 64, 3), np.uint8)], target, EncodeSettings(25))
    with pytest.raises(InputError, match="no frames"):
        encode_h264([], target, EncodeSettings(25))
    with pytest.raises(OutputError, match="nowhere"):
        encode_h264(CLIP[:2], tmp_path / "nowhere" / "a.mp4", EncodeSettings(25))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"crf": 52}, "outside 0 to 51"),
        ({"crf": 25, "preset": "quick"}, "preset 'quick' is unknown"),
        ({"crf": 25, "gop": "ipb"}, "GOP structure 'ipb' is unknown"),
        ({"crf": 25, "fps": Fraction(0)}, "frame rate of 0"),
    ],
)
def test_bad_settings_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        EncodeSettings(**settings)


@pytest.mark.ffmpeg
@pytest.mark.parametrize("gop", ["default", "ldp"])
def test_system_ffmpeg_encodes_the_same_way(tmp_path: Path, gop: str) -> None:
    pytest.importorskip("ffmpeg")
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg on PATH")
    settings = EncodeSettings(25, gop=gop)
    theirs = system_ffmpeg.encode_h264(CLIP, tmp_path / "system.mp4", settings)
    ours = encode_h264(CLIP, tmp_path / "embedded.mp4", settings)
    assert theirs.encoder.startswith("libx264 (ffmpeg ")
    assert theirs.frames == ours.frames
    assert theirs.bit_rate == pytest.approx(ours.bit_rate, rel=0.05)
    pairs = zip(read_video(tmp_path / "system.mp4"), read_video(tmp_path / "embedded.mp4"), strict=True)
    for a, b in pairs:
        assert a.type == b.type
        assert np.abs(a.rgb.astype(int) - b.rgb).mean() < 2


@pytest.mark.ffmpeg
def test_system_ffmpeg_says_why_it_failed(tmp_path: Path) -> None:
    pytest.importorskip("ffmpeg")
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg on PATH")
    with pytest.raises(OutputError, match="ffmpeg failed with status"):
        system_ffmpeg.encode_h264(CLIP, tmp_path / "nowhere" / "a.mp4", EncodeSettings(25))


def test_missing_ffmpeg_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ffmpeg")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="program ffmpeg on PATH"):
        system_ffmpeg.encode_h264(CLIP, tmp_path / "a.mp4", EncodeSettings(25))
