"""What tests of adapters share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from codecvsr.models import zoo

Files = tuple[Path, Path, Path]  #: a base, it trained further, and where an adapter goes


def state_of(path: Path, **options: float) -> dict[str, Tensor]:
    """The weights that a file means."""
    return zoo.load_model(path, **options).network.state_dict()


def changed(state: Mapping[str, Tensor], scale: float = 0.005) -> dict[str, Tensor]:
    """Weights after a training, as far as an adapter can tell: all but SPyNet's, which has no part in training on codec motion."""
    generator = torch.Generator().manual_seed(1)
    new = {}
    for key, value in state.items():
        change = torch.zeros_like(value)
        if value.is_floating_point() and not key.startswith("spynet."):
            change = torch.randn(value.shape, generator=generator) * scale
            if value.ndim > 1:  # a few directions have most of it
                change += torch.outer(change.flatten(1)[:, 0], change.flatten(1)[0]).view_as(value) * 500
        new[key] = value + change
    return new


def rewrite(
    path: Path,
    tensors: Mapping[str, Tensor] | None = None,
    *,
    metadata: Mapping[str, str] | None = None,
    remove: str = "",
) -> None:
    """Write a safetensors file again with other tensors and metadata."""
    with safe_open(path, "pt") as file:
        stored = {key: file.get_tensor(key) for key in file.keys() if key != remove}  # noqa: SIM118 - no mapping
        known = file.metadata()
    save_file(stored | dict(tensors or {}), path, metadata=known | dict(metadata or {}))
