"""Training: recipes, data, and a loop that learns and can be stopped and resumed to the bit."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from codecvsr.cli import cli
from codecvsr.datasets.benchmark import make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings
from codecvsr.errors import CheckpointError, InputError
from codecvsr.files import read_image
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.zoo import load_model
from codecvsr.motion import motion_fields
from codecvsr.motion.ops.reference import warp
from codecvsr.train import data as training_data
from codecvsr.train import sampling
from codecvsr.train.journal import LOG, Journal, plot_log, read_log
from codecvsr.train.loop import WEIGHTS, learning_rate, train
from codecvsr.train.prepare import make_piece
from codecvsr.train.prepare_plan import Preparation
from codecvsr.train.prepared_set import write_piece
from codecvsr.train.recipe import (
    Data,
    Distillation,
    Dropout,
    Engine,
    Model,
    Optimisation,
    Recipe,
    Reporting,
    Window,
    read_recipe,
)
from codecvsr.train.sampling import Batch, Sampler
from codecvsr.train.state import PART_BYTES, load_state, save_state
from codecvsr.train.step import charbonnier, make_optimiser
from tests.streams import encode, moving_texture


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``hr/one.mp4`` and ``bench/hr_CRF20/one``: content that moves (8, -4) HR pixels a frame."""
    root = tmp_path_factory.mktemp("training")
    (root / "hr").mkdir()
    encode(root / "hr" / "one.mp4", moving_texture(8, 256, 320, 8, -4), options={"crf": "8"})
    make_benchmark(root / "hr", root / "bench", BenchmarkSettings(crfs=(20,)))
    return root


def make_batch(
    clips: list[training_data.TrainingClip], settings: Optimisation, dropout: Dropout, step: int, **parts: int
) -> Batch:
    return Sampler([clips], Recipe(optimisation=settings, dropout=dropout), **parts).batch(step)


def tiny(root: Path, **optimisation: object) -> Recipe:
    settings = {"steps": 6, "batch": 2, "frames": 3, "crop": 24, "warmup": 2, "seed": 3} | optimisation
    return Recipe(
        data=Data(hr_root=str(root / "hr"), benchmarks=(str(root / "bench" / "hr_CRF20"),)),
        model=Model(channels=8, blocks=1),
        optimisation=Optimisation(**settings),
        reporting=Reporting(log_every=2, save_every=100, validate_every=100),
    )


def test_batches_are_what_the_clip_is(material: Path) -> None:
    """Whatever the augmentation, fields join the frames of the batch and the target is their original."""
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    settings = Optimisation(batch=4, frames=4, crop=40, seed=5)
    seen = set()
    for step in range(6):
        batch = make_batch(clips, settings, Dropout(0, 0, 0), step)
        assert batch.target.shape == (4, 4, 3, 160, 160)
        small = torch.nn.functional.avg_pool2d(batch.target.flatten(0, 1), 4).view_as(batch.frames)
        assert (small - batch.frames).abs().mean() < 0.03
        luma = batch.frames.mean(2).numpy() * 255
        for n in range(4):
            for field, here, there in ((batch.to_prev, 2, 1), (batch.to_next, 1, 2)):
                flow = np.repeat(np.repeat(field[n, here].numpy(), 4, 1), 4, 2)
                pulled = warp(np.ascontiguousarray(luma[n, there]), flow)
                inside = (slice(8, -8), slice(8, -8))
                assert np.abs(pulled - luma[n, here])[inside].mean() < 3
                assert (
                    np.abs(pulled - luma[n, here])[inside].mean()
                    < np.abs(luma[n, there] - luma[n, here])[inside].mean()
                )
            seen.add(tuple(np.sign(batch.to_prev[n, 1].mean((1, 2)).numpy())))
    assert len(seen) == 4  # flips and reversals have turned the motion every way


