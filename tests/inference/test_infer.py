"""Clips through networks: every kind of motion, every ablation, every refusal."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.bitstream.reader import read_video
from codecvsr.cli import cli, main
from codecvsr.errors import CheckpointError, InputError, OutputError, UnsupportedInputError
from codecvsr.files import read_image, write_png
from codecvsr.inference import execute, motion_source
from codecvsr.inference import infer as infer_module
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.clip_folder import write_motion
from codecvsr.inference.infer import infer
from codecvsr.models.zoo import load_model
from codecvsr.motion import estimate_motion
from codecvsr.video.resize import resample
from tests.inference.frames import B_FRAMES, FRAMES, HEIGHT, NAMES, WIDTH, pictures, real, run
from tests.streams import encode, moving_texture


def test_bicubic_is_the_up_sampler_of_the_benchmark(clip, tmp_path):
    report, result = run(clip, tmp_path / "out", "bicubic")
    assert (report.motion, report.parameters, report.ablations, report.training) == ("none", 0, [], "none")
    pictures = [read_image(clip / "lr" / name) for name in NAMES]
    expected = np.stack([resample(lr, 4 * lr.shape[0], 4 * lr.shape[1]) for lr in pictures])
    assert abs(result.astype(int) - expected).max() <= 1


def test_untrained_codecvsr_starts_as_bicubic(clip, tmp_path):
    report, result = run(clip, tmp_path / "out", "codecvsr:random")
    assert (report.model, report.motion, report.training) == ("codecvsr:random", "codec", "untrained")
    _, bicubic = run(clip, tmp_path / "bicubic", "bicubic")
    assert abs(result.astype(int) - bicubic).max() <= 1


@pytest.mark.parametrize("which", ["codecvsr", "basicvsr"])
def test_every_kind_of_motion_is_taken_and_matters(clip, tmp_path, small, small_basicvsr, which, monkeypatch):
    monkeypatch.setattr(motion_source, "SPYNET_FROM", small_basicvsr)
    model = small if which == "codecvsr" else small_basicvsr
    assert set(load_model(model).motion) == {"codec", "spynet", "dis", "zero", "raw"}
    results = {
        kind: run(clip, tmp_path / kind, model, motion=kind) for kind in ("codec", "spynet", "dis", "zero", "raw")
    }
    assert {kind: report.motion for kind, (report, _) in results.items()} == {kind: kind for kind in results}
    for a in results:
        for b in results:
            assert (a == b) == np.array_equal(results[a][1], results[b][1]), (a, b)
    report, usual = run(clip, tmp_path / "usual", model)
    kind = "codec" if which == "codecvsr" else "spynet"
    assert report.motion == kind and np.array_equal(usual, results[kind][1])


def test_basicvsr_runs_on_its_own_spynet(clip, tmp_path, small_basicvsr, monkeypatch):
    """And not on that of the official weights, which need not be there."""
    monkeypatch.setattr(motion_source, "SPYNET_FROM", "no-such-model")
    network = load_model(small_basicvsr).network
    _, result = run(clip, tmp_path / "out", small_basicvsr, motion="spynet")
    frames = (
        torch.from_numpy(np.stack([read_image(clip / "lr" / name) for name in NAMES])).permute(0, 3, 1, 2)[None] / 255
    )
    with torch.inference_mode():
        expected = (network(frames)[0].clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
    assert abs(result - expected).max() <= 1


def test_every_ablation_changes_the_pictures(clip, tmp_path, small):
    _, full = run(clip, tmp_path / "full", small)
    different = [full]
    for name in ("mvs", "second_order", "p_inversion", "resolve", "refine", "priors"):
        report, result = run(clip, tmp_path / name, small, **{name: True})
        assert report.ablations == [name]
        assert report.motion == ("zero" if name == "mvs" else "codec")
        assert not any(np.array_equal(result, other) for other in different), name
        different.append(result)
    report, _ = run(clip, tmp_path / "both", small, mvs=True, second_order=True)
    assert report.ablations == ["mvs", "second_order"]


def test_without_mvs_no_motion_is_left(clip, tmp_path, small):
    """The same whatever the vectors were, the folder's motion being that of another clip."""
    _, expected = run(clip, tmp_path / "a", small, mvs=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "lr").symlink_to(clip / "lr")
    encode_h264(moving_texture(FRAMES, HEIGHT, WIDTH, -3, 2), other / "clip.mp4", EncodeSettings(30, gop="ldp"))
    frames = list(read_video(other / "clip.mp4"))
    write_motion(other / "codec.npz", estimate_motion(frames))
    _, full = run(other, tmp_path / "b", small)
    _, without = run(other, tmp_path / "c", small, mvs=True, priors=True)
    _, same = run(clip, tmp_path / "d", small, mvs=True, priors=True)
    assert np.array_equal(without, same) and not np.array_equal(without, full)
    assert not np.array_equal(expected, same)  # quantisers and types are not motion


