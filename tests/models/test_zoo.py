"""Names, random weights and what `codecvsr models` says of them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from codecvsr.cli.models import command
from codecvsr.errors import CheckpointError, InputError
from codecvsr.metrics.lpips import LINEAR_LAYERS
from codecvsr.models import catalogue, zoo
from codecvsr.models.checkpoints import fetch
from codecvsr.models.checkpoints.convert import convert
from codecvsr.models.checkpoints.offers import OFFERS
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.edvr import EDVR
from codecvsr.models.rate_groups import RateGroups
from codecvsr.models.registry import ARCHITECTURES, constructors
from tests.goldens.published import fill, published_shapes
from tests.streams import moving_texture


@pytest.fixture()
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODECVSR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_every_name_is_consistent() -> None:
    for name, model in zoo.MODELS.items():
        assert model.architecture in ARCHITECTURES
        assert (model.training == "official") == (name in fetch.MEMBERS or model.offer is not None)
        assert name not in constructors() or model.architecture == name, "a name must not mean two networks"
    assert set(fetch.MEMBERS) - {LINEAR_LAYERS} <= set(zoo.MODELS)
    assert not set(fetch.MEMBERS) & set(OFFERS)


def test_bicubic_needs_nothing() -> None:
    model = zoo.load_model("bicubic")
    assert (model.parameters, model.motion, model.path, model.training, model.scale) == (0, (), None, "none", 4)
    assert model.network(torch.zeros(1, 2, 3, 5, 7)).shape == (1, 2, 3, 20, 28)


@pytest.mark.parametrize("name", ["basicvsr", "codecvsr"])
def test_random_weights_are_labelled_and_the_same_every_time(name: str) -> None:
    before = torch.random.get_rng_state()
    first, second = zoo.load_model(f"{name}:random"), zoo.load_model(f"{name}:random")
    assert (first.architecture, first.training) == (name, "untrained")
    assert torch.equal(torch.random.get_rng_state(), before)
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert first.motion[0] == {"basicvsr": "spynet", "codecvsr": "codec"}[name]


def test_codecvsr_weights_are_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "weights_folder", lambda: tmp_path)
    with pytest.raises(InputError, match=r"codecvsr\.safetensors; install codecvsr again"):
        zoo.load_model("codecvsr")
    network = fill(CodecVSR(channels=8, blocks=2))
    save_file(network.state_dict(), tmp_path / "codecvsr.safetensors")
    save_file(network.state_dict(), tmp_path / "copy.safetensors")
    model = zoo.load_model("codecvsr")
    assert (model.architecture, model.training, model.licence) == ("codecvsr", "codecvsr", "Apache-2.0")
    assert (model.network.channels, model.network.blocks) == (8, 2)
    loaded = model.network.state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in network.state_dict().items())
    assert zoo.load_model(tmp_path / "codecvsr.safetensors").training == "codecvsr"
    assert zoo.load_model(tmp_path / "copy.safetensors").training == "user"
    row = next(row for row in catalogue.overview() if row["name"] == "codecvsr")
    assert row["present"] and row["parameters"] == model.parameters > 0


def test_wrong_names_say_what_there_is(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Did you mean 'basicvsr-reds4'"):
        zoo.load_model("basicvsr-red4")
    with pytest.raises(InputError, match="networks are codecvsr, basicvsr, bicubic"):
        zoo.load_model("nothing:random")
    with pytest.raises(InputError, match="is a folder"):
        zoo.load_model(tmp_path)
    with pytest.raises(InputError, match=r"run 'codecvsr models fetch basicvsr-reds4'"):
        zoo.load_model("basicvsr-reds4")


def test_a_cached_file_that_is_not_the_official_one_is_refused(cache: Path) -> None:
    path = fetch.cached_path("basicvsr-reds4")
    path.parent.mkdir(parents=True)
    torch.save({"params": zoo.load_model("basicvsr:random").network.state_dict()}, path)
    with pytest.raises(CheckpointError, match="is not the official file"):
        zoo.load_model("basicvsr-reds4")
    assert zoo.load_model(path).training == "user"


@pytest.mark.parametrize("name", [name for name in constructors() if name not in ("bicubic", "lanczos")])
def test_every_network_is_known_by_its_keys_and_built_again_from_them(name: str) -> None:
    kind, build = constructors()[name]
    with torch.device("meta"):  # shapes alone: the largest has 180 MB of weights
        network = build()
        state = network.state_dict()
        found = [other for other, one in ARCHITECTURES.items() if one.recognises is not None and one.recognises(state)]
        assert found == [kind]
        again = ARCHITECTURES[kind].from_state_dict(state)
    assert {key: tensor.shape for key, tensor in again.state_dict().items()} == {k: v.shape for k, v in state.items()}
    scales = {getattr(built, "scale", 4) for built in (network, again)}
    assert scales == {1 if name in ("edvr-l-deblur", "basicvsr-pp-decompress") else 4}


@pytest.mark.parametrize(
    ("name", "kind", "golden"),
    [
        ("edvr-m:random", "edvr", "EDVR_M"),
        ("edvr-m-wotsa-reds:random", "edvr", "EDVR_M_woTSA"),  # the published model's network, not its architecture's
        ("rbpn:random", "rbpn", "RBPN"),
        ("mvsr-seed:random", "mvsr-seed", "SeedMVSR"),
    ],
)
def test_other_networks_with_random_weights(name: str, kind: str, golden: str) -> None:
    model = zoo.load_model(name)
    parameters = sum(math.prod(shape) for shape in published_shapes(golden).values())
    assert (model.architecture, model.training, model.parameters) == (kind, "untrained", parameters)


def test_a_network_without_weights_says_what_to_give() -> None:
    with pytest.raises(InputError, match="'edvr-m' is a network, and codecvsr has no weights.*'edvr-m:random'"):
        zoo.load_model("edvr-m")
    with pytest.raises(InputError, match="no network is called 'edvr-xl'; networks are .*edvr-m, edvr-m-wotsa"):
        zoo.load_model("edvr-xl:random")


def test_models_offered_elsewhere(cache: Path) -> None:
    with pytest.raises(
        InputError, match=r"iconvsr_reds4_20210413-9e09d621\.pth.*SHA-256 begins with 9e09d621.*openmmlab"
    ):
        zoo.load_model("iconvsr-reds4")
    with pytest.raises(InputError, match="cannot be fetched by a program: download RBPN_4x.pth from"):
        fetch.fetch("rbpn-x4")
    path = zoo.weights_path("edvr-m-reds")
    path.parent.mkdir(parents=True)
    torch.save({"params": EDVR(num_feat=8, num_reconstruct_block=1).state_dict()}, path)
    with pytest.raises(CheckpointError, match="is not the official file of 'edvr-m-reds'; download EDVR_M_x4"):
        zoo.load_model("edvr-m-reds")
    assert zoo.load_model(path).training == "user"
    rows = {row["name"]: row for row in catalogue.overview()}
    assert rows["basicvsr-pp-ntire-decompress1"]["offer"]["sha256_prefix"] == "7b2eba02"
    assert rows["rbpn-x4"]["offer"]["sha256_prefix"] == "" and not rows["rbpn-x4"]["present"]
    for name, offer in OFFERS.items():
        assert offer.network in constructors(), name
        assert offer.sha256_prefix or name == "rbpn-x4", name


def test_an_offered_file_in_its_place_is_taken_by_name(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = cache / "models" / "saved.pth"
    saved.parent.mkdir(parents=True)
    torch.save({"params": EDVR(num_feat=8, num_reconstruct_block=1).state_dict()}, saved)
    begins = fetch.sha256_of(saved)[:8]
    offer = replace(OFFERS["edvr-m-reds"], file_name=f"EDVR-{begins}.pth")
    monkeypatch.setitem(zoo.MODELS, "edvr-m-reds", replace(zoo.MODELS["edvr-m-reds"], offer=offer))
    saved.rename(cache / "models" / offer.file_name)
    model = zoo.load_model("edvr-m-reds")
    assert (model.name, model.training, model.network.num_feat) == ("edvr-m-reds", "official", 8)


def test_convert_writes_safetensors_that_load_the_same(tmp_path: Path) -> None:
    source, target = tmp_path / "attention.pth", tmp_path / "out" / "attention.safetensors"
    network = fill(RateGroups(multi_head=True, mid_channels=8, num_blocks=1))
    torch.save({f"_orig_mod.{key}": tensor for key, tensor in network.state_dict().items()}, source)
    run = CliRunner().invoke
    done = run(command, ["convert", str(source), str(target), "--set", "rates=1,3,5", "--json"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["architecture"] == "rate-groups" and printed["metadata"]["file.rates"] == "1,3,5"
    model = zoo.load_model(target)
    assert model.network.rates == (1, 3, 5) and model.network.multi_head
    assert model.metadata["file.source_sha256"] == fetch.sha256_of(source)
    loaded = model.network.state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in network.state_dict().items())
    convert(target, tmp_path / "again.safetensors")
    assert zoo.load_model(tmp_path / "again.safetensors").network.rates == (1, 3, 5)

    refused = run(command, ["convert", str(source), str(target)])
    assert refused.exit_code == 1 and "exists already" in refused.stderr
    assert run(command, ["convert", str(source), str(target), "-y"]).exit_code == 0
    assert zoo.load_model(target).network.rates == (1, 2, 3)
    for arguments, words in (
        ([str(source), str(tmp_path / "x.pth")], "must be called *.safetensors"),
        (["bicubic", str(tmp_path / "x.safetensors")], "has no weights to convert"),
        ([str(source), str(tmp_path / "x.safetensors"), "--set", "rates=1,2"], "expected three steps"),
        ([str(source), str(tmp_path / "x.safetensors"), "--set", "stride=1"], "has no setting 'stride'"),
    ):
        refused = run(command, ["convert", *arguments])
        assert refused.exit_code == 1 and words in refused.stderr
    assert not (tmp_path / "x.safetensors").exists() and not (tmp_path / "x.pth").exists()


def test_list_and_info_commands(cache: Path) -> None:
    run = CliRunner().invoke
    listed = run(command, ["list"])
    assert listed.exit_code == 0
    line = next(line for line in listed.stdout.splitlines() if line.startswith("basicvsr-reds4 "))
    assert "6,291,311" in line and "fetch" in line and "codecvsr models fetch NAME" in listed.stdout
    assert run(command, []).stdout == listed.stdout
    listed = run(command, ["list", "--all"])
    line = next(line for line in listed.stdout.splitlines() if line.startswith("basicvsr-reds4 "))
    assert "6,291,311" in line and "Apache-2.0" in line and "missing" in line
    assert "codecvsr models fetch basicvsr-reds4" in listed.stdout
    rows = json.loads(run(command, ["list", "--json"]).stdout)["models"]
    assert [row["name"] for row in rows] == list(zoo.MODELS)
    networks = json.loads(run(command, ["list", "--json"]).stdout)["networks"]
    assert [row["name"] for row in networks] == list(constructors())
    assert "iconvsr_reds4_20210413-9e09d621.pth, SHA-256 9e09d621..., from https://download.openmmlab" in listed.stdout
    assert "edvr-m-wotsa, edvr-l" in listed.stdout

    shown = json.loads(run(command, ["info", "basicvsr:random", "--json"]).stdout)
    assert (shown["parameters"], shown["training"], shown["motion"][0]) == (6_291_311, "untrained", "spynet")
    assert "parameters:   6,291,311" in run(command, ["info", "basicvsr:random"]).stdout
    failed = run(command, ["info", "no-such-model"])
    assert failed.exit_code == 1 and "no-such-model" in failed.stderr and failed.stdout == ""


# --- the official weights, where they have been fetched ---------------------------------------------------------------


@pytest.fixture(scope="module")
def official() -> zoo.LoadedModel:
    path = fetch.cached_path("basicvsr-reds4")
    if not path.is_file():
        pytest.skip("the official weights are not in the cache: codecvsr models fetch basicvsr-reds4")
    return zoo.load_model("basicvsr-reds4")


def test_official_weights_load(official: zoo.LoadedModel) -> None:
    assert (official.parameters, official.training) == (6_291_311, "official")
    assert (official.network.num_feat, official.network.num_block) == (64, 30)
    assert official.sha256 == fetch.MEMBERS["basicvsr-reds4"].sha256
    by_path = zoo.load_model(official.path)
    assert (by_path.training, by_path.licence) == ("official", "Apache-2.0")


@torch.inference_mode()
def test_official_spynet_sees_known_motion(official: zoo.LoadedModel) -> None:
    frames = torch.from_numpy(moving_texture(2, 70, 90, 3, -2)).permute(0, 3, 1, 2) / 255
    to_next = official.network.spynet(frames[:1], frames[1:])[..., 16:-16, 16:-16]
    assert (to_next.mean((0, 2, 3)) - torch.tensor([3.0, -2.0])).abs().max() < 0.2


@torch.inference_mode()
def test_official_weights_beat_bicubic(official: zoo.LoadedModel) -> None:
    hr = moving_texture(3, 160, 192, 2, 1, seed=5).astype(np.float32) / 255
    lr = np.stack([cv2.resize(frame, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) for frame in hr])
    x = torch.from_numpy(lr).permute(0, 3, 1, 2)[None]
    target = torch.from_numpy(hr).permute(0, 3, 1, 2)[None]

    def psnr(output: torch.Tensor) -> float:
        return -10 * math.log10(float((output.clamp(0, 1) - target)[..., 8:-8, 8:-8].square().mean()))

    assert psnr(official.network(x)) > psnr(zoo.load_model("bicubic").network(x)) + 0.5