@pytest.mark.parametrize("negate_cb", [False, True])
@pytest.mark.parametrize("negate_cr", [False, True])
@pytest.mark.parametrize("swap", [False, True])
def test_recolouring_leaves_luma_and_the_size_of_colour(negate_cb: bool, negate_cr: bool, swap: bool) -> None:
    colours = np.random.default_rng(3).random((3, 50))
    before, after = (
        sampling._RGB_TO_YCBCR @ rgb for rgb in (colours, sampling._recolouring(negate_cb, negate_cr, swap) @ colours)
    )
    np.testing.assert_allclose(after[0], before[0], atol=1e-5)
    np.testing.assert_allclose(np.sort(np.abs(after[1:]), axis=0), np.sort(np.abs(before[1:]), axis=0), atol=1e-5)
    assert np.allclose(after, before, atol=1e-5) == (not (negate_cb or negate_cr or swap))


def test_context_has_no_target(material: Path) -> None:
    """Frames of context are looked at only: the rest of the batch is what it is without them."""
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    whole, core = (make_batch(clips, Optimisation(batch=2, frames=5, crop=24, context=c), Dropout(), 1) for c in (0, 2))
    assert core.frames.shape[1] == 5
    torch.testing.assert_close(core.target, whole.target[:, 2:3])
    with pytest.raises(InputError, match="context"):
        make_batch(clips, Optimisation(frames=4, context=2), Dropout(), 0)


def test_begins_with_given_weights(material: Path, tmp_path: Path) -> None:
    """No step from given weights gives them back; weights of another network are refused."""
    train(tiny(material, steps=2), tmp_path / "one")
    begun = tmp_path / "one" / WEIGHTS
    assert train(tiny(material, steps=0), tmp_path / "two", initial=begun) == 0
    assert (tmp_path / "two" / WEIGHTS).stat().st_size == begun.stat().st_size
    one, two = (load_model(tmp_path / name / WEIGHTS).network.state_dict() for name in ("one", "two"))
    assert all(torch.equal(one[key], two[key]) for key in one)
    wider = dataclasses.replace(tiny(material), model=Model(channels=12, blocks=1))
    with pytest.raises(CheckpointError, match="codecvsr.safetensors"):
        train(wider, tmp_path / "three", initial=begun)


def test_a_step_has_the_same_batch_every_time(material: Path) -> None:
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    settings = Optimisation(batch=2, frames=3, crop=24)
    one, two, other = (make_batch(clips, settings, Dropout(), step) for step in (7, 7, 8))
    for name, value in vars(one).items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(getattr(two, name)))
    assert not torch.equal(one.frames, other.frames)


def test_dropout_leaves_out_all_of_it(material: Path) -> None:
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    settings = Optimisation(batch=3, frames=3, crop=24)
    batch = make_batch(clips, settings, Dropout(motion=1, second_order=1, priors=0), 0)
    assert not batch.use_motion.any() and not batch.use_second_order.any()
    assert not batch.priors[:, :, 4:].any() and batch.priors[:, :, :4].any()
    assert not make_batch(clips, settings, Dropout(priors=1), 0).priors.any()


