"""Training: recipes, data, and a loop that learns and can be stopped and resumed to the bit."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.errors import CheckpointError, InputError
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.zoo import load_model
from codecvsr.motion import motion_fields
from codecvsr.motion.sample import warp
from codecvsr.pipeline.benchmark import BenchmarkSettings, make_benchmark
from codecvsr.train import data as training_data
from codecvsr.train.loop import CHECKPOINT, LOG, WEIGHTS, charbonnier, learning_rate, train
from codecvsr.train.recipe import Data, Dropout, Model, Optimisation, Recipe, Reporting, read_recipe
from tests.streams import encode, moving_texture


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``hr/one.mp4`` and ``bench/hr_CRF20/one``: content that moves (8, -4) HR pixels a frame."""
    root = tmp_path_factory.mktemp("training")
    (root / "hr").mkdir()
    encode(root / "hr" / "one.mp4", moving_texture(8, 256, 320, 8, -4), options={"crf": "8"})
    make_benchmark(root / "hr", root / "bench", BenchmarkSettings(crfs=(20,)))
    return root


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
        batch = training_data.make_batch(clips, settings, Dropout(0, 0, 0), step)
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
        training_data._RGB_TO_YCBCR @ rgb
        for rgb in (colours, training_data._recolouring(negate_cb, negate_cr, swap) @ colours)
    )
    np.testing.assert_allclose(after[0], before[0], atol=1e-5)
    np.testing.assert_allclose(np.sort(np.abs(after[1:]), axis=0), np.sort(np.abs(before[1:]), axis=0), atol=1e-5)
    assert np.allclose(after, before, atol=1e-5) == (not (negate_cb or negate_cr or swap))


def test_context_has_no_target(material: Path) -> None:
    """Frames of context are looked at only: the rest of the batch is what it is without them."""
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    whole, core = (
        training_data.make_batch(clips, Optimisation(batch=2, frames=5, crop=24, context=c), Dropout(), 1)
        for c in (0, 2)
    )
    assert core.frames.shape[1] == 5
    torch.testing.assert_close(core.target, whole.target[:, 2:3])
    with pytest.raises(InputError, match="context"):
        training_data.check_clips(clips, Optimisation(frames=4, context=2))


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
    one, two, other = (training_data.make_batch(clips, settings, Dropout(), step) for step in (7, 7, 8))
    for name, value in vars(one).items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(getattr(two, name)))
    assert not torch.equal(one.frames, other.frames)


def test_dropout_leaves_out_all_of_it(material: Path) -> None:
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    settings = Optimisation(batch=3, frames=3, crop=24)
    batch = training_data.make_batch(clips, settings, Dropout(motion=1, second_order=1, priors=0), 0)
    assert not batch.use_motion.any() and not batch.use_second_order.any()
    assert not batch.priors[:, :, 4:].any() and batch.priors[:, :, :4].any()
    assert not training_data.make_batch(clips, settings, Dropout(priors=1), 0).priors.any()


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
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(2, 101, 2))
    model = load_model(tmp_path / WEIGHTS)
    assert model.architecture == "codecvsr"
    assert model.metadata["file.steps"] == "100"
    clips = training_data.load_clips(recipe.data.hr_root, recipe.data.benchmarks)
    batch = training_data.make_batch(clips, Optimisation(batch=2, frames=3, crop=48, seed=9), Dropout(0, 0, 0), 0)
    losses = []
    for network in (CodecVSR(channels=8, blocks=1), model.network):
        with torch.no_grad():
            predicted = network(batch.frames, batch.to_prev, batch.to_next, batch.priors, batch.is_cut)
        losses.append(float(charbonnier(predicted, batch.target, 0.03)))
    assert losses[1] < 0.97 * losses[0]


def test_resumed_equals_uninterrupted(material: Path, tmp_path: Path) -> None:
    recipe = tiny(material)
    train(recipe, tmp_path / "whole")
    halted = dataclasses.replace(recipe, reporting=Reporting(log_every=1, save_every=3, validate_every=100))
    with pytest.MonkeyPatch.context() as patch:
        original, calls = training_data.make_batch, []

        def interrupted(*args: object) -> object:
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return original(*args)

        patch.setattr("codecvsr.train.loop.make_batch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(halted, tmp_path / "parts")
    train(recipe, tmp_path / "parts", resume=tmp_path / "parts" / CHECKPOINT)
    whole, parts = (torch.load(tmp_path / name / CHECKPOINT, weights_only=True) for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 6
    for part in ("network", "average"):
        for key, value in whole[part].items():
            assert torch.equal(value, parts[part][key]), key


def test_minutes_stop_a_run_with_its_state_saved(material: Path, tmp_path: Path) -> None:
    assert train(tiny(material), tmp_path, minutes=0) == 0
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"] == 0


@pytest.mark.parametrize("content", [b"not a checkpoint", b"\x80\x04cos\nsystem\n.", b""])
def test_not_a_checkpoint(material: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="x.pt"):
        train(tiny(material), tmp_path / "out", resume=tmp_path / "x.pt")


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
    recipes = list((Path(__file__).parents[2] / "scripts" / "recipes").glob("*.toml"))
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
