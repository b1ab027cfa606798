"""Runs every variant on every clip; a failed variant does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from codecvsr.compare.clips import TestClip, find_clips
from codecvsr.compare.comparison import Comparison, Failed
from codecvsr.compare.measurements import Measurement, Picture, Settings, measure, shared_lpips
from codecvsr.compare.store import MeasurementStore
from codecvsr.compare.variants import Variant, parse_variants
from codecvsr.compare.work import RemainingTime, plan_work
from codecvsr.errors import CodecVSRError, OutputError
from codecvsr.files import FRAME_NAME, write_png
from codecvsr.models.zoo import LoadedModel, load_model

EVERYTHING = Settings()  #: all frames, device and precision chosen automatically
_OUT_OF_MEMORY = "ran out of memory; set --window to a small number, or --frames."


@dataclass(frozen=True)
class Step:
    """A measurement begins, has made a frame, or is done.

    Attributes:
        number: of the measurement, from 1.
        total: how many measurements there are.
        row: the variant's name.
        clip: the clip's key.
        frame: frames made.
        frames: frames of the clip.
        eta_seconds: estimate of the time for the measurements after this one; None if unknown.
        measurement: the result, once it is done.
        error: why it failed; empty where it did not.
        is_stored: the measurement is one of an earlier run.
    """

    number: int
    total: int
    row: str
    clip: str
    frame: int
    frames: int
    eta_seconds: float | None
    measurement: Measurement | None = None
    error: str = ""
    is_stored: bool = False


def _ignore(step: Step) -> None:
    pass


def _frame_reporter(on_step: Callable[[Step], None], step: Step) -> Callable[[int], None]:
    return lambda frame: on_step(replace(step, frame=frame))


def compare(
    clip_roots: Sequence[Path],
    gt_root: Path,
    models: Sequence[str],
    *,
    ablations: bool = False,
    clips: Sequence[str] = (),
    settings: Settings = EVERYTHING,
    out_dir: Path,
    fresh: bool = False,
    with_frames: bool = False,
    on_step: Callable[[Step], None] = _ignore,
) -> Comparison:
    """Measure every model on every clip.

    Args:
        clip_roots: clip folders, benchmark folders, or folders of those.
        gt_root: their originals.
        models: variants as :func:`codecvsr.compare.variants.parse_variant` reads them; bicubic is always added.
        ablations: add a variant without each part that a model has.
        clips: names of the clips to use; empty for all.
        settings: shared by all measurements.
        out_dir: folder where measurements are stored; those found there are not measured again.
        fresh: ignore stored measurements.
        with_frames: store all frames of every model that is scored, ablations excepted.
        on_step: called as the work proceeds.

    Raises:
        InputError: before any work: there are no clips or no originals, they do not fit, a variant is misspelt, its model is not
            there or cannot do what is asked, or LPIPS has no weights. Errors of one variant on one clip are in ``failed``.
        CheckpointError: before any work: a model's file is not one.
        OutputError: ``out_dir`` has other files, or cannot be written.
        KeyboardInterrupt: with a sentence that counts the stored measurements.
    """
    asked = parse_variants(models)
    found = find_clips(clip_roots, gt_root, clips)
    if settings.lpips:
        shared_lpips()  # fails before any work if the weights are missing
    work = plan_work(asked, found, settings, ablations=ablations)
    run = _Run(
        Comparison(work.variants, found, settings, failed=work.failed),
        MeasurementStore(out_dir),
        fresh,
        with_frames,
    )
    remaining = RemainingTime(work, settings)
    loaded: dict[str, LoadedModel] = {}  # only the last one: two large models may not fit in memory
    try:
        for number, (variant, clip) in enumerate(work.pairs, 1):
            if variant.model not in loaded:
                loaded = {variant.model: load_model(variant.model)}
            frames = clip.length(settings.frames)
            step = Step(number, len(work.pairs), variant.name, clip.key, 0, frames, remaining.seconds())
            on_step(step)
            begun = time.monotonic()
            measurement, is_new, error = run.measure(
                variant, loaded[variant.model], clip, _frame_reporter(on_step, step)
            )
            if is_new:
                remaining.add(variant, time.monotonic() - begun, frames)
            else:
                remaining.skip()
            on_step(
                replace(
                    step,
                    frame=frames,
                    eta_seconds=remaining.seconds(),
                    measurement=measurement,
                    error=error,
                    is_stored=measurement is not None and not is_new,
                )
            )
    except KeyboardInterrupt as interrupt:
        message = f"{len(run.result.measurements)} measurements are stored in {out_dir}; run the same command again to continue."
        raise KeyboardInterrupt(message) from interrupt
    return run.result


class _Run:
    """A comparison that is being measured."""

    def __init__(self, result: Comparison, store: MeasurementStore, fresh: bool, with_frames: bool) -> None:
        self.result = result
        self._store, self._fresh, self._with_frames = store, fresh, with_frames
        self._counted: dict[str, float] = {}

    def measure(
        self, variant: Variant, model: LoadedModel, clip: TestClip, report: Callable[[int], None]
    ) -> tuple[Measurement | None, bool, str]:
        """Adds a measurement, stored or new, to the result, or the reason why there is none.

        Returns:
            The measurement, whether it is new, and the reason.
        """
        try:
            return *self._stored_or_new(variant, model, clip, report), ""
        except OutputError:  # a full disk is full for every variant
            raise
        except CodecVSRError as error:
            reason = str(error)
        except (MemoryError, torch.OutOfMemoryError):
            reason = _OUT_OF_MEMORY
        self.result.failed.append(Failed(variant.name, clip.key, reason))
        return None, False, reason

    def _stored_or_new(
        self, variant: Variant, model: LoadedModel, clip: TestClip, report: Callable[[int], None]
    ) -> tuple[Measurement, bool]:
        store, result = self._store, self.result
        key = store.key(variant, model, clip, result.settings)
        is_scored = model.training != "untrained"
        has_frames = self._with_frames and is_scored and not variant.is_ablation and model.scale != 1
        measurement = None if self._fresh else store.load(key)
        is_new = measurement is None or (has_frames and not store.has_frames(key, measurement.frames))
        if measurement is None or is_new:
            with ExitStack() as stack:
                folder = stack.enter_context(store.new_frames(key)) if has_frames else None

                def add(index: int, picture: Picture) -> None:
                    if folder is not None:
                        write_png(folder / (FRAME_NAME % index), picture)
                    report(index + 1)

                measurement, middle = measure(variant, model, clip, result.settings, self._counted, add)
            store.save(key, measurement, middle)
        result.measurements.append(measurement)
        if is_scored and (picture := store.picture(key)).is_file():
            result.pictures[variant.name, clip.key] = picture
        if has_frames:
            result.frame_folders[variant.name, clip.key] = store.frames(key)
        return measurement, is_new
