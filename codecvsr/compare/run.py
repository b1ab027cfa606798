"""Runs every variant on every clip; a failed variant does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from codecvsr.compare.clips import TestClip, find_clips
from codecvsr.compare.comparison import Comparison, Failed
from codecvsr.compare.measurements import Settings, measure, shared_lpips
from codecvsr.compare.store import MeasurementStore
from codecvsr.compare.variants import Variant, ablation_variants, parse_variants
from codecvsr.engine.device import choose_device
from codecvsr.errors import CodecVSRError, OutputError
from codecvsr.models.zoo import LoadedModel, load_model

EVERYTHING = Settings()  #: all frames, device and precision chosen automatically

log = logging.getLogger(__name__)


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

    Raises:
        InputError: there are no clips or no originals, a variant is misspelt, or LPIPS has no weights. Errors of one variant
            are in ``failed``.
        OutputError: ``out_dir`` has other files, or cannot be written.
        KeyboardInterrupt: with a sentence that counts the stored measurements.
    """
    asked = parse_variants(models)
    found = find_clips(clip_roots, gt_root, clips)
    choose_device(settings.device)
    if settings.lpips:
        shared_lpips()  # fails before any work if the weights are missing
    store = MeasurementStore(out_dir)
    result = Comparison([], found, settings)
    loaded: dict[str, LoadedModel] = {}  # only the last one: two large models may not fit in memory
    counted: dict[str, float] = {}
    try:
        for variant, clip in _work(asked, found, ablations, result, loaded):
            _measure_or_fail(variant, loaded[variant.model], clip, store, fresh, counted, result)
    except KeyboardInterrupt as interrupt:
        message = (
            f"{len(result.measurements)} measurements are stored in {out_dir}; run the same command again to continue."
        )
        raise KeyboardInterrupt(message) from interrupt
    return result


def _work(
    asked: list[Variant], clips: list[TestClip], ablations: bool, result: Comparison, loaded: dict[str, LoadedModel]
) -> Iterator[tuple[Variant, TestClip]]:
    """Yields every variant with every clip, its model loaded; adds each variant to ``result``."""
    for variant in asked:
        if variant.model not in loaded:
            loaded.clear()
            try:
                loaded[variant.model] = load_model(variant.model)
            except CodecVSRError as error:
                result.variants.append(variant)
                result.failed.append(Failed(variant.name, "", str(error)))
                continue
        more = ablation_variants(variant, loaded[variant.model]) if ablations else []
        for each in [variant, *(r for r in more if r.name not in {other.name for other in asked})]:
            result.variants.append(each)
            for clip in clips:
                yield each, clip


def _measure_or_fail(
    variant: Variant,
    model: LoadedModel,
    clip: TestClip,
    store: MeasurementStore,
    fresh: bool,
    counted: dict[str, float],
    result: Comparison,
) -> None:
    """Add a measurement, stored or new, to the result; on an error add the reason."""
    try:
        key = store.key(variant, model, clip, result.settings)
        measurement = None if fresh else store.load(key)
        if measurement is None:
            measurement, middle = measure(variant, model, clip, result.settings, counted)
            store.save(key, measurement, middle)
            score = "untrained" if measurement.psnr_rgb is None else f"{measurement.psnr_rgb:.2f} dB"
            log.info("%s on %s: %s, %.0f ms/frame", variant.name, clip.key, score, measurement.ms_per_frame)
    except OutputError:  # a full disk is full for every variant
        raise
    except CodecVSRError as error:
        result.failed.append(Failed(variant.name, clip.key, str(error)))
        log.info("%s on %s: failed", variant.name, clip.key)
        return
    except (MemoryError, torch.OutOfMemoryError):
        reason = "ran out of memory; set --window to a small number, or --frames."
        result.failed.append(Failed(variant.name, clip.key, reason))
        return
    result.measurements.append(measurement)
    if measurement.training != "untrained" and (picture := store.picture(key)).is_file():
        result.pictures[variant.name, clip.key] = picture
