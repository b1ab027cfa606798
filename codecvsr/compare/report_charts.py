"""The charts of a report: quality over CRF, over time and frame by frame, and what every ablation costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from codecvsr.compare.charts import MAX_LINES, Series, bar_chart, chart
from codecvsr.compare.comparison import Comparison, Mean
from codecvsr.compare.titles import short_names
from codecvsr.compare.variants import BICUBIC, Variant
from codecvsr.inference.ablations import NO_ABLATIONS

_PARTS = {"mvs": "motion vectors"}  # ablations whose name is no word


def make_charts(comparison: Comparison) -> list[tuple[str, str]]:
    """Returns title and SVG of every chart; one with more than six lines is split, bicubic in each part."""
    trained = [variant for variant in comparison.variants if not comparison.is_untrained(variant.name)]
    names = short_names([variant.name for variant in comparison.variants])
    models = [variant for variant in trained if not variant.is_ablation]
    return [
        *_over_crf(comparison, models, names),
        *_ablation_charts(comparison, trained, names),
        *_over_time(comparison, models, names),
        *_by_frame(comparison, models, names),
    ]


def _over_crf(comparison: Comparison, models: list[Variant], names: dict[str, str]) -> Iterator[tuple[str, str]]:
    rates = {clip.label: clip.crf for clip in comparison.clips}
    if len({rate for rate in rates.values() if rate is not None}) > 1:
        series = _series(comparison, models, names, lambda mean: rates[mean.crf], with_labels=False)
        for title, part in _split("RGB PSNR over CRF, mean over the clips", series):
            yield title, chart(part, "CRF", "PSNR (dB)")


def _over_time(comparison: Comparison, models: list[Variant], names: dict[str, str]) -> Iterator[tuple[str, str]]:
    series = _series(comparison, models, names, lambda mean: mean.values["ms_per_frame"], with_labels=True)
    for title, part in _split("RGB PSNR over time per frame", series):
        yield title, chart(part, "milliseconds per frame", "PSNR (dB)", log_x=True, lines=False)


def _by_frame(comparison: Comparison, models: list[Variant], names: dict[str, str]) -> Iterator[tuple[str, str]]:
    for clip in comparison.clips:
        lines = []
        for variant in models:
            measurement = comparison.measurement(variant.name, clip.key)
            if measurement is not None and measurement.per_frame:
                points = tuple(enumerate(measurement.per_frame))
                lines.append(Series(names[variant.name], points, (), variant.name == BICUBIC))
        if lines:
            for title, part in _split(f"RGB PSNR of every frame: {clip.name}, {clip.label}", lines):
                yield title, chart(part, "frame", "PSNR (dB)", markers=False, whole_x=True)


def _series(
    comparison: Comparison,
    models: list[Variant],
    names: dict[str, str],
    x: Callable[[Mean], float | None],
    *,
    with_labels: bool,
) -> list[Series]:
    means = comparison.means()
    found = []
    for variant in models:
        own = [m for m in means if m.row == variant.name and m.values["psnr_rgb"] is not None and x(m) is not None]
        points = tuple((x(m) or 0.0, m.values["psnr_rgb"] or 0.0) for m in own)
        labels = tuple(m.crf for m in own) if with_labels else ()
        found.append(Series(names[variant.name], points, labels, variant.name == BICUBIC))
    return found


def _split(title: str, series: list[Series]) -> Iterator[tuple[str, list[Series]]]:
    """Yields parts of at most :data:`MAX_LINES` series, the baseline in each."""
    baseline = [one for one in series if one.is_baseline]
    others = [one for one in series if not one.is_baseline]
    room = MAX_LINES - len(baseline)
    parts = [others[start : start + room] for start in range(0, len(others), room)] or [[]]
    for number, part in enumerate(parts, 1):
        yield f"{title} ({number} of {len(parts)})" if len(parts) > 1 else title, [*baseline, *part]


def ablation_costs(comparison: Comparison, variants: Sequence[Variant]) -> dict[str, dict[str, list[float]]]:
    """Returns dB of RGB PSNR that every ablation costs, by model and missing parts: one value per CRF label, NaN if unknown."""
    scores = {(mean.row, mean.crf): mean.values["psnr_rgb"] for mean in comparison.means()}
    costs: dict[str, dict[str, list[float]]] = {}
    for variant in variants:
        full = replace(variant, ablations=NO_ABLATIONS, is_ablation=False).name
        if not variant.ablations.names or all((full, label) not in scores for label in comparison.labels):
            continue
        lost = []
        for label in comparison.labels:
            whole, part = scores.get((full, label)), scores.get((variant.name, label))
            lost.append(math.nan if whole is None or part is None else whole - part)
        parts = " and ".join(_PARTS.get(part, part.replace("_", " ")) for part in variant.ablations.names)
        costs.setdefault(full, {})[f"without {parts}"] = lost
    return costs


def _ablation_charts(
    comparison: Comparison, variants: list[Variant], names: dict[str, str]
) -> Iterator[tuple[str, str]]:
    labels = comparison.labels
    for full, costs in ablation_costs(comparison, variants).items():
        order = sorted(costs.items(), key=lambda item: -max((v for v in item[1] if math.isfinite(v)), default=0.0))
        for start in range(0, len(labels), MAX_LINES):
            part = slice(start, start + MAX_LINES)
            kinds = [label.replace("CRF", "CRF ") for label in labels[part]]
            title = f"What every part of {names.get(full, full)} is worth"
            yield title, bar_chart([(name, lost[part]) for name, lost in order], kinds, "dB of PSNR lost without it")
