"""Clips through networks: every kind of motion, every ablation, every refusal."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

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
from codecvsr.inference.motion_source import load_motion
from codecvsr.inference.source_clip import SourceClip
from codecvsr.models.adapters import FRAME_BY_FRAME
from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.basicvsr_pp import BasicVSRPlusPlus
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.edvr import EDVR
from codecvsr.models.iconvsr import IconVSR
from codecvsr.models.mvsr_seed import MVSRSeed
from codecvsr.models.rate_groups import RateGroups
from codecvsr.models.rbpn import RBPN
from codecvsr.models.zoo import load_model
from codecvsr.motion import estimate_motion
from codecvsr.video.resize import resample
from tests.streams import encode, moving_texture

FRAMES, HEIGHT, WIDTH = 4, 32, 48
NAMES = [f"{i:08d}.png" for i in range(3, 3 + FRAMES)]
B_FRAMES = {"crf": "16", "x264-params": "bframes=2:b-adapt=0"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A clip folder with B frames, its pictures numbered from 3."""
    folder = tmp_path_factory.mktemp("clips") / "clip"
    (folder / "lr").mkdir(parents=True)
    encode(folder / "clip.mp4", moving_texture(FRAMES, HEIGHT, WIDTH, 2, 1), options=B_FRAMES)
    frames = list(read_video(folder / "clip.mp4"))
    for name, frame in zip(NAMES, frames, strict=True):
        write_png(folder / "lr" / name, frame.rgb)
    write_motion(folder / "codec.npz", estimate_motion(frames))
    return folder


def weights(network, path):
    """Random weights that do something everywhere, the heads that start at zero included."""
    generator = torch.Generator().manual_seed(1)
    state = {
        k: torch.randn(v.shape, generator=generator) * 0.1 if v.ndim == 4 else v
        for k, v in network.state_dict().items()
    }
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return weights(CodecVSR(channels=8, blocks=1), tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="module")
def small_basicvsr(tmp_path_factory):
    return weights(BasicVSR(num_feat=8, num_block=1), tmp_path_factory.mktemp("weights") / "basic.safetensors")


def pictures(folder):
    return np.stack([read_image(path) for path in sorted(folder.iterdir())])


def run(clip, out, model, *, motion=None, window=0, **ablations):
    report = infer(clip, out, model=model, motion=motion, window=window, ablations=Ablations(**ablations))
    assert report.frames == FRAMES and report.frames_per_second > 0 and report.peak_memory_mb > 1
    assert sorted(path.name for path in out.iterdir()) == NAMES
    result = pictures(out)
    assert result.shape == (FRAMES, 4 * HEIGHT, 4 * WIDTH, 3)
    return report, result


# --- what comes out ---------------------------------------------------------------------------------------------------


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


real = execute.split


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


# --- the other networks -----------------------------------------------------------------------------------------------

KINDS = ("codec", "spynet", "dis", "zero", "raw")
CPU = torch.device("cpu")


def outputs_of(model, source, wanted=range(FRAMES)):
    return list(model.descriptor.adapter(model.network, SourceClip(source, CPU), wanted, FRAME_BY_FRAME))


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    folder = tmp_path_factory.mktemp("others")
    networks = {
        "edvr": EDVR(num_feat=8, num_extract_block=1, num_reconstruct_block=1),
        "iconvsr": IconVSR(num_feat=8, num_block=1),
        "basicvsr-pp": BasicVSRPlusPlus(mid_channels=8, num_blocks=1),
        "basicvsr-pp-same": BasicVSRPlusPlus(mid_channels=8, num_blocks=1, is_low_res_input=False),
        "rbpn": RBPN(base_filter=8, feat=4, n_resblock=1),
        "rate-groups": RateGroups(mid_channels=8, num_blocks=1),
        "mvsr-seed": MVSRSeed(channels=8, blocks=1),
    }
    return {name: weights(network, folder / f"{name}.safetensors") for name, network in networks.items()}


