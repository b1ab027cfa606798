"""Adapter files: made by factoring, loaded with their base, refused where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import Tensor

from codecvsr.cli.models import command
from codecvsr.errors import CheckpointError, InputError
from codecvsr.models import catalogue, model_names, zoo
from codecvsr.models.checkpoints import adapter, fetch
from codecvsr.models.checkpoints.factor import factor
from codecvsr.models.checkpoints.make_adapter import Limits, make_adapter
from codecvsr.models.iconvsr import IconVSR
from tests.models.adapters import Files, changed, rewrite, state_of


def _distance(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return float(sum((a[key] - b[key]).square().sum() for key in a)) ** 0.5


def test_full_rank_is_the_tuned_network_and_the_error_falls_with_the_rank(files: Files) -> None:
    base, tuned, path = files
    wanted = state_of(tuned)
    errors = []
    for rank in (1, 2, 4, None):
        made = make_adapter(base, tuned, path, limits=Limits(max_rank=rank), overwrite=True)
        errors.append(_distance(state_of(path), wanted))
        assert made.kept == pytest.approx(1 - (errors[-1] / _distance(state_of(base), wanted)) ** 2, abs=1e-4)
    assert errors[0] > errors[1] > errors[2] > 100 * errors[3]
    first = state_of(base)
    for key, value in state_of(path).items():
        largest = float((wanted[key] - first[key]).abs().max())
        assert torch.allclose(value, wanted[key], rtol=0, atol=2**-11 * largest + 1e-7), key


def test_the_file_keeps_to_its_size_and_gives_ranks_where_most_is_kept(files: Files) -> None:
    base, tuned, path = files
    sizes, kept = [], []
    for mib in (0.03, 0.06, 0.12):
        made = make_adapter(base, tuned, path, limits=Limits(max_mib=mib), overwrite=True)
        sizes.append(path.stat().st_size / 2**20)
        kept.append(made.kept)
        assert 0.8 * mib < sizes[-1] <= mib
    assert kept == sorted(kept) and kept[0] < kept[-1]
    ranks = {row.rank for row in made.rows if row.rank is not None}
    assert len(ranks) > 1, "every weight has the same rank"
    energy = make_adapter(base, tuned, path, limits=Limits(min_energy=0.5), overwrite=True)
    assert 0.5 <= energy.kept < 0.7
    with pytest.raises(InputError, match="cannot be factored: biases and other small tensors need"):
        make_adapter(base, tuned, path, limits=Limits(max_mib=0.001), overwrite=True)


def test_ranks_of_a_difference_of_low_rank_are_found(files: Files) -> None:
    state = state_of(files[0])
    a, b = torch.randn(8, 3, 3, 1) * 0.01, torch.randn(3, 8, 1, 3)
    tuned = state | {"conv_hr.weight": state["conv_hr.weight"].clone(), "fusion.bias": state["fusion.bias"] + 0.5}
    change = sum((a[:, rank, None] * b[None, rank] for rank in range(3)), torch.zeros(8, 8, 3, 3))
    tuned["backward_trunk.main.2.0.conv1.weight"] = state["backward_trunk.main.2.0.conv1.weight"] + change
    made = factor(state, tuned)
    assert {row.name: row.rank for row in made.rows} == {
        "fusion.bias": None,
        "backward_trunk.main.2.0.conv1.weight": 3,
    }
    assert made.kept == pytest.approx(1)


def test_factors_are_two_convolutions_one_along_columns_and_one_along_rows(files: Files) -> None:
    base, tuned, path = files
    make_adapter(base, tuned, path, limits=Limits(max_rank=2))
    tensors = load_file(path)
    layer = "forward_trunk.main.2.0.conv1"
    first, second = tensors[layer + adapter.FIRST].float(), tensors[layer + adapter.SECOND].float()
    assert (tuple(first.shape), tuple(second.shape)) == ((2, 8, 1, 3), (8, 2, 3, 1))
    picture = torch.rand(1, 8, 9, 9)
    apart = torch.nn.functional.conv2d(torch.nn.functional.conv2d(picture, first), second)
    change = adapter.differences(tensors)[layer + adapter.WEIGHT]
    assert torch.allclose(torch.nn.functional.conv2d(picture, change), apart, atol=1e-5)


def test_factors_of_pefts_shapes_are_read(files: Files) -> None:
    base, tuned, path = files
    make_adapter(base, tuned, path, limits=Limits(max_rank=1))
    layer = "forward_trunk.main.2.0.conv1"
    first, second = torch.randn(1, 8, 3, 3) * 0.01, torch.randn(8, 1, 1, 1)
    rewrite(path, {layer + adapter.FIRST: first.half(), layer + adapter.SECOND: second.half()})
    change = (second.half().float().flatten(1) @ first.half().float().flatten(1)).view(8, 8, 3, 3)
    wanted = state_of(base)[layer + adapter.WEIGHT] + change
    assert torch.allclose(state_of(path)[layer + adapter.WEIGHT], wanted, atol=1e-6)


def test_rounding_the_base_to_fp16_is_no_difference(files: Files) -> None:
    base, tuned, path = files
    state = state_of(base)
    save_file({key: value.half() for key, value in state.items()}, tuned)
    with pytest.raises(InputError, match="there is no difference to write"):
        make_adapter(base, tuned, path)
    assert not path.exists()


def test_strength_lies_between_base_and_tuned(files: Files) -> None:
    base, tuned, path = files
    make_adapter(base, tuned, path, strength=0.25)
    first, last = state_of(base), state_of(tuned)
    for state, share in (
        (state_of(path), 0.25),
        (state_of(path, adapter_strength=0.5), 0.5),
        (state_of(path, adapter_strength=1), 1),
    ):
        for key, value in state.items():
            assert torch.allclose(value, first[key].lerp(last[key], share), atol=1e-4), key
    unchanged = state_of(path, adapter_strength=0)
    assert all(torch.equal(value, first[key]) for key, value in unchanged.items())
    with pytest.raises(ValueError, match="from 0 to 1"):
        zoo.load_model(path, adapter_strength=1.5)


def test_what_is_known_of_a_loaded_adapter(files: Files) -> None:
    base, tuned, path = files
    make_adapter(base, tuned, path, metadata={"licence": "CC0-1.0", "data": "clips"})
    model = zoo.load_model(str(path))
    assert (model.architecture, model.training, model.licence) == ("basicvsr", "user", "CC0-1.0")
    assert model.motion[0] == "codec" and set(model.motion) == set(zoo.load_model(base).motion)
    assert model.path == path and not model.has_motion_jitter
    assert (model.metadata["file.steps"], model.metadata["file.base"]) == ("450", "base.safetensors")
    assert model.metadata["file.base_sha256"] == adapter.fingerprint(state_of(base))


def test_a_base_is_known_by_its_tensors_in_every_format(files: Files) -> None:
    base, tuned, path = files
    make_adapter(base, tuned, path)
    expected = state_of(path)
    state = state_of(base)
    base.unlink()
    torch.save({"params": state}, base)  # the same weights in BasicSR's layout, under the same name
    assert all(torch.equal(value, expected[key]) for key, value in state_of(path).items())


def test_the_settings_of_the_base_stay(files: Files) -> None:
    base, tuned, path = files
    network = IconVSR(num_feat=8, num_block=1, keyframe_stride=3)
    for target, state in ((base, network.state_dict()), (tuned, changed(network.state_dict()))):
        save_file(state, target, metadata={"keyframe_stride": "3"})
    make_adapter(base, tuned, path)
    assert zoo.load_model(path).network.keyframe_stride == 3


def test_an_adapter_can_be_factored_again_and_converted(files: Files) -> None:
    base, tuned, path = files
    make_adapter(base, tuned, path, strength=0.5)
    smaller, whole = path.with_name("smaller.safetensors"), path.with_name("whole.safetensors")
    made = make_adapter(base, path, smaller, limits=Limits(max_rank=2))
    assert max(row.rank for row in made.rows if row.rank is not None) <= 2
    assert _distance(state_of(smaller), state_of(tuned)) < _distance(state_of(base), state_of(tuned))
    with pytest.raises(InputError, match="is an adapter; write it as weights"):
        make_adapter(path, tuned, smaller, overwrite=True)
    result = CliRunner().invoke(command, ["convert", str(path), str(whole)])
    assert result.exit_code == 0, result.output
    assert all(torch.equal(value, state_of(path)[key]) for key, value in state_of(whole).items())


def test_the_base_is_looked_for_and_its_command_named(files: Files) -> None:
    base, tuned, path = files
    make_adapter(base, tuned, path)
    base.rename(fetch.models_folder().parent.parent / "elsewhere.safetensors")
    with pytest.raises(InputError, match=r"is an adapter of base\.safetensors, which is neither beside it nor in"):
        zoo.load_model(path)
    fetch.models_folder().mkdir(parents=True)
    (fetch.models_folder().parent.parent / "elsewhere.safetensors").rename(fetch.models_folder() / base.name)
    assert zoo.load_model(path).architecture == "basicvsr"
    for name, way in (
        ("basicvsr-reds4", "run 'codecvsr models fetch basicvsr-reds4'"),
        ("iconvsr-reds4", "download icon"),
    ):
        rewrite(path, metadata={"base": name})
        with pytest.raises(InputError, match=f"is an adapter of '{name}', whose weights are not at .*; {way}"):
            zoo.load_model(path)


def test_a_shipped_adapter_needs_only_its_file(files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its name is listed once the file is there; then its base is fetched, and its motion is codec."""
    base, tuned, path = files
    assert model_names.shipped_adapters(tmp_path) == {}
    make_adapter(base, tuned, path.with_name("basicvsr-compressed.safetensors"))
    listed = model_names.shipped_adapters(tmp_path)
    assert list(listed) == ["basicvsr-compressed"]
    assert model_names.qualities(listed) == {"best": "basicvsr-compressed"}
    assert list(model_names.qualities(model_names.OWN_MODELS | listed)) == ["fast", "balanced", "best"]

    rewrite(path.with_name("basicvsr-compressed.safetensors"), metadata={"base": "basicvsr-reds4"})
    monkeypatch.setattr(zoo, "weights_folder", lambda: tmp_path)
    monkeypatch.setitem(zoo.MODELS, "basicvsr-compressed", listed["basicvsr-compressed"])
    row = next(row for row in catalogue.overview() if row["name"] == "basicvsr-compressed")
    assert not row["present"] and row["motion"][0] == "codec"
    assert row["how_to_get"].startswith("run 'codecvsr models fetch basicvsr-reds4'")
    assert any(line.startswith("basicvsr-compressed: run 'codecvsr") for line in catalogue.table(catalogue.overview()))
    with pytest.raises(InputError, match="run 'codecvsr models fetch basicvsr-reds4'"):
        zoo.load_model("basicvsr-compressed")
    place = fetch.cached_path("basicvsr-reds4")
    place.parent.mkdir(parents=True)
    base.rename(place)
    with pytest.raises(
        CheckpointError, match="is not the official file of 'basicvsr-reds4'; run 'codecvsr models fetch"
    ):
        zoo.load_model("basicvsr-compressed")
    digest = fetch.sha256_of(place)
    monkeypatch.setattr(zoo, "_is_official", lambda name, sha256: name == "basicvsr-compressed" or sha256 == digest)
    model = zoo.load_model("basicvsr-compressed")
    assert (model.name, model.training, model.motion[0]) == ("basicvsr-compressed", "codecvsr", "codec")


def test_the_command_says_what_is_kept(files: Files) -> None:
    base, tuned, path = files
    arguments = ["factor", str(path), "--base", str(base), "--tuned", str(tuned), "--rank", "2", "--strength", "0.5"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert "backward_trunk" in result.output and f"{path.stat().st_size:,} bytes" in result.output
    refused = CliRunner().invoke(command, arguments)
    assert refused.exit_code != 0
    found = CliRunner().invoke(command, [*arguments, "-y", "--json", "--set", "licence=Apache-2.0"])
    report = json.loads(found.stdout)
    assert report["bytes"] == path.stat().st_size and 0 < report["kept"] < 1
    assert report["groups"][-1]["group"] == "all" and report["groups"][-1]["kept"] == pytest.approx(report["kept"])
    shares = [group["energy"] for group in report["groups"][:-1]]
    assert sum(shares) == pytest.approx(1)
    info = CliRunner().invoke(command, ["info", str(path), "--json"])
    assert json.loads(info.stdout)["metadata"]["file.strength"] == "0.5"
    wrong = CliRunner().invoke(command, [*arguments, "-y", "--set", "rank=3"])
    assert isinstance(wrong.exception, InputError) or "is no note" in wrong.output