def test_one_window_is_the_whole_clip(clip, tmp_path, small):
    _, whole = run(clip, tmp_path / "whole", small)
    for window in (FRAMES, 100):
        assert np.array_equal(run(clip, tmp_path / f"w{window}", small, window=window)[1], whole)
    # With 8 frames of overlap a window of 1 sees all 4 frames.
    assert np.array_equal(run(clip, tmp_path / "w1", small, window=1)[1], whole)


def test_windows_join_where_the_clip_is_longer_than_they_see(tmp_path, small, monkeypatch):
    video = encode(tmp_path / "long.mp4", moving_texture(6, HEIGHT, WIDTH, 2, 1), options=B_FRAMES)
    infer(video, tmp_path / "whole", model=small)
    monkeypatch.setattr(execute, "split", lambda frames, length: real(frames, length, 1))
    infer(video, tmp_path / "parts", model=small, window=2)
    whole, parts = pictures(tmp_path / "whole"), pictures(tmp_path / "parts")
    assert len(parts) == 6 and not np.array_equal(whole, parts)
    assert abs(whole.astype(int) - parts).mean() < 40


def test_a_video_is_a_clip_too(clip, tmp_path, small):
    infer(clip / "clip.mp4", tmp_path / "video", model=small)
    assert sorted(p.name for p in (tmp_path / "video").iterdir()) == [f"{i:08d}.png" for i in range(FRAMES)]
    _, folder = run(clip, tmp_path / "folder", small)
    difference = abs(pictures(tmp_path / "video").astype(int) - folder)
    assert difference.mean() < 0.3 and np.percentile(difference, 99) <= 2  # codec.npz has float16


def test_hevc_has_no_vectors_but_pictures(tmp_path, small):
    path = encode(
        tmp_path / "a.mp4",
        moving_texture(3, 64, 64, 2, 1),  # libx265 writes beyond its buffers where a picture is narrower than 64
        codec="libx265",
        options={"x265-params": "log-level=none"},
    )
    for motion in ("codec", "raw", None):
        with pytest.raises(UnsupportedInputError, match="the video is hevc"):
            infer(path, tmp_path / "out", model=small, motion=motion)
        assert not (tmp_path / "out").exists()
    assert infer(path, tmp_path / "dis", model=small, motion="dis").frames == 3
    assert infer(path, tmp_path / "none", model=small, ablations=Ablations(mvs=True)).frames == 3
    assert infer(path, tmp_path / "bicubic", model="bicubic").frames == 3


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("bicubic", {"motion": "codec"}, "bicubic: uses no motion"),
        ("bicubic", {"ablations": Ablations(mvs=True)}, "bicubic: uses no motion"),
        ("basicvsr", {"ablations": Ablations(priors=True)}, "has no priors to leave out; remove --ablate-priors"),
        ("basicvsr", {"ablations": Ablations(second_order=True, priors=True)}, "no second_order and no priors"),
        (
            "codecvsr",
            {"ablations": Ablations(mvs=True), "motion": "dis"},
            "--ablate-mvs leaves no motion, but --motion dis",
        ),
        ("codecvsr", {"ablations": Ablations(refine=True), "motion": "dis"}, "--ablate-refine is about codec motion"),
        (
            "codecvsr",
            {"ablations": Ablations(p_inversion=True), "motion": "raw"},
            "--ablate-p-inversion is about codec",
        ),
        ("basicvsr", {"ablations": Ablations(resolve=True)}, "--ablate-resolve is about codec motion.*spynet"),
        ("no-such", {}, "'no-such' is neither a model nor a weights file"),
        ("codecvsr", {"device": "cuda:99"}, "Device cuda:99"),
    ],
)
def test_what_a_model_cannot_do_is_refused(clip, tmp_path, small, small_basicvsr, model, options, words):
    model = {"codecvsr": small, "basicvsr": small_basicvsr}.get(model, model)
    with pytest.raises(InputError, match=words):
        infer(clip, tmp_path / "out", model=model, **options)
    assert list(tmp_path.iterdir()) == []


