"""The benchmark command on real files: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codecvsr.bitstream.reader import read_video
from codecvsr.cli import main
from codecvsr.datasets.benchmark import make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings, crf_label, parse_crfs
from codecvsr.errors import InputError, OutputError
from codecvsr.files import read_image, write_png
from codecvsr.inference.clip_folder import ClipFolder, numbered_frames, read_motion
from codecvsr.metrics.psnr import psnr
from codecvsr.motion import estimate_motion
from codecvsr.video.resize import downsample
from tests.datasets.hr_clips import FRAMES, HEIGHT, WIDTH, write_clip
from tests.streams import encode, moving_texture


@pytest.fixture()
def hr_root(tmp_path: Path) -> Path:
    """A folder named like REDS4's with one clip of frames."""
    write_clip(tmp_path / "REDS4_GT" / "clip_000", moving_texture(FRAMES, HEIGHT, WIDTH, 4, 2))
    return tmp_path / "REDS4_GT"


def benchmark(*arguments: object, code: int = 0) -> None:
    """Run the command and check its exit code."""
    with pytest.raises(SystemExit) as left:
        main(["benchmark", *map(str, arguments)])
    assert left.value.code == code


def settings(**changes: Any) -> BenchmarkSettings:
    """Quick settings at CRF 25."""
    return BenchmarkSettings(**{"crfs": (25.0,), "preset": "veryfast", **changes})


@pytest.mark.parametrize("gop", ["default", "ldp"])
def test_seed_spelling_and_layout(hr_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], gop: str) -> None:
    out = tmp_path / "out"
    benchmark(
        "--hr_root", hr_root, "--out_root", out, "--crf", "15,25", "--gop", gop, "--mv_extractor", "pyav", "--json"
    )
    report = json.loads(capsys.readouterr().out)
    assert [(c["clip"], c["crf"], c["frames"]) for c in report["clips"]] == [("clip_000", 15, 7), ("clip_000", 25, 7)]
    assert report["failed"] == []
    assert sorted(p.name for p in out.iterdir()) == ["REDS4_CRF15", "REDS4_CRF25"]
    scores = []
    for crf in (15, 25):
        folder = out / f"REDS4_CRF{crf}" / "clip_000"
        assert sorted(p.name for p in folder.iterdir()) == ["clip.mp4", "codec.npz", "lr", "meta.json"]
        clip = ClipFolder.open(folder)
        assert [p.name for p in clip.frames] == [f"{i:08d}.png" for i in range(FRAMES)]
        coded = list(read_video(folder / "clip.mp4", backend="pyav"))
        frames = clip.load_frames()
        assert np.array_equal(frames, np.stack([frame.rgb for frame in coded]))
        pristine = [downsample(read_image(p), 4) for p in numbered_frames(hr_root / "clip_000")]
        assert clip.meta["lr_psnr"] == pytest.approx(
            np.mean([psnr(a, b) for a, b in zip(frames, pristine, strict=True)])
        )
        scores.append(clip.meta["lr_psnr"])
        assert (clip.meta["crf"], clip.meta["gop"], clip.meta["scale"], clip.meta["fps"]) == (crf, gop, 4, "24")
        assert (clip.meta["hr_size"], clip.meta["lr_size"]) == ([HEIGHT, WIDTH], [36, 48])
        options = clip.meta["stream"]["x264_options"].split()
        assert f"crf={crf}.0" in options
        assert ("bframes=0" in options) == (gop == "ldp")
        motion, expected = clip.load_motion(), estimate_motion(coded)
        np.testing.assert_array_equal(motion.past, expected.past)
        np.testing.assert_allclose(motion.to_prev, expected.to_prev, atol=0.01)
        np.testing.assert_array_equal(motion.qp, expected.qp)
        assert motion.decode_order.tolist() == [frame.decode_index for frame in coded]
    assert scores[0] > scores[1] + 1


def test_npz_needs_no_pickle_and_has_the_promised_types(hr_root: Path, tmp_path: Path) -> None:
    make_benchmark(hr_root, tmp_path / "out", settings())
    with np.load(tmp_path / "out/REDS4_CRF25/clip_000/codec.npz", allow_pickle=False) as stored:
        types = {name: str(stored[name].dtype) for name in stored}
    assert types == {
        "format_version": "int32",
        "past": "float32",
        "future": "float32",
        "to_prev": "float16",
        "to_next": "float16",
        "confidence": "float16",
        "error": "float16",
        "partition": "uint8",
        "qp": "uint8",
        "types": "uint8",
        "is_reference": "bool",
        "is_idr": "bool",
        "decode_order": "int32",
        "is_cut": "bool",
    }


