"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
import time
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from codecvsr.engine.device import place
from codecvsr.engine.plan import make_plan
from codecvsr.errors import CheckpointError
from codecvsr.files import atomic_file
from codecvsr.train.data import load_clips, load_sources, make_resident
from codecvsr.train.journal import LOG, Journal
from codecvsr.train.network import build, metadata
from codecvsr.train.processes import Processes, joined
from codecvsr.train.recipe import Model, Optimisation, Recipe
from codecvsr.train.sampling import Sampler
from codecvsr.train.state import load_state, save_state
from codecvsr.train.step import Stepper, make_optimiser, move
from codecvsr.train.validation import validate

__all__ = ["LOG", "WEIGHTS", "learning_rate", "train", "weights_name"]

WEIGHTS = "codecvsr.safetensors"  #: those of the network codecvsr
_UNMEASURED, _MEASURED = 10, 60  # steps before speed is measured, and over which it is

log = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: Path | None = None,
    initial: Path | None = None,
    minutes: float | None = None,
    budget: float | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> int:
    """Train a network and leave its state, averaged weights and log in ``out``.

    Args:
        recipe: data, network and schedule.
        out: folder for ``state-STEP/`` (everything needed to go on), ``NETWORK.safetensors`` and ``log.jsonl``.
        resume: a run's folder, or its state folder, to go on from, exactly.
        initial: weights to begin a new run with, a ``NETWORK.safetensors`` of the same ``[model]``.
        minutes: stop after so long, with the state saved.
        budget: minutes that all pieces of a new run may take together: its steps follow from the speed of the first.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``; weights and optimiser stay in fp32.

    Returns:
        The number of steps done in all.

    Raises:
        InputError: the data is not as the recipe says.
        CheckpointError: ``resume`` is not the state of such a network, or ``initial`` no weights of one.
    """
    begun = time.monotonic()
    with joined(device) as processes:
        return _train(recipe, out, processes, resume, initial, minutes, budget, precision, begun)


def _train(
    recipe: Recipe,
    out: Path,
    processes: Processes,
    resume: Path | None,
    initial: Path | None,
    minutes: float | None,
    budget: float | None,
    precision: str,
    begun: float,
) -> int:
    device, is_first = processes.device, processes.rank == 0
    dtype = make_plan(device, precision, training=True).dtype
    settings, reporting = recipe.optimisation, recipe.reporting
    sources = make_resident(load_sources(recipe.data), device)
    sampler = Sampler(sources, recipe, part=processes.rank, parts=processes.count)
    val_clips = []
    if is_first:
        val_clips = load_clips(recipe.data.val_hr_root, recipe.data.val_benchmarks, reporting.validate_frames)
        frames = sum(len(clip) for clips in sources for clip in clips)
        log.info("%d clips, %d frames; %d clips for validation", sum(map(len, sources)), frames, len(val_clips))

    torch.manual_seed(settings.seed)
    network = place(_begin(recipe, initial), device)
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = make_optimiser(network, settings.learning_rate, device)
    step, schedule = 0, None
    if resume:
        step, kept = load_state(resume, network, average, optimiser)
        schedule = kept.get("schedule")
    if isinstance(schedule, int):  # measured by the first piece of the run
        settings = dataclasses.replace(settings, steps=schedule)
    needs_measure = budget is not None and schedule is None
    stepper = Stepper(network, average, optimiser, recipe, dtype, processes)
    journal = Journal(out, resumed=resume, is_silent=not is_first)
    journal.begin(step, recipe, processes, dtype)

    def save() -> None:
        if is_first:
            about = {"schedule": schedule, "recipe": dataclasses.asdict(recipe)}
            save_state(out, step, network, average, optimiser, about, is_compact=reporting.compact_state)
            _save_weights(out, step, average, recipe.model)

    first_step, measured_from = step, time.monotonic()
    try:
        while step < settings.steps:
            if minutes is not None and processes.agreed(time.monotonic() - begun >= minutes * 60):
                break
            if needs_measure and step == first_step + _UNMEASURED:
                stepper.mean_loss()  # waits for what a GPU still has to do
                measured_from = time.monotonic()
            if needs_measure and step == first_step + _UNMEASURED + _MEASURED:
                journal.losses(step, stepper.mean_loss(), learning_rate(settings, step - 1))
                each = (time.monotonic() - measured_from) / _MEASURED
                left = (budget or 0) * 60 - (time.monotonic() - begun)
                schedule = int(processes.agreed(step + max(1, left // each)))
                settings, needs_measure = dataclasses.replace(settings, steps=schedule), False
                journal.note(step=step, schedule=schedule, s=each)

            batch = move(sampler.batch(step), device)
            stepper.do(batch, step, learning_rate(settings, step))
            step += 1

            if step % reporting.log_every == 0:
                journal.losses(step, stepper.mean_loss(), learning_rate(settings, step - 1))
            if step % reporting.save_every == 0:
                save()
            if val_clips and (step % reporting.validate_every == 0 or step == settings.steps):
                journal.note(step=step, val=validate(average, val_clips, device, recipe.model.motion, dtype))
        if step > first_step:
            journal.losses(step, stepper.mean_loss(), learning_rate(settings, step - 1))
    finally:  # an interrupt, or an error in a batch, keeps what was learnt
        save()
        journal.end(step, settings.steps)
    return step


def weights_name(model: Model) -> str:
    """The file of averaged weights: ``codecvsr.safetensors`` for the network codecvsr."""
    return f"{model.network}.safetensors"


def learning_rate(settings: Optimisation, step: int) -> float:
    """Linear warm-up, then one cosine that reaches zero at ``settings.steps``."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    return settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup)) * cosine


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


def _save_weights(out: Path, step: int, average: nn.Module, model: Model) -> None:
    """The averaged weights in half precision; what is no weight stays as it is."""
    halved = {name for name, _ in average.named_parameters()}
    weights: dict[str, Any] = {
        key: (value.half() if key in halved else value).detach().cpu().contiguous()
        for key, value in average.state_dict().items()
    }
    with atomic_file(out / weights_name(model)) as part:
        save_file(weights, part, metadata={**metadata(model, average), "steps": str(step)})