def test_spynet_without_its_weights_says_how_to_get_them(clip, tmp_path, small, monkeypatch):
    monkeypatch.setenv("CODECVSR_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    with pytest.raises(InputError, match="codecvsr models fetch basicvsr-reds4"):
        infer(clip, tmp_path / "out", model=small, motion="spynet")
    assert not (tmp_path / "out").exists()


def test_an_output_that_exists_stays_unless_asked(clip, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "00000003.png").write_text("mine")
    with pytest.raises(OutputError, match="out: exists already; use -y"):
        infer(clip, out, model="bicubic")
    assert [p.name for p in tmp_path.iterdir()] == ["out"] and (out / "00000003.png").read_text() == "mine"
    with pytest.raises(InputError):
        infer(tmp_path / "absent", out, model="bicubic", overwrite=True)
    assert (out / "00000003.png").read_text() == "mine"  # a run that fails removes nothing
    infer(clip, out, model="bicubic", overwrite=True)
    assert sorted(p.name for p in out.iterdir()) == NAMES
    (out / "notes.txt").write_text("mine")
    (out / "family.jpg").write_text("mine")
    with pytest.raises(OutputError, match=r"has family.jpg, which this run does not make"):
        infer(clip, out, model="bicubic", overwrite=True)
    (out / "family.jpg").unlink()
    infer(clip, out, model="bicubic", overwrite=True)
    assert sorted(p.name for p in out.iterdir()) == [*NAMES, "notes.txt"]


def test_an_output_that_cannot_be_written(clip, tmp_path):
    (tmp_path / "file").write_text("in its place")
    with pytest.raises(OutputError, match="file/out: cannot be written"):
        infer(clip, tmp_path / "file" / "out", model="bicubic")
    assert (tmp_path / "file").read_text() == "in its place"


def test_a_disk_that_fills_up_leaves_nothing(clip, tmp_path, monkeypatch):
    count = iter(range(9))

    def full(path, rgb):
        if next(count) == 2:
            raise OutputError(f"{path}: cannot be written (No space left on device).")
        write_png(path, rgb)

    monkeypatch.setattr(infer_module, "write_png", full)
    with pytest.raises(OutputError, match="No space left"):
        infer(clip, tmp_path / "out", model="bicubic")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x04cposix\nsystem\n(S'touch never'\ntR."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_model_file_that_is_not_one(clip, tmp_path, content, suffix, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a pickle that is run would leave its mark
    model = tmp_path / f"model{suffix}"
    model.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"model\{suffix}: "):
        infer(clip, tmp_path / "out", model=model)
    with pytest.raises(SystemExit) as left:
        main(["infer", "--clip-root", str(clip), "--out-dir", str(tmp_path / "out"), "-m", str(model)])
    assert left.value.code == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and "Traceback" not in said.err
    assert [p.name for p in tmp_path.iterdir()] == [model.name]


def test_json_is_one_object_and_nothing_else(clip, tmp_path, small):
    result = CliRunner().invoke(
        cli, ["infer", "--clip_root", str(clip), "--out_dir", str(tmp_path / "o"), "--model", str(small), "--ablate_mvs",
              "--ablate_second_order", "--json"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["frames"] == FRAMES and printed["frames_per_second"] > 0 and printed["peak_memory_mb"] > 0
    assert (
        printed["ablations"] == ["mvs", "second_order"] and printed["motion"] == "zero" and printed["model"] == "small"
    )
    assert len(list((tmp_path / "o").iterdir())) == FRAMES


def test_text_says_speed_and_memory_and_that_random_weights_mean_nothing(clip, tmp_path):
    result = CliRunner().invoke(
        cli, ["infer", "--clip-root", str(clip), "--out-dir", str(tmp_path / "o"), "-m", "codecvsr:random"]
    )
    assert result.exit_code == 0, result.output
    assert "4 frames, " in result.stdout and "frames/s" in result.stdout and "peak memory" in result.stdout
    assert "random weights" in result.stderr


def test_a_damaged_video_is_used_only_if_asked_and_counted(tmp_path):
    whole = encode(tmp_path / "whole.mkv", moving_texture(12, HEIGHT, WIDTH, 2, 1), options={"bf": "0"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.9)])
    arguments = ["infer", "--clip-root", str(cut), "--out-dir", str(tmp_path / "o"), "-m", "bicubic", "--json"]
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 1 and "cut.mkv: the stream is damaged after" in refused.stderr
    assert not (tmp_path / "o").exists()
    result = CliRunner().invoke(cli, [*arguments, "--allow-damaged"])
    assert result.exit_code == 0, result.output
    frames = json.loads(result.stdout)["frames"]
    assert 0 < frames == len(list((tmp_path / "o").iterdir())) < 12
    assert f"its {frames} sound frames are used" in result.stderr
