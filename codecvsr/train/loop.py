"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from codecvsr.engine.device import autocast, choose_device, choose_dtype, place
from codecvsr.errors import CheckpointError
from codecvsr.files import atomic_file
from codecvsr.train.data import Batch, TrainingClip, check_clips, load_clips, make_batch
from codecvsr.train.networks import build, metadata, run
from codecvsr.train.recipe import Model, Optimisation, Recipe

CHECKPOINT, WEIGHTS, LOG = (
    "checkpoint.pt",
    "codecvsr.safetensors",
    "log.jsonl",
)  # WEIGHTS: those of the network codecvsr

log = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: Path | None = None,
    initial: Path | None = None,
    minutes: float | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> int:
    """Train a network and leave checkpoint, averaged weights and log in ``out``.

    Args:
        recipe: data, network and schedule.
        out: folder for ``checkpoint.pt`` (everything needed to go on), ``NETWORK.safetensors`` and ``log.jsonl``.
        resume: a ``checkpoint.pt`` to go on from, exactly.
        initial: weights to begin a new run with, a ``NETWORK.safetensors`` of the same ``[model]``.
        minutes: stop after so long, with the state saved.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``; weights and optimiser stay in fp32.

    Returns:
        The number of steps done in all.

    Raises:
        InputError: the data is not as the recipe says.
        CheckpointError: ``resume`` is not a checkpoint of such a network, or ``initial`` no weights of one.
    """
    begun = time.monotonic()
    target_device = choose_device(device)
    dtype = choose_dtype(target_device, precision)
    settings, reporting = recipe.optimisation, recipe.reporting
    clips = load_clips(recipe.data.hr_root, recipe.data.benchmarks)
    check_clips(clips, settings)
    val_clips = load_clips(recipe.data.val_hr_root, recipe.data.val_benchmarks, reporting.validate_frames)
    log.info("%d clips, %d frames; %d clips for validation", len(clips), sum(map(len, clips)), len(val_clips))

    torch.manual_seed(settings.seed)
    network = place(_begin(recipe, initial), target_device)
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99))
    step = _restore(resume, network, average, optimiser) if resume else 0
    out.mkdir(parents=True, exist_ok=True)

    losses: list[float] = []
    last_said = time.monotonic()
    try:
        while step < settings.steps and (minutes is None or time.monotonic() - begun < minutes * 60):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(settings, step)
            batch = _move(make_batch(clips, settings, recipe.dropout, step), target_device)
            with autocast(target_device, dtype):
                predicted = run(network, batch, recipe.model.motion)
            loss = charbonnier(predicted.float(), batch.target, settings.charbonnier)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
            optimiser.step()
            _average(average, network, min(settings.ema, (1 + step) / (10 + step)))
            step += 1

            losses.append(loss.item())
            if step % reporting.log_every == 0:
                seconds = (time.monotonic() - last_said) / len(losses)
                _note(
                    out,
                    step=step,
                    loss=float(np.mean(losses)),
                    learning_rate=learning_rate(settings, step - 1),
                    s=seconds,
                )
                losses, last_said = [], time.monotonic()
            if step % reporting.save_every == 0:
                _save(out, step, network, average, optimiser, recipe)
            if val_clips and step % reporting.validate_every == 0:
                _note(out, step=step, val=validate(average, val_clips, target_device, recipe.model.motion))
    finally:  # an interrupt, or an error in a batch, keeps what was learnt
        _save(out, step, network, average, optimiser, recipe)
    return step


def weights_name(model: Model) -> str:
    """The file of averaged weights: ``codecvsr.safetensors`` for the network codecvsr."""
    return f"{model.network}.safetensors"


def _begin(recipe: Recipe, initial: Path | None) -> nn.Module:
    network = build(recipe.model)
    if initial is None:
        return network
    try:
        network.load_state_dict(load_file(initial))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{initial}: holds no weights of this [model] ({reason}).") from error
    return network


def learning_rate(settings: Optimisation, step: int) -> float:
    """Linear warm-up, then one cosine that reaches zero at ``settings.steps``."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    return settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup)) * cosine


def charbonnier(predicted: Tensor, target: Tensor, epsilon: float) -> Tensor:
    """Mean of sqrt(d^2 + epsilon^2) - epsilon: L1 for large differences, squared for those below ``epsilon``."""
    return ((predicted - target) ** 2 + epsilon**2).sqrt().mean() - epsilon


@torch.no_grad()
def validate(
    network: nn.Module, clips: Sequence[TrainingClip], device: torch.device, motion: str = "codec"
) -> dict[str, dict[str, float]]:
    """Mean RGB PSNR (dB) by benchmark folder, of the full network and without motion."""
    sums: dict[str, list[tuple[float, float]]] = {}
    network.eval()
    for clip in clips:
        frames = torch.from_numpy(clip.lr.transpose(0, 3, 1, 2)[None].astype(np.float32) / 255)
        target = torch.from_numpy(clip.hr.transpose(0, 3, 1, 2)[None].astype(np.float32) / 255)
        fields, priors = (torch.from_numpy(a[None].astype(np.float32)) for a in (clip.fields, clip.priors))
        is_cut = torch.from_numpy(clip.is_cut[None])
        one = torch.ones(1)
        values = []
        for share in (one, one * 0):
            known = priors.clone()
            known[:, :, 4:] *= share
            batch = Batch(frames, fields[:, :, :2], fields[:, :, 2:], known, is_cut, share, one, target)
            predicted = (run(network, _move(batch, device), motion).cpu() * 255).round().clamp(0, 255)
            error = ((predicted - target * 255) ** 2).mean(dim=(2, 3, 4)).clamp_min(1e-8)
            values.append((10 * torch.log10(255**2 / error)).mean().item())
        sums.setdefault(clip.name.split("/")[0], []).append((values[0], values[1]))
    network.train()
    return {
        name: {"psnr_rgb": float(np.mean([v[0] for v in rows])), "without_motion": float(np.mean([v[1] for v in rows]))}
        for name, rows in sums.items()
    }


def _move(batch: Batch, device: torch.device) -> Batch:
    names = [field.name for field in dataclasses.fields(batch) if field.name != "context"]
    moved: dict[str, Any] = {name: getattr(batch, name).to(device, non_blocking=True) for name in names}
    return dataclasses.replace(batch, **moved)


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
    for kept, now in zip(average.buffers(), network.buffers(), strict=True):  # statistics of normalisations
        kept.copy_(now)


def _note(out: Path, **entry: Any) -> None:
    with (out / LOG).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry) + "\n")
    log.info(" ".join(f"{k}={v:.5g}" if isinstance(v, float) else f"{k}={v}" for k, v in entry.items()))


def _save(
    out: Path, step: int, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, recipe: Recipe
) -> None:
    state = {
        "step": step,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "recipe": json.dumps(dataclasses.asdict(recipe)),
    }
    with atomic_file(out / CHECKPOINT) as part:
        torch.save(state, part)
    halved = {name for name, _ in average.named_parameters()}
    weights = {
        key: (value.half() if key in halved else value).detach().cpu().contiguous()
        for key, value in average.state_dict().items()
    }
    with atomic_file(out / weights_name(recipe.model)) as part:
        save_file(weights, part, metadata={**metadata(recipe.model, average), "steps": str(step)})


def _restore(path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])
    except Exception as error:  # torch raises many kinds for a file that is not what it should be
        reason = " ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise CheckpointError(
            f"{path}: training cannot go on from it ({reason}); the checkpoint.pt of a run with the same [model] was "
            "expected."
        ) from error
