"""The weights in ``weights/`` are the ones their manifest speaks of, and they are worth running."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch

from codecvsr.models.checkpoints import adapter
from codecvsr.models.checkpoints.reading import read_state_dict
from codecvsr.models.zoo import MODELS, load_model, weights_folder

MANIFEST = json.loads((weights_folder() / "MANIFEST.json").read_text(encoding="utf-8"))


def test_the_manifest_lists_what_is_there() -> None:
    files = {path.name for path in weights_folder().glob("*.safetensors")}
    assert files == set(MANIFEST)
    assert files == {model.file_name for model in MODELS.values() if model.file_name}


@pytest.mark.parametrize("name", MANIFEST)
def test_file_and_manifest_agree(name: str) -> None:
    entry, path = MANIFEST[name], weights_folder() / name
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
    tensors, metadata = read_state_dict(path)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    if adapter.is_adapter(metadata):  # its base is fetched: what the file itself has
        made, listed = adapter.parse(path, tensors, metadata), MODELS[path.stem]
        assert (made.architecture, made.base) == (listed.architecture, listed.base)
        assert made.metadata["motion"] == listed.motion
        assert path.stat().st_size <= 4 * 2**20 and int(made.metadata["steps"]) == entry["steps"]
        assert sum(tensor.numel() for tensor in tensors.values()) == entry["parameters"]
    else:
        model = load_model(path.stem)
        assert model.training == "codecvsr"
        assert model.parameters == entry["parameters"] <= 4_000_000
    for field in ("licence", "data", "command", "figures"):
        assert entry[field]


@pytest.mark.parametrize("name", MANIFEST)
def test_parameters_are_finite(name: str) -> None:
    for key, value in read_state_dict(weights_folder() / name)[0].items():
        assert bool(value.isfinite().all()), key
