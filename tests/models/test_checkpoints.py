"""Every accepted container gives the same tensors; everything else is refused, and nothing of it is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from codecvsr.errors import CheckpointError, InputError
from codecvsr.files import write_png
from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.checkpoints import read_state_dict
from codecvsr.models.zoo import load_model


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return BasicVSR(num_feat=6, num_block=2).state_dict()


def _other(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: tensor + 1 for key, tensor in state.items()}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("layout", ["params", "params_ema", "both", "bare", "wrapped", "compiled", "half"])
def test_torch_layouts(tmp_path: Path, state: dict[str, torch.Tensor], layout: str, zipped: bool) -> None:
    content = {
        "params": {"params": state},
        "params_ema": {"params_ema": state, "iter": 5},
        "both": {"params": _other(state), "params_ema": state},
        "bare": state,
        "wrapped": {"params": {f"module._orig_mod.{key}": tensor for key, tensor in state.items()}},
        "compiled": {key.replace("trunk.", "trunk._orig_mod."): tensor for key, tensor in state.items()},
        "half": {"params": {key: tensor.half() for key, tensor in state.items()}},
    }[layout]
    path = tmp_path / "some.weights"  # the suffix does not matter
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    tensors, metadata = read_state_dict(path)
    expected_container = {"both": "params_ema", "params_ema": "params_ema", "bare": "bare", "compiled": "bare"}
    assert metadata["container"] == expected_container.get(layout, "params")
    assert metadata["format"] == ("torch" if zipped else "torch-legacy")
    assert list(tensors) == list(state)
    for key, tensor in tensors.items():
        torch.testing.assert_close(tensor.float(), state[key], atol=1e-3 if layout == "half" else 0, rtol=0)

    model = load_model(path)
    assert (model.network.num_feat, model.network.num_block) == (6, 2)  # read off the tensors
    assert (model.architecture, model.training, model.scale) == ("basicvsr", "user", 4)
    assert not model.network.training
    assert next(model.network.parameters()).dtype == torch.float32
    frames = torch.zeros(1, 1, 3, 8, 8)
    assert model.network(frames).shape == (1, 1, 3, 32, 32)


def test_safetensors(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "net.safetensors"
    save_file(state, path, metadata={"licence": "CC0-1.0"})
    tensors, metadata = read_state_dict(path)
    assert all(torch.equal(tensors[key], tensor) for key, tensor in state.items())
    assert metadata == {"format": "safetensors", "container": "bare", "file.licence": "CC0-1.0"}
    assert load_model(path).licence == "CC0-1.0"


class _RunsCode:
    """Unpickled carelessly, makes a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("how", ["torch", "torch-legacy", "pickle"])
def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, how: str) -> None:
    trace, path = tmp_path / "it ran", tmp_path / "net.pth"
    content = {"params": _RunsCode(trace)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(CheckpointError, match="torch.save did not write" if how == "pickle" else "could run code"):
        load_model(path)
    assert not trace.exists()
    if how == "pickle":  # the file is a real danger: whoever does unpickle it runs it
        pickle.loads(path.read_bytes())
        assert trace.exists()


@pytest.mark.parametrize("kind", ["torch", "torch-legacy", "safetensors"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_truncated_files(tmp_path: Path, state: dict[str, torch.Tensor], kind: str, kept: float) -> None:
    path = tmp_path / "net"
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save({"params": state}, path, _use_new_zipfile_serialization=kind == "torch")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CheckpointError, match="net: "):
        load_model(path)


def test_foreign_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    picture = tmp_path / "picture.pth"
    write_png(tmp_path / "picture.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "picture.png").rename(picture)
    cases = {picture: "a PNG picture"}
    for name, content, said in (
        ("empty.pth", b"", "an empty file"),
        ("text.pth", b"hello, I am no network", "text"),
        ("page.pth", b"<!DOCTYPE html><html>", "a web page"),
        ("pointer.pth", b"version https://git-lfs.github.com/spec/v1\noid", "LFS pointer"),
        ("noise.pth", b"\x01\xfe\x03\x99" * 40, "unknown content"),
    ):
        cases[tmp_path / name] = said
        (tmp_path / name).write_bytes(content)
    for path, said in cases.items():
        with pytest.raises(CheckpointError, match=said) as caught:
            load_model(path)
        assert str(path) in str(caught.value)


def test_files_that_fit_no_network(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "net.pth"
    torch.save({"head.weight": torch.zeros(2), "head.bias": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"'head\.weight', 'head\.bias'.*Accepted are: .*BasicVSR"):
        load_model(path)
    torch.save({"epoch": 3, "optimizer": {}}, path)
    with pytest.raises(CheckpointError, match="a dict with the keys 'epoch', 'optimizer'"):
        load_model(path)
    torch.save(torch.zeros(3), path)
    with pytest.raises(CheckpointError, match="a Tensor"):
        load_model(path)
    torch.save({key: tensor for key, tensor in state.items() if key != "conv_last.bias"}, path)
    with pytest.raises(CheckpointError, match=r"looks like basicvsr.*conv_last\.bias"):
        load_model(path)
    torch.save({**state, "conv_last.weight": torch.zeros(3, 64, 5, 5)}, path)
    with pytest.raises(CheckpointError, match=r"looks like basicvsr.*conv_last\.weight"):
        load_model(path)
    torch.save({**state, "edvr.conv_first.weight": torch.zeros(3)}, path)  # IconVSR has what BasicVSR has, and more
    with pytest.raises(CheckpointError, match="fits no known network"):
        load_model(path)


def test_two_keys_that_become_one(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"module.a": torch.zeros(1), "a": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="both 'a'"):
        read_state_dict(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.pth: no such file"):
        read_state_dict(tmp_path / "nowhere.pth")
