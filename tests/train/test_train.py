"""Training: recipes, data, and a loop that learns and can be stopped and resumed to the bit."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.errors import CheckpointError, InputError
from codecvsr.files import read_image
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.zoo import load_model
from codecvsr.train import data as training_data
from codecvsr.train.data import load_clips
from codecvsr.train.loop import WEIGHTS, learning_rate, train
from codecvsr.train.loss import charbonnier
from codecvsr.train.recipe import (
    Distillation,
    Dropout,
    Engine,
    Model,
    Optimisation,
    Reporting,
    Window,
    read_recipe,
)
from codecvsr.train.run_log import LOG, RunLog, plot_log, read_log
from codecvsr.video.resize import resample
from tests.train.conftest import make_batch, state_of, tiny


def test_begins_with_initial_weights(material: Path, tmp_path: Path) -> None:
    """Zero steps from initial weights return them; weights of another network are refused."""
    train(tiny(material, steps=2), tmp_path / "one")
    begun = tmp_path / "one" / WEIGHTS
    assert train(tiny(material, steps=0), tmp_path / "two", initial=begun) == 0
    assert (tmp_path / "two" / WEIGHTS).stat().st_size == begun.stat().st_size
    one, two = (load_model(tmp_path / name / WEIGHTS).network.state_dict() for name in ("one", "two"))
    assert all(torch.equal(one[key], two[key]) for key in one)
    wider = dataclasses.replace(tiny(material), model=Model(channels=12, blocks=1))
    with pytest.raises(CheckpointError, match="codecvsr.safetensors"):
        train(wider, tmp_path / "three", initial=begun)


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


def test_unsupported_engine_options_are_ignored(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a GPU there is no graph, and where compiling fails it runs uncompiled; both are logged, and the result is equal."""

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
        with pytest.raises(InputError, match=named) as refused:
            read_recipe(path, ["model.blocks=2", wrong, "data.hr_root=hr"])
        assert str(refused.value).startswith(f"--set {wrong}")
    path.write_text("[optimisation]\nsteps = 'few'\n")
    assert read_recipe(path, ["model.blocks=2", "optimisation.steps=9"]).optimisation.steps == 9
    with pytest.raises(InputError, match=r"^.*r\.toml, \[optimisation\]: steps = 'few'"):
        read_recipe(path, ["model.blocks=2"])
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
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1 and "-y/--overwrite" in result.stderr
    result = CliRunner().invoke(cli, ["train", "--config", str(tmp_path / "none.toml")])
    assert result.exit_code == 1
    assert "none.toml" in result.stderr


def test_validation_is_logged_by_crf_and_drawn(
    material: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny(material, steps=4)
    data = dataclasses.replace(recipe.data, val_hr_root=recipe.data.hr_root, val_benchmarks=recipe.data.benchmarks)
    reporting = Reporting(log_every=1, save_every=100, validate_every=2, validate_frames=2)
    monkeypatch.setattr(logging.getLogger("codecvsr"), "propagate", True)
    with caplog.at_level("INFO", logger="codecvsr"):
        train(dataclasses.replace(recipe, data=data, reporting=reporting), tmp_path)
    assert re.search(r"step=2 hr_CRF20: [\d.]+ dB, [+-][\d.]+ over bicubic \([\d.]+\), without motion", caplog.text)
    assert re.search(r"step=1 loss=\S+ learning_rate=\S+ s=\S+ of 4 steps, about \d+ s left", caplog.text)
    entries = read_log(tmp_path / LOG)
    scores = [entry["val"]["hr_CRF20"] for entry in entries if "val" in entry]
    assert len(scores) == 2 and all(20 < score["psnr_rgb"] < 50 for score in scores)
    clip = load_clips(data.val_hr_root, data.val_benchmarks, 2)[0]
    errors = [
        ((resample(lr, *hr.shape[:2]).astype(float) - hr) ** 2).mean()
        for lr, hr in zip(clip.lr.numpy(), clip.hr.numpy(), strict=True)
    ]
    bicubic = float(np.mean([10 * np.log10(255**2 / error) for error in errors]))
    assert all(score["bicubic"] == pytest.approx(bicubic, abs=0.02) for score in scores)
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
    RunLog(tmp_path).write(step=22)
    assert read_log(tmp_path / LOG) == [*lines, {"step": 22}]
    pytest.importorskip("matplotlib")
    result = CliRunner().invoke(cli, ["train", "--out", str(tmp_path), "--plot", str(tmp_path / "log.png")])
    assert result.exit_code == 0, result.output
    picture = read_image(tmp_path / "log.png")
    assert picture.shape[0] > 500 and picture.std() > 10
    for content in ("nothing\n", '{"step": 3}\n'):
        (tmp_path / LOG).write_text(content)
        with pytest.raises(InputError, match="has no"):
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
    for teacher in (str(weights), ""):
        recipe = dataclasses.replace(
            tiny(material, steps=1), distillation=Distillation(teacher, share=1.0), dropout=Dropout(0, 0, 0)
        )
        recipe = dataclasses.replace(recipe, reporting=Reporting(log_every=1))
        train(recipe, tmp_path / f"student{len(losses)}", initial=weights)
        losses.append(next(e["loss"] for e in read_log(tmp_path / f"student{len(losses)}" / LOG) if "loss" in e))
    assert losses[0] < 1e-6 < losses[1]
    with pytest.raises(InputError, match="no network that frames can be learnt from"):
        train(dataclasses.replace(recipe, distillation=Distillation("bicubic")), tmp_path / "x")


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
