"""The result of a comparison: measurements, means over clips, and ranks."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from codecvsr.compare.clips import TestClip, crf_value
from codecvsr.compare.costs import COUNTED_SIDE
from codecvsr.compare.measurements import Measurement, Settings
from codecvsr.compare.variants import BICUBIC, Variant
from codecvsr.metrics.ssim import SIGMA, WINDOW
from codecvsr.versions import versions

_SCORES = ("psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y", "warping_error", "warping_error_original", "lpips")
_COSTS = ("gmacs", "ms_per_frame", "network_ms", "peak_memory_mb")


@dataclass(frozen=True)
class Failed:
    """A variant (``row``, its name) that failed on one clip, or on every clip (``clip`` is empty)."""

    row: str
    clip: str
    error: str


@dataclass(frozen=True)
class Mean:
    """A variant at one CRF: means over the clips.

    Attributes:
        row: the variant's name.
        crf: the clips' label, such as ``CRF25``.
        clips: how many of them were measured.
        values: scores and costs by the names of :class:`Measurement`; None for a score that some clip lacks.
        rank: by RGB PSNR among variants measured on every clip; None for random weights and incomplete variants.
        artifacts: means of the faults of "pictures" and "originals"; None where a clip lacks them.
    """

    row: str
    crf: str
    clips: int
    values: dict[str, float | None]
    rank: int | None = None
    artifacts: dict[str, dict[str, float | None]] | None = None


@dataclass
class Comparison:
    """All variants, clips, measurements and failures.

    Attributes:
        variants: in the order of the table, bicubic first.
        clips: all clips.
        settings: shared by all measurements.
        measurements: one per variant and clip, in this order, without those that failed.
        failed: variants that could not be run.
        pictures: files of the middle frames by variant name and clip key.
        frame_folders: folders of all frames by variant name and clip key, where these were asked for.
    """

    variants: list[Variant]
    clips: list[TestClip]
    settings: Settings
    measurements: list[Measurement] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    pictures: dict[tuple[str, str], Path] = field(default_factory=dict)
    frame_folders: dict[tuple[str, str], Path] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """CRF labels, rising."""
        return list(dict.fromkeys(clip.label for clip in sorted(self.clips, key=_rate)))

    def measurement(self, row: str, clip_key: str) -> Measurement | None:
        """Returns the measurement of a variant (by name) on a clip; None if it failed."""
        return next((m for m in self.measurements if m.row == row and m.clip_key == clip_key), None)

    def is_untrained(self, row: str) -> bool:
        """Whether the variant ran with random weights."""
        return any(m.training == "untrained" for m in self.measurements if m.row == row)

    def all_failed(self) -> bool:
        """Whether every requested variant failed; only the automatic bicubic was measured."""
        return all(m.row == BICUBIC for m in self.measurements) and any(f.row != BICUBIC for f in self.failed)

    def means(self) -> list[Mean]:
        """Returns the mean of every variant at every CRF, with ranks."""
        found = []
        for label in self.labels:
            keys = [clip.key for clip in self.clips if clip.label == label]
            here = [m for variant in self.variants if (m := self._mean(variant.name, label, keys)) is not None]
            found += self._ranked(here, len(keys))
        return found

    def _ranked(self, means: list[Mean], clips: int) -> list[Mean]:
        """Adds ranks by RGB PSNR; same-size networks have none, as they are scored against a smaller original."""
        outside = {m.row for m in self.measurements if m.scale == 1}
        scores = [None if m.clips < clips or m.row in outside else m.values["psnr_rgb"] for m in means]
        order = sorted((score for score in scores if score is not None), reverse=True)
        return [
            mean if score is None else replace(mean, rank=order.index(score) + 1)
            for mean, score in zip(means, scores, strict=True)
        ]

    def _mean(self, row: str, label: str, keys: Sequence[str]) -> Mean | None:
        measurements = [measurement for key in keys if (measurement := self.measurement(row, key)) is not None]
        if not measurements:
            return None
        values: dict[str, float | None] = {name: fmean(getattr(m, name) for m in measurements) for name in _COSTS}
        values["peak_memory_mb"] = max(m.peak_memory_mb for m in measurements)
        for name in _SCORES:
            scores = [score for m in measurements if (score := getattr(m, name)) is not None]
            values[name] = fmean(scores) if len(scores) == len(keys) else None
        found = [m.artifacts for m in measurements if m.artifacts is not None]
        artifacts = {side: _mean_of([each[side] for each in found]) for side in found[0]} if found else None
        return Mean(row, label, len(measurements), values, artifacts=artifacts if len(found) == len(keys) else None)

    def to_json(self) -> dict[str, Any]:
        """Returns the object that ``codecvsr compare --json`` prints."""
        by_row = {measurement.row: measurement for measurement in self.measurements}
        rows = []
        for variant in self.variants:
            measurement = by_row.get(variant.name)
            known = (
                {}
                if measurement is None
                else {k: getattr(measurement, k) for k in ("training", "parameters", "scale", "motion")}
            )
            rows.append(
                {
                    "row": variant.name,
                    "model": variant.model,
                    "ablations": variant.ablations.names,
                    "segments": variant.segments,
                    "window": variant.window,
                    **known,
                }
            )
        means = [
            {
                "row": m.row,
                "crf": _crf_of(self.clips, m.crf),
                "clips": m.clips,
                "rank": m.rank,
                **m.values,
                **({} if m.artifacts is None else {"artifacts": m.artifacts}),
            }
            for m in self.means()
        ]
        return {
            "protocol": protocol(self.settings),
            "rows": rows,
            "clips": [clip.to_json() for clip in self.clips],
            "cells": [asdict(measurement) for measurement in self.measurements],
            "means": means,
            "failed": [asdict(failure) for failure in self.failed],
        }


def _rate(clip: TestClip) -> tuple[int, float]:
    """Sort key: pristine clips, then rising CRFs, then unknown ones."""
    return ({"CRFnone": 0, "CRF?": 2}.get(clip.label, 1), clip.crf or 0.0)


def _mean_of(values: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    """Means by name over the clips that have a value."""
    means: dict[str, float | None] = {}
    for name in values[0]:
        known = [number for each in values if (number := each[name]) is not None]
        means[name] = fmean(known) if known else None
    return means


def _crf_of(clips: Sequence[TestClip], label: str) -> float | str | None:
    return next(crf_value(clip.crf, clip.label) for clip in clips if clip.label == label)


def protocol(settings: Settings) -> dict[str, Any]:
    """Returns how the figures were measured, for readers of the report."""
    return {
        **asdict(settings),
        "psnr": "8-bit rounded values, peak 255, per frame, then over frames, then over clips",
        "ssim": f"Gaussian {WINDOW}x{WINDOW}, sigma {SIGMA}, window inside the picture; RGB: mean of the channels",
        "y": "BT.601 16-235, not rounded",
        "gmacs": f"1e9 multiply-accumulates of convolutions and matrix products per frame, counted on a corner of "
        f"{COUNTED_SIDE}x{COUNTED_SIDE} pixels and scaled to the frame's area",
        "ms_per_frame": "wall clock: the network and its motion (decoding and repair of vectors, or optical flow)",
        "peak_memory_mb": "MiB; on the CPU of the whole process, on a GPU of tensors",
        "untrained": "random weights: speed and memory only",
        "machine": {"threads": torch.get_num_threads(), "processor": platform.machine(), "gpu": _gpu()},
        "versions": versions(),
    }


def _gpu() -> str | None:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
