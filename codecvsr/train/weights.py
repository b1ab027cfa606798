"""The weights that a run begins with, and the file of those that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from codecvsr.errors import CheckpointError
from codecvsr.files import atomic_file
from codecvsr.models.checkpoints import adapter
from codecvsr.models.registry import ARCHITECTURES
from codecvsr.models.zoo import load_model
from codecvsr.train.low_rank import Base, adapter_of, build_adapted
from codecvsr.train.network import build, metadata
from codecvsr.train.recipe import Recipe

_ORIGIN = ("initial_sha256", "base_sha256")  # what a run's state has of the weights it began with


@dataclass(frozen=True, eq=False)
class Start:
    """The network of a new run.

    Attributes:
        network: with the weights that the run begins with.
        recipe: of the run; with an adapter, its ``[model]`` names the base's network.
        base: of an adapter; None where all weights are trained.
        origin: ``initial_sha256`` or ``base_sha256``: the fingerprint of the weights that the run begins with.
    """

    network: nn.Module
    recipe: Recipe
    base: Base | None = None
    origin: Mapping[str, str] = field(default_factory=dict)


def start(recipe: Recipe, initial: str | Path | None = None) -> Start:
    """Return the network of a recipe with random weights, with ``initial`` weights, or as a base with an adapter.

    Args:
        recipe: has ``[model]`` and ``[adapter]``.
        initial: as for :func:`codecvsr.models.zoo.load_model`.

    Raises:
        InputError: the recipe's network, the base or ``initial`` does not exist or cannot be trained so.
        CheckpointError: a file is no checkpoint, or ``initial`` has no weights of this ``[model]``.
    """
    if recipe.adapter.base:
        network, base = build_adapted(recipe)
        model = replace(recipe.model, network=base.architecture)
        return Start(network, replace(recipe, model=model), base, {"base_sha256": base.sha256})
    network = build(recipe.model)
    if initial is not None:
        loaded = load_model(initial)
        try:
            network.load_state_dict(loaded.network.state_dict())
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"{initial}: has no weights of this [model], but of {loaded.architecture} ({reason})."
            ) from error
    return Start(network, recipe, origin={"initial_sha256": adapter.fingerprint(network.state_dict())})


def resumed(begun: Start, params: Mapping[str, object], resume: Path) -> Start:
    """Return the start of a run that continues one whose state has ``params``.

    Raises:
        CheckpointError: the run trains an adapter of another base.
    """
    origin = {key: str(params[key]) for key in _ORIGIN if params.get(key)}
    if origin.get("base_sha256") != begun.origin.get("base_sha256"):
        raise CheckpointError(
            f"{resume}: cannot be resumed from: its adapter has another base, or none; set [adapter] as it was when the run began."
        )
    return replace(begun, origin=origin)


def weights_name(recipe: Recipe) -> str:
    """Returns the name of the weights file: ``codecvsr.safetensors`` for the network codecvsr, ``adapter.safetensors`` for any adapter."""
    return "adapter.safetensors" if recipe.adapter.base else f"{recipe.model.network}.safetensors"


def save_weights(out: Path, step: int, average: nn.Module, begun: Start) -> None:
    """Write the averaged weights, or the adapter that was trained, in fp16; buffers keep their type."""
    recipe = begun.recipe
    path = out / weights_name(recipe)
    if begun.base is not None:
        adapter.save(path, adapter_of(average, begun.base, recipe, step))
        return
    parameters = {name for name, _ in average.named_parameters()}
    weights: dict[str, Any] = {
        key: (value.half() if key in parameters else value).detach().cpu().contiguous()
        for key, value in average.state_dict().items()
    }
    known = {**metadata(recipe.model, average), "steps": str(step), **begun.origin}
    if recipe.model.motion in ARCHITECTURES[known["architecture"]].motions:
        known["motion"] = recipe.model.motion
    with atomic_file(path) as part:
        save_file(weights, part, metadata=known)
