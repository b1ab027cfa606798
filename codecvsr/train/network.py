"""Which network a recipe trains, and how a batch goes through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.constants import CELL
from codecvsr.errors import InputError
from codecvsr.models.architecture import Training
from codecvsr.models.clip import Clip, Flows
from codecvsr.models.registry import ARCHITECTURES, architecture_of, constructors
from codecvsr.models.runners import FRAME_BY_FRAME
from codecvsr.models.zoo import load_model
from codecvsr.train.recipe import Model
from codecvsr.train.sampling import Batch

CODEC, OWN, ZERO = "codec", "own", "zero"  #: kinds of motion a recipe can name


def build(model: Model) -> nn.Module:
    """Return the network of a recipe, with random weights.

    Raises:
        InputError: there is no such network, or it cannot be made or trained as the recipe says.
    """
    kind, make = constructors().get(model.network, ("", None))
    training = ARCHITECTURES[kind].training if kind else None
    if make is None or training is None:
        names = ", ".join(name for name, (each, _) in constructors().items() if ARCHITECTURES[each].training)
        raise InputError(f"model.network = {model.network!r}: no network to be trained; expected one of {names}.")
    if model.motion not in training.motions:
        raise InputError(
            f"model.motion = {model.motion!r}: {model.network} is trained on {' or '.join(training.motions)}."
        )
    _check_options(model, training)
    arguments: dict[str, Any] = {
        training.channels: model.channels,
        training.blocks: model.blocks,
        **training.derived(model.channels),
        **{name: getattr(model, name) for name in training.options},
    }
    try:
        network = make(**arguments)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise InputError(
            f"[model]: {model.network} cannot be made so ({' '.join(str(error).split())[:200]})."
        ) from error
    if int(getattr(network, "scale", 4)) != 4:
        raise InputError(f"model.network = {model.network!r}: keeps the size; a network for x4 was expected.")
    return network


def _check_options(model: Model, training: Training) -> None:
    """Refuse options of other networks that are set to other than their defaults."""
    for kind, architecture in ARCHITECTURES.items():
        for name in architecture.training.options if architecture.training else ():
            if name not in training.options and getattr(model, name) != getattr(Model(), name):
                raise InputError(
                    f"model.network = {model.network!r}: has no option {name}, which is for '{kind}'; remove it."
                )


def load_teacher(weights: str) -> nn.Module:
    """Return the network to learn from.

    Raises:
        InputError: it is unknown, or is not one that can be trained.
        CheckpointError: its weights cannot be read.
    """
    model = load_model(weights)
    if model.descriptor.training is None:
        raise InputError(
            f"distillation.weights = {weights!r}: is no network that frames can be learnt from; choose a trained one."
        )
    return model.network.requires_grad_(False)


def metadata(model: Model, network: nn.Module) -> dict[str, str]:
    """Return what a weights file says of the network besides its tensors."""
    kind = constructors()[model.network][0]
    settings = ARCHITECTURES[kind].settings
    return {"architecture": kind, **{name: s.write(getattr(network, name)) for name, s in settings.items()}}


def run(network: nn.Module, batch: Batch, motion: str = CODEC) -> Tensor:
    """Super-resolve the frames of a batch that have a target.

    Args:
        network: what :func:`build` made.
        batch: on the network's device.
        motion: "codec", "own" or "zero"; samples whose motion was dropped have none, except with "own".

    Returns:
        (N, T - 2 * context, 3, 4H, 4W).
    """
    wanted = range(batch.context, batch.frames.shape[1] - batch.context)
    made = architecture_of(network).runner(network, BatchClip(batch, motion), wanted, FRAME_BY_FRAME)
    return torch.stack(list(made), dim=1)


class BatchClip(Clip):
    """The frames of a batch.

    Args:
        batch: on the network's device.
        motion: "codec", "own" or "zero".
    """

    def __init__(self, batch: Batch, motion: str = CODEC) -> None:
        self._batch = batch
        self._scale = 0 if motion == ZERO else 1
        self._dense: Flows | None = None
        self.has_motion = motion != OWN
        self.use_motion, self.use_second_order = batch.use_motion, batch.use_second_order
        self.use_future = batch.use_future

    def __len__(self) -> int:
        """Return the frames of each sample, context included."""
        return self._batch.frames.shape[1]

    def frames(self, indices: Sequence[int] | None = None) -> Tensor:
        """Return frames (N, len(indices), 3, H, W) in 0..1; all of them without indices."""
        return self._batch.frames if indices is None else self._batch.frames[:, list(indices)]

    def cell_fields(self) -> Flows:
        """Return the fields on cells, (N, T, 2, h, w) each."""
        return self._batch.to_prev, self._batch.to_next

    def dense_flows(self) -> Flows:
        """Return the fields on pixels, (N, T, 2, H, W) each; zero for samples without motion."""
        if self._dense is None:
            self._dense = self._on_pixels(self._batch.to_prev), self._on_pixels(self._batch.to_next)
        return self._dense

    def neighbour_flow(self, index: int, step: int) -> Tensor:
        """Return the flow (N, 2, H, W) from one frame into the next or the one before."""
        return self.dense_flows()[int(step > 0)][:, index]

    def priors(self) -> Tensor:
        """Return the priors (N, T, 8, h, w)."""
        return self._batch.priors

    def cuts(self) -> Tensor:
        """Return (N, T) bool."""
        return self._batch.is_cut

    def types(self) -> Tensor:
        """Return unknown types: batches have none."""
        return torch.zeros(self._batch.frames.shape[:2], dtype=torch.uint8, device=self._batch.frames.device)

    def _on_pixels(self, field: Tensor) -> Tensor:
        """A field (N, T, 2, h, w) on the pixels of the frames, zero for samples without motion."""
        n, t, _, height, width = self._batch.frames.shape
        scale = self._batch.use_motion.view(-1, 1, 1, 1, 1) * self._scale
        large = F.interpolate(field.flatten(0, 1).float(), scale_factor=CELL, mode="bilinear", align_corners=False)
        return large[..., :height, :width].unflatten(0, (n, t)) * scale