@pytest.mark.parametrize("name", ["iconvsr", "basicvsr-pp", "rbpn", "rate-groups", "mvsr-seed"])
def test_every_network_with_motion_runs_on_every_kind(clip, tmp_path, others, small_basicvsr, name, monkeypatch):
    monkeypatch.setattr(motion_source, "SPYNET_FROM", small_basicvsr)  # for those without their own
    usual = load_model(others[name]).motion[0]
    assert usual == {"rbpn": "dis", "mvsr-seed": "codec"}.get(name, "spynet")
    source = load_motion(clip, "zero", Ablations())
    floats = {}
    for kind in KINDS:
        model = load_model(others[name])
        moved = load_motion(clip, kind, Ablations(), model=model)
        with torch.inference_mode():
            floats[kind] = torch.cat(outputs_of(model, moved))
        assert floats[kind].shape == (FRAMES, 3, 4 * HEIGHT, 4 * WIDTH)
    for a, b in combinations(KINDS, 2):
        assert not torch.equal(floats[a], floats[b]), (a, b)
    assert not source.motion.to_prev.any()
    report, result = run(clip, tmp_path / "out", others[name])
    assert report.motion == usual and report.scale == 4
    expected = (floats[usual].clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
    assert abs(result - expected).max() <= 1  # channels_last convolutions round otherwise


def test_edvr_sees_the_window_of_its_paper_at_every_frame(clip, tmp_path, others):
    report, result = run(clip, tmp_path / "out", others["edvr"])
    assert report.motion == "none"
    frames = torch.from_numpy(np.stack([read_image(clip / "lr" / name) for name in NAMES])).permute(0, 3, 1, 2) / 255
    network = load_model(others["edvr"]).network
    for index, window in enumerate(([3, 3, 0, 1, 2], [3, 0, 1, 2, 3], [0, 1, 2, 3, 0], [1, 2, 3, 0, 0])):
        with torch.inference_mode():
            expected = (network(frames[None, window])[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
        assert abs(result[index] - expected).max() <= 1
    with pytest.raises(InputError, match="uses no motion"):
        infer(clip, tmp_path / "no", model=others["edvr"], motion="codec")


def test_rbpn_sees_the_frame_itself_where_there_is_no_neighbour(clip, others):
    source = load_motion(clip, "dis", Ablations())
    model = load_model(others["rbpn"])
    network, seen = model.network, []
    network.register_forward_pre_hook(lambda module, args: seen.append(args))
    with torch.inference_mode():
        outputs_of(model, source)
    whole = SourceClip(source, CPU).frames()
    target, neighbours, flows = seen[1]
    assert torch.equal(target, whole[:, 1])
    assert torch.equal(neighbours, whole[:, [1, 1, 0, 2, 3, 1]])
    assert [bool(flow.any()) for flow in flows[0]] == [False, False, True, True, True, False]
    direct = source.pairwise(1, 3)  # not the sum of two steps
    assert np.array_equal(flows[0, 4].numpy(), direct) and direct.shape == (2, HEIGHT, WIDTH)
    middle = flows[0, :, :, 8:-8, 8:-8].mean((2, 3))
    for index, steps in ((2, -1), (3, 1), (4, 2)):  # content moves 2 right and 1 down a frame
        assert (middle[index] - steps * torch.tensor([2.0, 1.0])).abs().max() < 0.3


def test_codec_motion_over_several_frames_is_composed(clip):
    source = load_motion(clip, "codec", Ablations())
    assert source.pairwise is None
    flow = SourceClip(source, CPU).flow(3, 0)[0, :, 8:-8, 8:-8]
    assert (flow.mean((1, 2)) - torch.tensor([-6.0, -3.0])).abs().max() < 0.4
    assert not SourceClip(source, CPU).flow(2, 2).any()
    part = load_motion(clip, "dis", Ablations()).cut(1, 4)
    whole = load_motion(clip, "dis", Ablations())
    assert np.array_equal(part.pairwise(0, 2), whole.pairwise(1, 3))


def test_rate_groups_step_at_their_rates_and_turn_round_at_the_ends(clip, others):
    source = load_motion(clip, "zero", Ablations())
    model = load_model(others["rate-groups"])
    network, seen = model.network, []
    network.rates = (1, 2, 3)
    network.register_forward_pre_hook(lambda module, args: seen.append(args))
    with torch.inference_mode():
        outputs_of(model, source, [1])
    whole = SourceClip(source, CPU).frames()
    (groups, _) = seen[0]
    for group, expected in zip(groups, ([1, 0, 1, 2, 3], [3, 1, 1, 3, 1], [1, 2, 1, 2, 1]), strict=True):
        assert torch.equal(group, whole[:, expected])


def test_a_network_that_keeps_the_size(clip, tmp_path, others):
    report = infer(clip, tmp_path / "out", model=others["basicvsr-pp-same"], motion="codec")
    assert (report.scale, report.motion) == (1, "codec")
    assert pictures(tmp_path / "out").shape == (FRAMES, HEIGHT, WIDTH, 3)


def test_the_seeds_network_leaves_out_its_second_order(clip, tmp_path, others):
    _, full = run(clip, tmp_path / "full", others["mvsr-seed"])
    report, first = run(clip, tmp_path / "first", others["mvsr-seed"], second_order=True)
    assert report.ablations == ["second_order"] and not np.array_equal(full, first)
    with pytest.raises(InputError, match="has no priors to leave out"):
        run(clip, tmp_path / "no", others["mvsr-seed"], priors=True)


def test_a_clip_of_one_frame_of_odd_size(tmp_path, others):
    folder = tmp_path / "clip" / "lr"
    folder.mkdir(parents=True)
    write_png(folder / "00000000.png", moving_texture(1, 5, 7, 0, 0)[0])
    for name, model in others.items():
        report = infer(tmp_path / "clip", tmp_path / name, model=model, motion=None if name == "edvr" else "zero")
        side = report.scale
        assert pictures(tmp_path / name).shape == (1, 5 * side, 7 * side, 3)


# --- refusals ---------------------------------------------------------------------------------------------------------


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


# --- the command ------------------------------------------------------------------------------------------------------


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
