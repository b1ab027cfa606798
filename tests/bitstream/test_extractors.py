"""Vectors from other programs, and plain decoding of damaged sources."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.bitstream.mv_sources.csv import parse_csv_vectors, read_csv_vectors
from codecvsr.bitstream.mv_sources.extractors import check_extractor, coded_frames
from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import DamagedInputError, InputError
from tests.streams import encode, moving_texture

HEADER = "framenum,source,blockw,blockh,srcx,srcy,dstx,dsty,flags"


def program(path: Path, body: str) -> Path:
    """An executable Python script."""
    path.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_csv_of_both_versions() -> None:
    new = parse_csv_vectors(
        [HEADER + ",motion_x,motion_y,motion_scale\n", "2,-1,16, 8,  10,  20,   8,  24,0x0,9,-15,4\n"]
    )
    assert list(new) == [1]
    assert new[1].tolist() == [(-1, 16, 8, 8, 24, 9, -15, 4)]
    old = parse_csv_vectors([HEADER + "\n", "3, 1,16,16,  10,  20,   8,  24,0x0\n"])
    assert old[2].tolist() == [(1, 16, 16, 8, 24, 2, -4, 1)]


def test_a_program_that_prints_the_vectors_gives_the_same_frames(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    encode_h264(moving_texture(10, 64, 96, 3, 1), video, EncodeSettings(25))
    expected = list(read_video(video, backend="pyav"))
    lines = [HEADER + ",motion_x,motion_y,motion_scale"]
    for frame in expected:
        for source, w, h, x, y, mx, my, scale in frame.vectors.tolist():
            lines.append(
                f"{frame.index + 1},{source},{w},{h},{x + mx // 4},{y + my // 4},{x},{y},0x0,{mx},{my},{scale}"
            )
    (tmp_path / "printed.csv").write_text("\n".join(lines) + "\n")
    printer = program(tmp_path / "printer", f"sys.stdout.write(open({str(tmp_path / 'printed.csv')!r}).read())")
    assert sum(len(frame.vectors) for frame in expected) > 50
    for frame, wanted in zip(coded_frames(video, str(printer)), expected, strict=True):
        assert np.array_equal(frame.vectors, wanted.vectors)
        assert (frame.type, frame.decode_index) == (wanted.type, wanted.decode_index)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("sys.stderr.write('no such codec'); sys.exit(3)", "failed with status 3 .*no such codec"),
        ("print('hello')", "first line is 'hello'"),
        (f"print('{HEADER}'); print('1,2,3')", "line 2 is '1,2,3'"),
    ],
)
def test_a_program_that_fails_is_said(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_csv_vectors(program(tmp_path / "bad", body), tmp_path / "a.mp4")


def test_a_missing_program_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such program"):
        check_extractor(str(tmp_path / "absent"))


def test_mvx_agrees_without_b_frames(tmp_path: Path) -> None:
    pytest.importorskip("mvextractor")
    video = tmp_path / "a.mp4"
    encode_h264(moving_texture(10, 64, 96, 3, 1), video, EncodeSettings(25, gop="ldp"))
    count = 0
    for theirs, ours in zip(coded_frames(video, "mvx"), coded_frames(video, "pyav"), strict=True):
        assert np.array_equal(np.sort(theirs.vectors), np.sort(ours.vectors))
        count += len(ours.vectors)
    assert count > 50


@pytest.mark.parametrize(
    ("codec", "name", "options"),
    [
        ("libx264", "a.mp4", {"movflags": "+faststart"}),
        ("libx264", "a.mkv", {}),
        ("libx265", "a.mkv", {"x265-params": "log-level=none"}),
        ("libvpx-vp9", "a.webm", {"cpu-used": "8"}),
    ],
)
def test_truncated_sources_of_any_codec(tmp_path: Path, codec: str, name: str, options: dict[str, str]) -> None:
    clip = moving_texture(36, 64, 96, 2, 1)
    whole = encode(tmp_path / name, clip, codec=codec, options=options)
    frames = list(VideoPictures(whole))
    assert len(frames) == 36
    assert np.abs(frames[20].astype(int) - clip[20]).mean() < 8
    if name.endswith(".mp4"):  # put the index first, as a download would have it
        import av

        with av.open(str(whole)) as source, av.open(str(tmp_path / "b.mp4"), "w", options=options) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
        whole = tmp_path / "b.mp4"
    cut = tmp_path / f"cut{whole.suffix}"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.7)])
    with pytest.raises(DamagedInputError, match=r"cut\..*damaged after \d+ sound frames"):
        list(VideoPictures(cut))
    video = VideoPictures(cut, allow_damaged=True)
    read_back = list(video)
    assert 0 < len(read_back) < 36
    assert video.damage
    for got, wanted in zip(read_back, frames, strict=False):
        assert np.array_equal(got, wanted)


def test_files_without_pictures(tmp_path: Path) -> None:
    text = tmp_path / "a.mp4"
    text.write_text("no video")
    with pytest.raises(InputError, match="not a readable media file"):
        list(VideoPictures(text))
