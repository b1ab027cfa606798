"""State of a run: saved, resumed exactly, stopped by time, and never overwritten unasked."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from codecvsr.errors import CheckpointError, OutputError
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.train.loop import WEIGHTS, train
from codecvsr.train.optimiser import make_optimiser
from codecvsr.train.recipe import (
    Reporting,
    Window,
)
from codecvsr.train.run_log import LOG, read_log
from codecvsr.train.sampling import Sampler
from codecvsr.train.state import PART_BYTES, load_state, save_state
from tests.train.conftest import state_of, tiny


@pytest.mark.parametrize(
    ("windows", "optimiser"),
    [((), "adam"), ((Window(3, 0, 2, 24, 1.0), Window(5, 1, 1, 16, 1.0)), "adam"), ((), "muon")],
    ids=["one", "mixed", "muon"],
)
def test_resumed_equals_uninterrupted(
    material: Path, tmp_path: Path, windows: tuple[Window, ...], optimiser: str
) -> None:
    recipe = dataclasses.replace(tiny(material, optimiser=optimiser), windows=windows)
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


def test_state_is_saved_in_small_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several files of bounded size, one folder at a time; loading returns what was saved, with moments in 16 bits on request."""
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
    """The steps follow from the speed of the first ones, and the next session uses the same."""
    monkeypatch.setattr("codecvsr.train.loop._UNMEASURED", 1)
    monkeypatch.setattr("codecvsr.train.loop._MEASURED", 2)
    recipe = tiny(material, steps=1000)
    done = train(recipe, tmp_path, budget=1e-3)  # the measurement alone needs longer
    assert done == 4 and [e["schedule"] for e in read_log(tmp_path / LOG) if "schedule" in e] == [4]
    assert train(recipe, tmp_path / "next", resume=tmp_path, budget=60) == 4
    before, after = (read_log(path / LOG) for path in (tmp_path, tmp_path / "next"))
    assert after[: len(before)] == before and after[-1]["steps_done"] == 0  # the log is copied


@pytest.mark.parametrize("content", [b"not a checkpoint", b"\x80\x04cos\nsystem\n.", b""])
def test_not_a_checkpoint(material: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state-00000001").mkdir()
    (tmp_path / "state-00000001" / "part-0.safetensors").write_bytes(content)
    for path, named in ((tmp_path, "state-00000001"), (tmp_path / "nothing", "nothing")):
        with pytest.raises(CheckpointError, match=named):
            train(tiny(material), tmp_path / "out", resume=path)


def test_a_run_is_not_overwritten_unasked(material: Path, tmp_path: Path) -> None:
    """A folder with a run is refused, unchanged, without resume or overwrite; the state of another run counts as well."""
    recipe, out = tiny(material, steps=2), tmp_path / "run"
    train(recipe, out)
    weights = load_file(out / WEIGHTS)
    assert train(recipe, out, resume=out) == train(recipe, out, resume=next(out.glob("state-*"))) == 2
    after = load_file(out / WEIGHTS)
    assert all(torch.equal(value, after[key]) for key, value in weights.items())
    shutil.copytree(out, tmp_path / "other")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for resume in (None, tmp_path / "other"):
        with pytest.raises(OutputError, match="has a training run already"):
            train(recipe, out, resume=resume)
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert train(tiny(material, steps=1), out, overwrite=True) == 1
    assert [path.name for path in out.glob("state-*")] == ["state-00000001"]
    assert [entry["step"] for entry in read_log(out / LOG) if "begun" in entry] == [0]
