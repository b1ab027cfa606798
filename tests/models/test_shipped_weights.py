"""The weights in ``weights/`` are the ones their manifest speaks of, and they are worth running."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

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
    with safe_open(path, framework="pt") as file:
        dtypes = {file.get_tensor(key).dtype for key in file.keys()}  # noqa: SIM118 - not a mapping
    assert dtypes == {torch.float16}
    model = load_model(path.stem)
    assert model.training == "codecvsr"
    assert model.parameters == entry["parameters"] <= 4_000_000
    for field in ("licence", "data", "command", "figures"):
        assert entry[field]


@pytest.mark.parametrize("name", MANIFEST)
def test_parameters_are_finite(name: str) -> None:
    for key, value in load_model(name.removesuffix(".safetensors")).network.state_dict().items():
        assert np.isfinite(value.numpy()).all(), key
