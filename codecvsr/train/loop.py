"""The training loop."""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
import shutil
import time
from pathlib import Path

import torch

from codecvsr.engine.device import place
from codecvsr.engine.native.gradients import install_for_training
from codecvsr.engine.plan import make_plan
from codecvsr.errors import InputError, OutputError
from codecvsr.train.data import load_clips, load_sources, make_resident
from codecvsr.train.optimiser import make_optimiser
from codecvsr.train.processes import Processes, joined
from codecvsr.train.recipe import Optimisation, Recipe
from codecvsr.train.run_log import LOG, RunLog
from codecvsr.train.sampling import Sampler
from codecvsr.train.state import find_states, load_state, save_state
from codecvsr.train.step import Stepper, move
from codecvsr.train.validation import validate
from codecvsr.train.weights import resumed, save_weights, start, weights_name

__all__ = ["LOG", "WEIGHTS", "learning_rate", "train", "weights_name"]

WEIGHTS = "codecvsr.safetensors"  #: weights file of the network codecvsr
_UNMEASURED, _MEASURED = 10, 60  # steps before the speed measurement, and during it

log = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: Path | None = None,
    initial: str | Path | None = None,
    minutes: float | None = None,
    budget: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    overwrite: bool = False,
) -> int:
    """Train a network and write its state, averaged weights and log to ``out``.

    Args:
        recipe: data, network and schedule.
        out: folder for ``state-STEP/`` (everything that resuming needs), ``NETWORK.safetensors`` or ``adapter.safetensors``,
            and ``log.jsonl``.
        resume: a run's folder, or its state folder, to continue exactly.
        initial: initial weights of a new run, of the same ``[model]``: a name or a file of any format, as for
            :func:`codecvsr.models.zoo.load_model`.
        minutes: stop after this time and save the state.
        budget: minutes for all sessions of a new run; sets the number of steps by the speed of the first ones.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``; weights and optimiser stay in fp32.
        overwrite: start a new run although ``out`` has one; its log and state are deleted at the start, its weights with the first save.

    Returns:
        The number of steps done in total.

    Raises:
        InputError: the data does not match the recipe, or ``initial`` or an adapter's base is not there.
        OutputError: ``out`` has a run already, and neither ``resume`` nor ``overwrite`` continues or replaces it.
        CheckpointError: ``resume`` has no state of this network, or ``initial`` no weights of it.
    """
    if initial is not None and recipe.adapter.base:
        raise InputError(
            f"initial = {initial}: the training of an adapter begins with its base; leave out one of the two."
        )
    begun = time.monotonic()
    with joined(device) as processes:
        replaces_run = is_other_run(out, recipe, resume)
        if processes.agreed(replaces_run and not overwrite):
            raise OutputError(
                f"{out}: has a training run already; add --resume {out} to continue it, -y/--overwrite to replace it, or "
                "another --out folder."
            )
        return _train(recipe, out, processes, resume, initial, minutes, budget, precision, replaces_run, begun)


def _train(
    recipe: Recipe,
    out: Path,
    processes: Processes,
    resume: Path | None,
    initial: str | Path | None,
    minutes: float | None,
    budget: float | None,
    precision: str,
    replaces_run: bool,
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
        log.info("Clips: %d with %d frames; %d for validation", sum(map(len, sources)), frames, len(val_clips))

    torch.manual_seed(settings.seed)
    begun_with = start(recipe, initial)
    network, recipe = place(begun_with.network, device), begun_with.recipe
    average = copy.deepcopy(network).requires_grad_(False)
    if device.type == "cpu" and dtype == torch.float32 and not recipe.engine.compile:
        install_for_training(network)
    optimiser = make_optimiser(network, settings.learning_rate, device, kind=settings.optimiser)
    step, schedule = 0, None
    if resume:
        step, params = load_state(resume, network, average, optimiser)
        schedule, begun_with = params.get("schedule"), resumed(begun_with, params, resume)
    if isinstance(schedule, int):  # the first session of the run measured it
        settings = dataclasses.replace(settings, steps=schedule)
    needs_measure = budget is not None and schedule is None
    stepper = Stepper(network, average, optimiser, recipe, dtype, processes)
    if replaces_run and is_first:
        (out / LOG).unlink(missing_ok=True)
        for folder in find_states(out):
            shutil.rmtree(folder)
    run_log = RunLog(out, resumed=resume, is_silent=not is_first)
    run_log.begin(step, recipe, processes, dtype)
    run_log.steps = None if needs_measure else settings.steps

    def save() -> None:
        if is_first:
            params = {"schedule": schedule, "recipe": dataclasses.asdict(recipe), **begun_with.origin}
            save_state(out, step, network, average, optimiser, params, is_compact=reporting.compact_state)
            save_weights(out, step, average, begun_with)

    first_step, measured_from = step, time.monotonic()
    try:
        while step < settings.steps:
            if minutes is not None and processes.agreed(time.monotonic() - begun >= minutes * 60):
                break
            if needs_measure and step == first_step + _UNMEASURED:
                stepper.mean_loss()  # waits for queued GPU work
                measured_from = time.monotonic()
            if needs_measure and step == first_step + _UNMEASURED + _MEASURED:
                run_log.losses(step, stepper.mean_loss(), learning_rate(settings, step - 1))
                each = (time.monotonic() - measured_from) / _MEASURED
                left = (budget or 0) * 60 - (time.monotonic() - begun)
                schedule = int(processes.agreed(step + max(1, left // each)))
                settings, needs_measure = dataclasses.replace(settings, steps=schedule), False
                run_log.steps = schedule
                run_log.write(step=step, schedule=schedule, s=each)

            batch = move(sampler.batch(step), device)
            stepper.do(batch, step, learning_rate(settings, step))
            step += 1

            if step % reporting.log_every == 0:
                run_log.losses(step, stepper.mean_loss(), learning_rate(settings, step - 1))
            if step % reporting.save_every == 0:
                save()
            if val_clips and (step % reporting.validate_every == 0 or step == settings.steps):
                run_log.write(step=step, val=validate(average, val_clips, device, recipe.model.motion, dtype))
        if step > first_step:
            run_log.losses(step, stepper.mean_loss(), learning_rate(settings, step - 1))
    finally:  # save after an interrupt or an error, too
        save()
        run_log.end(step, settings.steps)
    return step


def is_other_run(out: Path, recipe: Recipe, resume: Path | None) -> bool:
    """Whether ``out`` has a run that ``resume`` does not continue."""
    if resume is not None and out.resolve() in (resume.resolve(), resume.resolve().parent):
        return False
    return bool(find_states(out)) or (out / LOG).exists() or (out / weights_name(recipe)).exists()


def learning_rate(settings: Optimisation, step: int) -> float:
    """Returns the rate at a step: a linear warm-up, a constant rate, and a cosine to zero over the last ``decay`` of all steps."""
    length = settings.decay * settings.steps
    cosine = 0.5 * (1 + math.cos(math.pi * max(0.0, step - settings.steps + length) / length))
    return settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup)) * cosine