def test_crf_none_keeps_pristine_frames_and_a_companion(hr_root: Path, tmp_path: Path) -> None:
    make_benchmark(hr_root, tmp_path / "out", settings(crfs=(None,)))
    clip = ClipFolder.open(tmp_path / "out/REDS4_CRFnone/clip_000")
    pristine = np.stack([downsample(read_image(p), 4) for p in numbered_frames(hr_root / "clip_000")])
    assert np.array_equal(clip.load_frames(), pristine)
    assert clip.meta["crf"] is None
    assert clip.meta["lr_psnr"] is None
    assert (clip.meta["stream"]["crf"], clip.meta["lr_frames"]) == (12, "pristine")
    assert "crf=12.0" in clip.meta["stream"]["x264_options"]
    assert clip.stream is not None
    assert len(clip.load_motion()) == FRAMES == len(list(read_video(clip.stream, backend="pyav")))


def test_two_runs_are_equal_byte_by_byte(hr_root: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_benchmark(hr_root, tmp_path / name, settings(crfs=(25.0, None)))
    first = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(first) == 2 * (FRAMES + 3)
    for path in first:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes(), path


def test_videos_of_any_codec_are_sources(tmp_path: Path) -> None:
    root = tmp_path / "films"
    root.mkdir()
    clip = moving_texture(FRAMES, HEIGHT, WIDTH, 4, 2)
    encode(root / "old.webm", clip, codec="libvpx-vp9", options={"cpu-used": "8"})
    encode(root / "new.mkv", clip, codec="libx265", options={"x265-params": "log-level=none"}, audio_first=True)
    write_clip(root / "frames", clip, first=100)
    (root / "notes").mkdir()
    result = make_benchmark(root, tmp_path / "out", settings(), name="TEST", clips=("old", "new", "frames"))
    assert not result.failed
    assert [made.folder for made in result.built] == [tmp_path / "out/TEST_CRF25" / n for n in ("frames", "new", "old")]
    assert all(made.frames == FRAMES for made in result.built)
    assert ClipFolder.open(result.built[0].folder).frames[0].name == "00000000.png"


def test_a_root_that_is_one_clip(hr_root: Path, tmp_path: Path) -> None:
    result = make_benchmark(hr_root / "clip_000", tmp_path / "out", settings())
    assert [made.folder for made in result.built] == [tmp_path / "out/clip_000_CRF25/clip_000"]


def test_existing_clips_stay_unless_overwriting(
    hr_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    common = ("--hr-root", hr_root, "--out-root", out, "--crf", "25", "--preset", "veryfast", "-q")
    benchmark(*common)
    meta = out / "REDS4_CRF25/clip_000/meta.json"
    before = meta.stat().st_mtime_ns
    benchmark(*common, code=1)
    assert "clip_000: exists already" in capsys.readouterr().err.replace("\n", " ")
    assert meta.stat().st_mtime_ns == before
    results = meta.parent / "sr" / "00000000.png"
    results.parent.mkdir()
    results.write_text("mine")
    benchmark(*common, "-y", "--gop", "ldp")
    assert json.loads(meta.read_text())["gop"] == "ldp" and results.read_text() == "mine"
    (meta.parent / "lr" / "mine.png").write_text("mine")
    benchmark(*common, "-y", code=1)
    assert "lr: has mine.png, which this run does not make" in capsys.readouterr().err.replace("\n", " ")
    assert json.loads(meta.read_text())["gop"] == "ldp" and (meta.parent / "lr" / "mine.png").exists()


def test_clips_of_one_folder_are_made_alike(hr_root: Path, tmp_path: Path) -> None:
    write_clip(hr_root / "clip_011", moving_texture(3, HEIGHT, WIDTH, 1, 1))
    make_benchmark(hr_root, tmp_path / "out", settings(), clips=["clip_000"])
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"clip_000: was made with gop default \(now ldp\)"):
            make_benchmark(hr_root, tmp_path / "out", settings(gop="ldp"), clips=["clip_011"], overwrite=overwrite)
    result = make_benchmark(hr_root, tmp_path / "out", settings(gop="ldp"), overwrite=True)
    assert [made.clip for made in result.built] == ["clip_000", "clip_011"]


def test_a_bad_clip_does_not_stop_the_others(hr_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = moving_texture(4, HEIGHT, WIDTH, 1, 1)
    write_clip(hr_root / "gap", frames)
    (hr_root / "gap" / "00000002.png").unlink()
    write_clip(hr_root / "sizes", frames)
    write_png(hr_root / "sizes" / "00000003.png", frames[0][:, :96])
    write_clip(hr_root / "odd", frames[:, :142])
    write_clip(hr_root / "odd_lr", frames[:, :140])
    (hr_root / "text.mp4").write_text("not a video")
    out = tmp_path / "out"
    common = ("--hr-root", hr_root, "--out-root", out, "--crf", "25", "--preset", "veryfast", "-q", "--json")
    benchmark(*common, code=3)
    report = json.loads(capsys.readouterr().out)
    assert [made["clip"] for made in report["clips"]] == ["clip_000"]
    errors = {failure["clip"]: failure["error"] for failure in report["failed"]}
    assert "frame 00000002.png is missing" in errors["gap"]
    assert "00000003.png: is 96x144, but 00000000.png is 192x144" in errors["sizes"]
    assert "192x142 is not divisible by the scale 4" in errors["odd"]
    assert "192x136" in errors["odd"]
    assert "gives LR frames of 48x35" in errors["odd_lr"]
    assert "not a readable media file" in errors["text"]
    assert [p.name for p in out.rglob("*") if p.is_dir()] == ["REDS4_CRF25", "clip_000", "lr"]
    benchmark(*common, "--clips", "gap,odd", "--name", "BAD", code=1)
    assert not (out / "BAD_CRF25").exists()


def test_truncated_video(tmp_path: Path) -> None:
    root = tmp_path / "films"
    root.mkdir()
    whole = encode(tmp_path / "whole.mkv", moving_texture(24, HEIGHT, WIDTH, 2, 1), options={"g": "6"})
    (root / "cut.mkv").write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    common = ("--hr-root", root, "--out-root", tmp_path / "out", "--crf", "25", "--preset", "veryfast", "-q")
    benchmark(*common, code=1)
    assert not (tmp_path / "out").exists()
    benchmark(*common, "--allow-damaged")
    clip = ClipFolder.open(tmp_path / "out/films_CRF25/cut")
    assert 0 < clip.meta["frames"] == len(clip.frames) < 24
    assert "bytes are there" in clip.meta["source_damage"]


def test_no_video_stream(tmp_path: Path) -> None:
    import av

    (tmp_path / "films").mkdir()
    with av.open(str(tmp_path / "films" / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        silence.sample_rate = 48000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    result = make_benchmark(tmp_path / "films", tmp_path / "out", settings())
    assert "sound.mp4: has no video stream" in result.failed[0].error


def test_unwritable_output(hr_root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("an obstacle")
    with pytest.raises(OutputError, match="file/out: cannot be written"):
        make_benchmark(hr_root, tmp_path / "file" / "out", settings())


def test_wrong_use(hr_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("--hr-root", hr_root, "--out-root", tmp_path / "out")
    benchmark(*common, "--crf", "25,good", code=2)
    benchmark(*common, "--crf", "25", "--fps", "fast", code=2)
    benchmark(*common, "--crf", "60", code=1)
    benchmark(*common, "--crf", "25", "--clips", "clip_999", code=1)
    assert "holds no clip 'clip_999'; its clips are clip_000" in capsys.readouterr().err.replace("\n", " ")
    benchmark("--hr-root", tmp_path / "absent", "--out-root", tmp_path / "out", "--crf", "25", code=1)
    benchmark(*common, "--crf", "25", "--mv-extractor", tmp_path / "absent", code=1)
    assert not (tmp_path / "out").exists()


def test_crfs() -> None:
    assert parse_crfs("15, 22.5,none,15") == (15.0, 22.5, None)
    assert [crf_label(crf) for crf in (15.0, 22.5, None)] == ["CRF15", "CRF22.5", "CRFnone"]
    with pytest.raises(InputError, match="no CRF"):
        settings(crfs=())


def test_bad_motion_files(hr_root: Path, tmp_path: Path) -> None:
    make_benchmark(hr_root, tmp_path / "out", settings())
    clip = ClipFolder.open(tmp_path / "out/REDS4_CRF25/clip_000")
    path = clip.path / "codec.npz"
    whole = path.read_bytes()
    (clip.path / "lr" / "00000006.png").unlink()
    with pytest.raises(InputError, match=r"holds motion of shape \(7, 2, 9, 12\)"):
        ClipFolder.open(clip.path).load_motion()
    for damaged in (whole[: len(whole) // 2], b"text", b""):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"is not a readable codec\.npz"):
            read_motion(path)
    np.savez(path, format_version=np.int32(99))
    with pytest.raises(InputError, match="has format 99, format 1 was expected"):
        read_motion(path)
    np.savez(path, format_version=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"is not a readable codec\.npz"):
        read_motion(path)
