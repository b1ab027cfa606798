"""``codecvsr compare``: every row on every clip, one row's failure being no other's."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from codecvsr.compare.clips import TestClip, find_clips
from codecvsr.compare.comparison import Comparison, Failed
from codecvsr.compare.measurements import Settings, measure, shared_lpips
from codecvsr.compare.store import CellStore
from codecvsr.compare.variants import Row, ablation_rows, parse_rows
from codecvsr.engine.device import choose_device
from codecvsr.errors import CodecVSRError, OutputError
from codecvsr.models.zoo import LoadedModel, load_model

EVERYTHING = Settings()  #: all frames, on the device that is there

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
        clip_roots: clip folders, benchmark folders, or what holds those.
        gt_root: their originals.
        models: rows as :func:`codecvsr.compare.variants.parse_row` reads them; bicubic is always one.
        ablations: a row more for every part that a model has, without it.
        clips: names of the clips to take; empty for all.
        settings: what holds for every cell.
        out_dir: folder where cells are kept; those that are there already are not measured again.
        fresh: measure all of them again.

    Raises:
        InputError: there are no clips or no originals, a row is misspelt, or LPIPS has no weights. What concerns one row is
            in ``failed``.
        OutputError: ``out_dir`` is something else, or cannot be written.
        KeyboardInterrupt: with a sentence that says what is kept.
    """
    asked = parse_rows(models)
    found = find_clips(clip_roots, gt_root, clips)
    choose_device(settings.device)
    if settings.lpips:
        shared_lpips()  # what it lacks is told before any work
    store = CellStore(out_dir)
    result = Comparison([], found, settings)
    loaded: dict[str, LoadedModel] = {}  # the last one only: a model of its size may not fit beside another
    counted: dict[str, float] = {}
    try:
        for row, clip in _work(asked, found, ablations, result, loaded):
            _measure_or_fail(row, loaded[row.model], clip, store, fresh, counted, result)
    except KeyboardInterrupt as interrupt:
        said = f"{len(result.cells)} cells are kept in {out_dir}; give the same command again to go on."
        raise KeyboardInterrupt(said) from interrupt
    return result


def _work(
    asked: list[Row], clips: list[TestClip], ablations: bool, result: Comparison, loaded: dict[str, LoadedModel]
) -> Iterator[tuple[Row, TestClip]]:
    """Rows and clips one after the other, each row's model loaded before; rows are noted as they come."""
    for row in asked:
        if row.model not in loaded:
            loaded.clear()
            try:
                loaded[row.model] = load_model(row.model)
            except CodecVSRError as error:
                result.rows.append(row)
                result.failed.append(Failed(row.name, "", str(error)))
                continue
        more = ablation_rows(row, loaded[row.model]) if ablations else []
        for each in [row, *(r for r in more if r.name not in {other.name for other in asked})]:
            result.rows.append(each)
            for clip in clips:
                yield each, clip


def _measure_or_fail(
    row: Row,
    model: LoadedModel,
    clip: TestClip,
    store: CellStore,
    fresh: bool,
    counted: dict[str, float],
    result: Comparison,
) -> None:
    """Add a cell to the result, from the store or measured now; or the reason why there is none."""
    try:
        key = store.key(row, model, clip, result.settings)
        cell = None if fresh else store.load(key)
        if cell is None:
            cell, middle = measure(row, model, clip, result.settings, counted)
            store.save(key, cell, middle)
            score = "untrained" if cell.psnr_rgb is None else f"{cell.psnr_rgb:.2f} dB"
            log.info("%s on %s: %s, %.0f ms/frame", row.name, clip.key, score, cell.ms_per_frame)
    except OutputError:  # a full disk is full for every row
        raise
    except CodecVSRError as error:
        result.failed.append(Failed(row.name, clip.key, str(error)))
        log.info("%s on %s: failed", row.name, clip.key)
        return
    except (MemoryError, torch.OutOfMemoryError):
        said = "ran out of memory; give --window a small number, or --frames."
        result.failed.append(Failed(row.name, clip.key, said))
        return
    result.cells.append(cell)
    if cell.training != "untrained" and (picture := store.picture(key)).is_file():
        result.pictures[row.name, clip.key] = picture
