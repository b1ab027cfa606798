"""The result of a comparison: its one table, the means of it, and who came first."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from codecvsr.compare.clips import TestClip, crf_value
from codecvsr.compare.measurements import COUNTED_SIDE, Cell, Settings
from codecvsr.compare.variants import BICUBIC, Row
from codecvsr.metrics.ssim import SIGMA, WINDOW
from codecvsr.versions import versions

_SCORES = ("psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y", "warping_error", "warping_error_original", "lpips")
_COSTS = ("gmacs", "ms_per_frame", "network_ms", "peak_memory_mb")


@dataclass(frozen=True)
class Failed:
    """A row that could not be run: on one clip, or on any (``clip`` is empty)."""

    row: str
    clip: str
    error: str


@dataclass(frozen=True)
class Mean:
    """A row at one CRF: means over the clips.

    Attributes:
        crf: the clips' label, such as ``CRF25``.
        clips: how many of them were measured.
        values: scores and costs by the names of :class:`Cell`; a score that not every clip has is None.
        rank: place by RGB PSNR among rows whose every clip was measured; None for random weights and incomplete rows.
    """

    row: str
    crf: str
    clips: int
    values: dict[str, float | None]
    rank: int | None = None


@dataclass
class Comparison:
    """Everything that was measured.

    Attributes:
        rows: in the order of the table, bicubic first.
        clips: all clips.
        settings: what held for every cell.
        cells: one per row and clip, in this order, without those that failed.
        failed: what could not be run.
        pictures: files of the middle frames by row's name and clip's key.
    """

    rows: list[Row]
    clips: list[TestClip]
    settings: Settings
    cells: list[Cell] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    pictures: dict[tuple[str, str], Path] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """CRF labels, rising."""
        return list(dict.fromkeys(clip.label for clip in sorted(self.clips, key=_rate)))

    def cell(self, row: str, clip_key: str) -> Cell | None:
        """The cell of a row on a clip, None where it failed."""
        return next((cell for cell in self.cells if cell.row == row and cell.clip_key == clip_key), None)

    def is_untrained(self, row: str) -> bool:
        """Whether the row ran with random weights."""
        return any(cell.training == "untrained" for cell in self.cells if cell.row == row)

    def all_failed(self) -> bool:
        """Whether nothing was measured but the bicubic row that nobody had to ask for."""
        return all(cell.row == BICUBIC for cell in self.cells) and any(f.row != BICUBIC for f in self.failed)

    def means(self) -> list[Mean]:
        """Every row at every CRF, with ranks."""
        found = []
        for label in self.labels:
            keys = [clip.key for clip in self.clips if clip.label == label]
            here = [m for row in self.rows if (m := self._mean(row.name, label, keys)) is not None]
            found += self._ranked(here, len(keys))
        return found

    def _ranked(self, means: list[Mean], clips: int) -> list[Mean]:
        """With places by RGB PSNR; same-size networks are scored against another original and stand outside."""
        outside = {cell.row for cell in self.cells if cell.scale == 1}
        scores = [None if m.clips < clips or m.row in outside else m.values["psnr_rgb"] for m in means]
        order = sorted((score for score in scores if score is not None), reverse=True)
        return [
            mean if score is None else replace(mean, rank=order.index(score) + 1)
            for mean, score in zip(means, scores, strict=True)
        ]

    def _mean(self, row: str, label: str, keys: Sequence[str]) -> Mean | None:
        cells = [cell for key in keys if (cell := self.cell(row, key)) is not None]
        if not cells:
            return None
        values: dict[str, float | None] = {name: fmean(getattr(cell, name) for cell in cells) for name in _COSTS}
        values["peak_memory_mb"] = max(cell.peak_memory_mb for cell in cells)
        for name in _SCORES:
            scores = [score for cell in cells if (score := getattr(cell, name)) is not None]
            values[name] = fmean(scores) if len(scores) == len(keys) else None
        return Mean(row, label, len(cells), values)

    def to_json(self) -> dict[str, Any]:
        """What ``codecvsr compare --json`` prints."""
        by_row = {cell.row: cell for cell in self.cells}
        rows = []
        for row in self.rows:
            cell = by_row.get(row.name)
            known = {} if cell is None else {k: getattr(cell, k) for k in ("training", "parameters", "scale", "motion")}
            rows.append(
                {
                    "row": row.name,
                    "model": row.model,
                    "ablations": row.ablations.names,
                    "segments": row.segments,
                    "window": row.window,
                    **known,
                }
            )
        means = [{"row": m.row, "crf": _crf_of(self.clips, m.crf), "clips": m.clips, "rank": m.rank, **m.values}
                 for m in self.means()]  # fmt: skip
        return {
            "protocol": protocol(self.settings),
            "rows": rows,
            "clips": [clip.to_json() for clip in self.clips],
            "cells": [asdict(cell) for cell in self.cells],
            "means": means,
            "failed": [asdict(failure) for failure in self.failed],
        }


def _rate(clip: TestClip) -> tuple[int, float]:
    """Sorts pristine clips before rising CRFs, and unknown ones behind."""
    return ({"CRFnone": 0, "CRF?": 2}.get(clip.label, 1), clip.crf or 0.0)


def _crf_of(clips: Sequence[TestClip], label: str) -> float | str | None:
    return next(crf_value(clip.crf, clip.label) for clip in clips if clip.label == label)


def protocol(settings: Settings) -> dict[str, Any]:
    """How the figures were made."""
    return {
        **asdict(settings),
        "psnr": "8-bit rounded values, peak 255, per frame, then over frames, then over clips",
        "ssim": f"Gaussian {WINDOW}x{WINDOW}, sigma {SIGMA}, window inside the picture; RGB: mean of the channels",
        "y": "BT.601 16-235, not rounded",
        "gmacs": f"1e9 multiply-accumulates of convolutions and matrix products per frame, counted on a corner of "
        f"{COUNTED_SIDE}x{COUNTED_SIDE} pixels and scaled to the frame's area",
        "ms_per_frame": "wall clock: the network, and what it takes to have its motion (decoding and repair of vectors, or "
        "optical flow)",
        "peak_memory_mb": "MiB; on the CPU of the whole process, on a GPU of tensors",
        "untrained": "random weights: speed and memory only",
        "machine": {"threads": torch.get_num_threads(), "processor": platform.machine(), "gpu": _gpu()},
        "versions": versions(),
    }


def _gpu() -> str | None:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
