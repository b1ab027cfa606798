"""Training of low-rank differences to the weights of a base network, which stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from codecvsr.errors import InputError
from codecvsr.models.checkpoints import adapter
from codecvsr.models.checkpoints.make_adapter import base_name
from codecvsr.models.registry import ARCHITECTURES, constructors
from codecvsr.models.zoo import LoadedModel, load_model
from codecvsr.train.recipe import Model, Recipe

_INNER = ".parametrizations.weight."  # in the names of a parametrised weight's tensors


class LowRank(nn.Module):
    """Adds the product of two trained factors to a weight; zero at first (Hu et al., "LoRA", ICLR 2022).

    Args:
        weight: (O, I) or (O, I, h, w).
        rank: of the product.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = adapter.as_matrix(weight).shape
        second, first = adapter.as_factors(weight.new_zeros(rows, rank), weight.new_empty(rank, columns), weight.shape)
        self.lora_A, self.lora_B = nn.Parameter(first), nn.Parameter(second)
        nn.init.kaiming_uniform_(self.lora_A, a=5**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the sum, in the precision of the weight also under autocast."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight + adapter.product(self.lora_B, self.lora_A)


@dataclass(frozen=True, eq=False)
class Base:
    """What an adapter in training is a difference to.

    Attributes:
        name: as adapters name it.
        architecture: its key in :data:`ARCHITECTURES`.
        sha256: of its tensors.
        licence: of its weights.
        state: its tensors by name.
    """

    name: str
    architecture: str
    sha256: str
    licence: str
    state: Mapping[str, Tensor]


def build_adapted(recipe: Recipe) -> tuple[nn.Module, Base]:
    """Return the base of a recipe's ``[adapter]``, prepared for training: only factors, biases and small tensors are trained.

    Raises:
        InputError: the base is not there, is not trainable as the recipe says, or is not the network of its ``[model]``.
        CheckpointError: the base's file is no checkpoint.
    """
    loaded = load_model(recipe.adapter.base)
    _check(recipe.model, loaded)
    name = base_name(loaded)
    state = {key: value.clone() for key, value in loaded.network.state_dict().items()}
    network = loaded.network.train()
    for module in list(network.modules()):
        weight = module._parameters.get("weight")
        if weight is not None and weight.ndim > 1:
            rows, columns = adapter.as_matrix(weight).shape
            if recipe.adapter.rank * (rows + columns) < rows * columns:
                weight.requires_grad_(False)
                parametrize.register_parametrization(module, "weight", LowRank(weight.detach(), recipe.adapter.rank))
    return network, Base(name, loaded.architecture, adapter.fingerprint(state), loaded.licence, state)


def adapter_of(network: nn.Module, base: Base, recipe: Recipe, steps: int) -> adapter.Adapter:
    """Return the adapter that a network from :func:`build_adapted` has learnt; what has not changed in fp16 is left out."""
    tensors: dict[str, Tensor] = {}
    for key, value in network.state_dict().items():
        layer, inner, part = key.partition(_INNER)
        if not inner:
            change = value.cpu().float() - base.state[key].float() if value.is_floating_point() else value.new_zeros(())
            tensors |= {key + adapter.WHOLE: change} if bool(change.half().any()) else {}
        elif part.endswith("lora_B") and bool(value.half().any()):
            tensors[layer + adapter.SECOND] = value
            tensors[layer + adapter.FIRST] = network.state_dict()[key.removesuffix("lora_B") + "lora_A"]
    data = [Path(folder).name for folder in (*recipe.data.prepared, *recipe.data.benchmarks)]
    metadata = {"steps": str(steps), "licence": base.licence, "data": ", ".join(data)}
    if recipe.model.motion in ARCHITECTURES[base.architecture].motions:
        metadata["motion"] = recipe.model.motion
    return adapter.Adapter(base.architecture, base.name, base.sha256, tensors, metadata=metadata)


def _check(model: Model, base: LoadedModel) -> None:
    training = base.descriptor.training
    if training is None or base.scale != 4:
        raise InputError(
            f"adapter.base = {base.name!r}: is not a network for x4 that can be trained; choose another base."
        )
    if model.motion not in training.motions:
        raise InputError(
            f"model.motion = {model.motion!r}: {base.architecture} is trained on {' or '.join(training.motions)}."
        )
    named = constructors().get(model.network, (model.network,))[0]
    if model != replace(Model(), motion=model.motion) and named != base.architecture:
        raise InputError(
            f"model.network = {model.network!r}: but adapter.base is {base.name}, a network of the kind {base.architecture}; "
            "an adapter has the network and the size of its base, so leave them out of [model]."
        )