def test_learning_rate() -> None:
    settings = Optimisation(steps=100, warmup=10, learning_rate=1.0)
    rates = [learning_rate(settings, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(rates[9], abs=0.02)
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert rates[-1] < 1e-3


def test_it_learns(material: Path, tmp_path: Path) -> None:
    """A hundred steps beat the bicubic picture the network starts as, on a batch it was not trained on."""
    recipe = tiny(material, steps=100, learning_rate=4e-3, warmup=5, batch=1)
    assert train(recipe, tmp_path) == 100
    lines = [entry for entry in read_log(tmp_path / LOG) if "loss" in entry]
    assert [line["step"] for line in lines] == list(range(2, 101, 2))
    model = load_model(tmp_path / WEIGHTS)
    assert model.architecture == "codecvsr"
    assert model.metadata["file.steps"] == "100"
    clips = training_data.load_clips(recipe.data.hr_root, recipe.data.benchmarks)
    batch = make_batch(clips, Optimisation(batch=2, frames=3, crop=48, seed=9), Dropout(0, 0, 0), 0)
    losses = []
    for network in (CodecVSR(channels=8, blocks=1), model.network):
        with torch.no_grad():
            predicted = network(batch.frames, batch.to_prev, batch.to_next, batch.priors, batch.is_cut)
        losses.append(float(charbonnier(predicted, batch.target, 0.03)))
    assert losses[1] < 0.97 * losses[0]


def state_of(out: Path) -> dict[str, torch.Tensor]:
    (folder,) = out.glob("state-*")
    return {key: value for path in folder.iterdir() for key, value in load_file(path).items()}


@pytest.mark.parametrize("windows", [(), (Window(3, 0, 2, 24, 1.0), Window(5, 1, 1, 16, 1.0))], ids=["one", "mixed"])
def test_resumed_equals_uninterrupted(material: Path, tmp_path: Path, windows: tuple[Window, ...]) -> None:
    recipe = dataclasses.replace(tiny(material), windows=windows)
    train(recipe, tmp_path / "whole")
    halted = dataclasses.replace(recipe, reporting=Reporting(log_every=1, save_every=2, validate_every=100))
    with pytest.MonkeyPatch.context() as patch:
        original, calls = Sampler.batch, []

        def interrupted(*args: object) -> object:
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return original(*args)

        patch.setattr(Sampler, "batch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(halted, tmp_path / "parts")
    train(recipe, tmp_path / "parts", resume=tmp_path / "parts")
    whole, parts = state_of(tmp_path / "whole"), state_of(tmp_path / "parts")
    assert whole.keys() == parts.keys() and {key.split(".")[0] for key in whole} == {
        "network", "average", "exp_avg", "exp_avg_sq", "step",
    }  # fmt: skip
    for key, value in whole.items():
        assert torch.equal(value, parts[key]), key
    assert whole["step.to_rgb.bias"] == 6


def test_state_is_kept_in_small_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several files of bounded size, one folder at a time; what came back is what went in, moments in 16 bits if asked."""
    monkeypatch.setattr("codecvsr.train.state.PART_BYTES", 40_000)
    network, average = CodecVSR(channels=8, blocks=1), CodecVSR(channels=8, blocks=1)
    optimiser = make_optimiser(network, 1e-3, torch.device("cpu"))
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    sizes = []
    for step, is_compact in ((3, False), (4, True)):
        folder = save_state(tmp_path, step, network, average, optimiser, {"schedule": 9}, is_compact=is_compact)
        files = list(folder.iterdir())
        assert [path for path in tmp_path.iterdir()] == [folder] and len(files) > 2
        assert all(path.stat().st_size < 60_000 for path in files)
        sizes.append(sum(path.stat().st_size for path in files))
        others = CodecVSR(channels=8, blocks=1), CodecVSR(channels=8, blocks=1)
        fresh = make_optimiser(others[0], 1e-3, torch.device("cpu"))
        steps, about = load_state(tmp_path, *others, fresh)
        assert (steps, about["schedule"]) == (step, 9)
        for one, two in zip((network, average), others, strict=True):
            assert all(torch.equal(value, two.state_dict()[key]) for key, value in one.state_dict().items())
        for one, two in zip(network.parameters(), others[0].parameters(), strict=True):
            for key, value in optimiser.state[one].items():
                torch.testing.assert_close(fresh.state[two][key], value, rtol=0.005 * is_compact, atol=0)
    assert sizes[1] < 0.8 * sizes[0] and PART_BYTES <= 16 * 2**20
    files[0].unlink()
    with pytest.raises(CheckpointError, match="state-00000004"):
        load_state(tmp_path, network, average, optimiser)


def test_minutes_stop_a_run_with_its_state_saved(material: Path, tmp_path: Path) -> None:
    assert train(tiny(material), tmp_path, minutes=0) == 0
    assert (tmp_path / "state-00000000").is_dir()
    assert read_log(tmp_path / LOG)[-1]["ended_of"] == 6


def test_a_budget_makes_the_schedule(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps follow from the speed of the first ones, and the next piece keeps to them."""
    monkeypatch.setattr("codecvsr.train.loop._UNMEASURED", 1)
    monkeypatch.setattr("codecvsr.train.loop._MEASURED", 2)
    recipe = tiny(material, steps=1000)
    done = train(recipe, tmp_path, budget=1e-3)  # the measuring alone takes longer
    assert done == 4 and [e["schedule"] for e in read_log(tmp_path / LOG) if "schedule" in e] == [4]
    assert train(recipe, tmp_path / "next", resume=tmp_path, budget=60) == 4
    before, after = (read_log(path / LOG) for path in (tmp_path, tmp_path / "next"))
    assert after[: len(before)] == before and after[-1]["steps_done"] == 0  # the log is taken along


@pytest.mark.parametrize("content", [b"not a checkpoint", b"\x80\x04cos\nsystem\n.", b""])
def test_not_a_checkpoint(material: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state-00000001").mkdir()
    (tmp_path / "state-00000001" / "part-0.safetensors").write_bytes(content)
    for path, named in ((tmp_path, "state-00000001"), (tmp_path / "nothing", "nothing")):
        with pytest.raises(CheckpointError, match=named):
            train(tiny(material), tmp_path / "out", resume=path)


def test_what_the_machine_cannot_do_is_left_out(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a GPU there is no graph, and where compiling fails none is compiled; both are said, and change no digit."""

    def failing(function: object, **options: object) -> object:
        def fail(*args: object) -> object:
            raise RuntimeError("no compiler here")

        return fail

    monkeypatch.setattr(torch, "compile", failing)
    caplog.set_level("INFO")
    recipe = tiny(material, steps=2)
    train(recipe, tmp_path / "plain")
    train(dataclasses.replace(recipe, engine=Engine(graph=True, compile=True)), tmp_path / "asked")
    assert "No CUDA graphs" in caplog.text and "cannot be compiled (RuntimeError: no compiler here)" in caplog.text
    plain, asked = state_of(tmp_path / "plain"), state_of(tmp_path / "asked")
    assert all(torch.equal(value, asked[key]) for key, value in plain.items())


def test_unfit_data(material: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="frames of"):
        train(tiny(material, frames=9), tmp_path)
    with pytest.raises(InputError, match="multiple of 4"):
        train(tiny(material, crop=22), tmp_path)
    with pytest.raises(InputError, match="no clip folders"):
        training_data.load_clips(str(material / "hr"), [str(material)])
    with pytest.raises(InputError, match="named one"):
        training_data.load_clips(str(tmp_path), [str(material / "bench" / "hr_CRF20")])


def test_recipes(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[data]\nbenchmarks = ["a", "b"]\n[optimisation]\nsteps = 5\nlearning_rate = 1\n')
    recipe = read_recipe(path, ["optimisation.steps=7", "data.hr_root=hr", "model.blocks = 2"])
    assert recipe.data.benchmarks == ("a", "b")
    assert (recipe.optimisation.steps, recipe.optimisation.learning_rate, recipe.model.blocks) == (7, 1.0, 2)
    assert recipe.data.hr_root == "hr"
    for wrong, named in (
        ("optimisation.step=7", "step"),
        ("optimisation.steps=lots", "steps"),
        ("optimisation.steps=1.5", "steps"),
        ("steps=7", "section.key"),
        ("optimizer.steps=7", "optimizer"),
    ):
        with pytest.raises(InputError, match=named):
            read_recipe(path, [wrong])
    path.write_text("[data\n")
    with pytest.raises(InputError, match=r"r\.toml"):
        read_recipe(path)


def test_shipped_recipes_are_readable() -> None:
    recipes = list((Path(__file__).parents[2] / "scripts" / "training" / "recipes").glob("*.toml"))
    assert recipes
    for path in recipes:
        assert read_recipe(path).optimisation.steps > 0


def test_command_line(material: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    root = material.as_posix()
    path.write_text(
        f'[data]\nhr_root = "{root}/hr"\nbenchmarks = ["{root}/bench/hr_CRF20"]\n[model]\nchannels = 8\nblocks = 1\n'
    )
    sets = [f"optimisation.{value}" for value in ("steps=2", "batch=1", "frames=3", "crop=24")]
    arguments = ["train", "--config", str(path), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli, arguments + [word for value in sets for word in ("--set", value)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / WEIGHTS).is_file()
    result = CliRunner().invoke(cli, ["train", "--config", str(tmp_path / "none.toml")])
    assert result.exit_code == 1
    assert "none.toml" in result.stderr


def test_motion_of_the_fixture_is_as_it_says(material: Path) -> None:
    motion = motion_fields(material / "bench" / "hr_CRF20" / "one" / "clip.mp4")
    assert np.median(motion.to_prev[1:, 0]) == pytest.approx(-2, abs=0.1)
    assert np.median(motion.to_prev[1:, 1]) == pytest.approx(1, abs=0.1)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of two pieces, of 6 and 4 frames, in two versions each."""
    folder = tmp_path_factory.mktemp("prepared")
    for name, frames in (("long", 6), ("short", 4)):
        hr = moving_texture(frames, 128, 160, 8, -4)
        write_piece(folder / f"{name}.safetensors", make_piece(hr, Preparation(crf=(15, 20)), name, name))
    return folder


def test_prepared_sets_are_drawn_by_their_shares(material: Path, prepared: Path, tmp_path: Path) -> None:
    data = dataclasses.replace(tiny(material).data, prepared=(str(prepared),), shares=(0.0, 1.0))
    sources = training_data.load_sources(data)
    assert [[len(clip) for clip in clips] for clips in sources] == [[8], [6, 6, 4, 4]]
    assert sources[1][0].hr is sources[1][1].hr and sources[1][0].lr is not sources[1][1].lr
    windows = (Window(frames=5, context=1, batch=2, crop=16), Window(frames=3, batch=4, crop=24))
    recipe = dataclasses.replace(tiny(material, steps=3), data=data, windows=windows)
    shapes = set()
    for step in range(12):
        batch = Sampler(sources, recipe).batch(step)
        shapes.add((tuple(batch.frames.shape), tuple(batch.target.shape)))
        small = torch.nn.functional.avg_pool2d(batch.target.flatten(0, 1), 4).view(
            *batch.target.shape[:3], *batch.frames.shape[3:]
        )
        core = batch.frames[:, batch.context : batch.frames.shape[1] - batch.context]
        assert (small - core).mean(2).abs().mean() < 0.02
    assert shapes == {((2, 5, 3, 16, 16), (2, 3, 3, 64, 64)), ((4, 3, 3, 24, 24), (4, 3, 3, 96, 96))}
    only_benchmark = dataclasses.replace(recipe, data=dataclasses.replace(data, shares=(1.0, 0.0)))
    assert train(recipe, tmp_path / "one") == train(only_benchmark, tmp_path / "two") == 3
    one, two = (read_log(tmp_path / name / LOG) for name in ("one", "two"))
    assert one[1]["loss"] != two[1]["loss"]
    with pytest.raises(InputError, match="2 shares were expected"):
        training_data.load_sources(dataclasses.replace(data, shares=(1.0,)))
    with pytest.raises(InputError, match="name no folders"):
        training_data.load_sources(Data())


def test_validation_is_told_by_rate_factor_and_drawn(material: Path, tmp_path: Path) -> None:
    recipe = tiny(material, steps=4)
    data = dataclasses.replace(recipe.data, val_hr_root=recipe.data.hr_root, val_benchmarks=recipe.data.benchmarks)
    reporting = Reporting(log_every=1, save_every=100, validate_every=2, validate_frames=2)
    train(dataclasses.replace(recipe, data=data, reporting=reporting), tmp_path)
    entries = read_log(tmp_path / LOG)
    scores = [entry["val"]["hr_CRF20"] for entry in entries if "val" in entry]
    assert len(scores) == 2 and all(20 < score["psnr_rgb"] < 50 for score in scores)
    assert entries[0]["recipe"]["optimisation"]["steps"] == 4 and entries[-1]["steps_done"] == 4
    assert CliRunner().invoke(cli, ["train", "--out", str(tmp_path)]).exit_code == 2


def test_a_log_survives_a_kill_and_is_drawn(tmp_path: Path) -> None:
    lines = [{"step": 0, "begun": "now"}]
    for step in range(1, 21):
        lines.append({"step": step, "loss": 0.1 / step, "learning_rate": 0.01, "s": 0.1})
    scores = {name: {"psnr_rgb": 30.0, "without_motion": 29.0} for name in ("val_CRF15", "val_CRF35")}
    lines += [{"step": 10, "val": scores}, {"step": 20, "val": scores}, {"step": 20, "ended_of": 40, "minutes": 1.0}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / LOG).write_text(text + '{"step": 21, "lo')  # killed while writing
    Journal(tmp_path).note(step=22)
    assert read_log(tmp_path / LOG) == [*lines, {"step": 22}]
    pytest.importorskip("matplotlib")
    result = CliRunner().invoke(cli, ["train", "--out", str(tmp_path), "--plot", str(tmp_path / "log.png")])
    assert result.exit_code == 0, result.output
    picture = read_image(tmp_path / "log.png")
    assert picture.shape[0] > 500 and picture.std() > 10
    for content in ("nothing\n", '{"step": 3}\n'):
        (tmp_path / LOG).write_text(content)
        with pytest.raises(InputError, match="holds no"):
            plot_log(tmp_path / LOG, tmp_path / "log.png")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_graph_learns_what_single_steps_do(material: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Captured once for every kind of window, replayed at every other step, with the same weights in the end."""
    caplog.set_level("INFO")
    windows = (Window(3, 0, 2, 24, 1.0), Window(5, 1, 1, 16, 1.0))
    for name, graph in (("single", False), ("graph", True)):
        recipe = dataclasses.replace(tiny(material, steps=12), windows=windows, engine=Engine(graph=graph))
        train(recipe, tmp_path / name, device="cuda", precision="fp32")
    assert "CUDA graph" not in caplog.text
    single, graphed = state_of(tmp_path / "single"), state_of(tmp_path / "graph")
    for key, value in single.items():
        torch.testing.assert_close(graphed[key], value, rtol=1e-2, atol=1e-3)


def test_a_teacher_is_followed(material: Path, tmp_path: Path) -> None:
    """With all of the loss the teacher's, its own weights have nothing left to learn; without a teacher they have."""
    train(tiny(material, steps=2), tmp_path / "teacher")
    weights = tmp_path / "teacher" / WEIGHTS
    losses = []
    for given in (str(weights), ""):
        recipe = dataclasses.replace(
            tiny(material, steps=1), distillation=Distillation(given, share=1.0), dropout=Dropout(0, 0, 0)
        )
        recipe = dataclasses.replace(recipe, reporting=Reporting(log_every=1))
        train(recipe, tmp_path / f"student{len(losses)}", initial=weights)
        losses.append(next(e["loss"] for e in read_log(tmp_path / f"student{len(losses)}" / LOG) if "loss" in e))
    assert losses[0] < 1e-6 < losses[1]
    with pytest.raises(InputError, match="no network that frames can be learnt from"):
        train(dataclasses.replace(recipe, distillation=Distillation("bicubic")), tmp_path / "x")


def test_processes_share_a_batch(material: Path) -> None:
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    settings = Optimisation(batch=4, frames=3, crop=16)
    whole = make_batch(clips, settings, Dropout(0.5, 0.5, 0.5), 3)
    for part in (0, 1):
        own = make_batch(clips, settings, Dropout(0.5, 0.5, 0.5), 3, part=part, parts=2)
        for name, value in vars(own).items():
            assert torch.equal(
                torch.as_tensor(value),
                torch.as_tensor(getattr(whole, name))[part::2] if name != "context" else torch.tensor(0),
            )
    with pytest.raises(InputError, match="cannot be shared by 3"):
        make_batch(clips, settings, Dropout(), 0, part=0, parts=3)


def test_two_processes_learn_what_one_does(material: Path, tmp_path: Path) -> None:
    """torchrun with two processes on the CPU: the same batch in two parts, the same weights up to rounding."""
    recipe = tiny(material, steps=3)
    path = tmp_path / "r.toml"
    path.write_text(
        f'[data]\nhr_root = "{recipe.data.hr_root}"\nbenchmarks = ["{recipe.data.benchmarks[0]}"]\n'
        "[model]\nchannels = 8\nblocks = 1\n[optimisation]\nsteps = 3\nbatch = 2\nframes = 3\ncrop = 24\nwarmup = 2\nseed = 3\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "codecvsr",
               "train", "--config", str(path), "--out", str(tmp_path / "two"), "--device", "cpu"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=280, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    train(recipe, tmp_path / "one", device="cpu")
    one, two = state_of(tmp_path / "one"), state_of(tmp_path / "two")
    assert read_log(tmp_path / "two" / LOG)[0]["processes"] == 2 and len(read_log(tmp_path / "two" / LOG)) == 3
    assert one.keys() == two.keys()
    begun = CodecVSR(channels=8, blocks=1).state_dict()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-3, atol=2e-5)
    assert any((one[f"network.{key}"] - value).abs().max() > 1e-4 for key, value in begun.items())
