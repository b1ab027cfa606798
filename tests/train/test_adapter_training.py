"""Training of adapters: low-rank differences to a base, for every network that has published weights."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from codecvsr.cli.train import command
from codecvsr.errors import CheckpointError, InputError
from codecvsr.models.checkpoints import adapter
from codecvsr.models.checkpoints.make_adapter import make_adapter
from codecvsr.models.zoo import load_model
from codecvsr.train.loop import train
from codecvsr.train.network import build
from codecvsr.train.recipe import Adapter, Model, Recipe
from codecvsr.train.run_log import LOG, read_log
from tests.train.conftest import state_of, tiny


def base_of(folder: Path, network: str, file_name: str = "base.safetensors", seed: int = 0) -> Path:
    torch.manual_seed(seed)
    path = folder / file_name
    save_file(build(Model(network=network, channels=8, blocks=1)).state_dict(), path)
    return path


def adapting(material: Path, base: Path | str, rank: int = 2, **optimisation: object) -> Recipe:
    recipe = tiny(material, **({"steps": 20, "batch": 1, "crop": 16, "learning_rate": 3e-3, "ema": 0.5} | optimisation))
    return dataclasses.replace(recipe, model=Model(), adapter=Adapter(base=str(base), rank=rank))


@pytest.mark.parametrize("network", ["basicvsr", "iconvsr", "basicvsr-pp", "edvr-m"])
def test_every_published_network_learns_an_adapter(material: Path, tmp_path: Path, network: str) -> None:
    base = base_of(tmp_path, network)
    out = tmp_path / "run"
    assert train(adapting(material, base), out) == 20
    losses = [row["loss"] for row in read_log(out / LOG) if "loss" in row]
    assert min(losses[-3:]) < losses[0]

    path = (out / "adapter.safetensors").rename(tmp_path / "adapter.safetensors")  # beside its base
    first, made = load_model(base), load_model(path)
    assert (made.architecture, made.motion[:1]) == (first.architecture, ("codec",) if first.motion else ())
    assert made.metadata["file.steps"] == "20" and made.metadata["file.rank"] == "2"
    tensors = load_file(path)
    differences = adapter.differences(tensors)
    assert all(value.dtype == torch.float16 for value in tensors.values())
    assert any(name.endswith(".bias") for name in differences) and any(name.endswith(".weight") for name in differences)
    assert not any(name.startswith("spynet.") for name in differences), "SPyNet has no part in training on codec motion"
    factors = [name for name in tensors if name.endswith(adapter.FIRST)]
    for name in factors:
        weight = name.replace(adapter.FIRST, adapter.WEIGHT)
        assert torch.linalg.matrix_rank(adapter.as_matrix(differences[weight])) <= 2
    before, after = first.network.state_dict(), made.network.state_dict()
    changes = {key for key in before if not torch.equal(before[key], after[key])}
    assert changes <= set(differences) and len(changes) > len(before) // 4
    for key in set(differences) - changes:  # too small for the base's precision
        assert differences[key].abs().max() < 1e-6
    assert path.stat().st_size < 0.7 * base.stat().st_size


def test_a_resumed_run_is_the_same_and_its_state_has_no_base(material: Path, tmp_path: Path) -> None:
    base = base_of(tmp_path, "basicvsr")
    recipe = adapting(material, base, steps=6)
    train(recipe, tmp_path / "whole")
    train(recipe, tmp_path / "parts", minutes=0)
    assert train(recipe, tmp_path / "parts", resume=tmp_path / "parts") == 6
    whole, parts = state_of(tmp_path / "whole"), state_of(tmp_path / "parts")
    assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)
    assert not any(key.endswith(".original") for key in whole)
    one, two = (load_file(tmp_path / run / "adapter.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(one[key], two[key]) for key in one)

    other = base_of(tmp_path, "basicvsr", "other.safetensors", seed=1)
    for changed in (adapting(material, other, steps=8), tiny(material, steps=8)):
        model = dataclasses.replace(changed.model, network="basicvsr") if not changed.adapter.base else changed.model
        with pytest.raises(CheckpointError, match="cannot be resumed from"):
            train(dataclasses.replace(changed, model=model), tmp_path / "more", resume=tmp_path / "whole")


def test_what_cannot_be_adapted_is_named(material: Path, tmp_path: Path) -> None:
    base, out = base_of(tmp_path, "basicvsr"), tmp_path / "run"
    recipe = adapting(material, base)
    wrong = {
        "not a network for x4 that can be trained": dataclasses.replace(
            recipe, adapter=Adapter("basicvsr-pp-decompress:random")
        ),
        "is no weights file; write it": dataclasses.replace(recipe, adapter=Adapter("basicvsr:random")),
        "but adapter.base is base, a network of the kind basicvsr": dataclasses.replace(recipe, model=Model("edvr")),
        "basicvsr is trained on codec or own or zero": dataclasses.replace(recipe, model=Model(motion="dis")),
        "neither a model nor a weights file": dataclasses.replace(recipe, adapter=Adapter(str(tmp_path / "none"))),
    }
    for message, each in wrong.items():
        with pytest.raises(InputError, match=message):
            train(each, out)
    with pytest.raises(InputError, match="begins with its base; leave out one of the two"):
        train(recipe, out, initial=base)
    assert not out.exists()


def test_a_full_training_from_any_checkpoint_can_be_factored(material: Path, tmp_path: Path) -> None:
    """--initial takes what --model takes; the weights file says what it began with, so that 'factor' knows its base."""
    torch.manual_seed(0)
    start = build(Model(network="basicvsr", channels=8, blocks=1))
    path = tmp_path / "official.pth"
    torch.save({"params": start.state_dict()}, path)
    recipe = dataclasses.replace(tiny(material, steps=2), model=Model(network="basicvsr", channels=8, blocks=1))
    train(recipe, tmp_path / "run", initial=path)
    train(dataclasses.replace(recipe, optimisation=dataclasses.replace(recipe.optimisation, steps=3)), tmp_path / "run",
          resume=tmp_path / "run")  # fmt: skip
    tuned = tmp_path / "run" / "basicvsr.safetensors"
    model = load_model(tuned)
    assert model.metadata["file.initial_sha256"] == adapter.fingerprint(start.state_dict())
    assert model.motion[0] == "codec"
    made = make_adapter(path, tuned, tmp_path / "adapter.safetensors")
    assert made.kept > 0.99
    wanted, found = (load_model(each).network.state_dict() for each in (tuned, tmp_path / "adapter.safetensors"))
    assert all(torch.allclose(found[key], wanted[key], atol=1e-4) for key in wanted)
    with pytest.raises(InputError, match="was not trained from"):
        make_adapter(base_of(tmp_path, "basicvsr", seed=5), tuned, tmp_path / "wrong.safetensors")
    with pytest.raises(CheckpointError, match=r"has no weights of this \[model\], but of basicvsr"):
        train(tiny(material, steps=0), tmp_path / "three", initial=path)
    with pytest.raises(InputError, match="models fetch basicvsr-reds4"), pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "CODECVSR_CACHE", str(tmp_path / "cache"))
        train(recipe, tmp_path / "four", initial="basicvsr-reds4")


def test_the_command_adapts_what_it_is_told_to(material: Path, tmp_path: Path) -> None:
    base, config, out = base_of(tmp_path, "edvr-m"), tmp_path / "recipe.toml", tmp_path / "run"
    config.write_text(
        f'[data]\nhr_root = "{material / "hr"}"\nbenchmarks = ["{material / "bench" / "hr_CRF20"}"]\n'
        "[optimisation]\nsteps = 1\nbatch = 1\nframes = 3\ncrop = 24\n[adapter]\nrank = 3\n"
    )
    arguments = ["--config", str(config), "--out", str(out), "--device", "cpu", "--adapter"]
    nameless = CliRunner().invoke(command, arguments)
    assert nameless.exit_code == 2 and "name the weights to adapt" in nameless.output
    result = CliRunner().invoke(command, [*arguments, str(base)])
    assert result.exit_code == 0, result.output
    assert (out / "adapter.safetensors").is_file()
    config.write_text(config.read_text() + f'base = "{base}"\n')
    again = CliRunner().invoke(command, [*arguments[:-1], "-y", "--adapter"])
    assert again.exit_code == 0, again.output
