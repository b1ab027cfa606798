"""The tables of a comparison as text, for the terminal, Markdown and HTML."""

from __future__ import annotations

import math
from dataclasses import dataclass

from codecvsr.compare.comparison import Comparison, Mean
from codecvsr.compare.measurements import Measurement
from codecvsr.metrics.artifacts import LABELS

NOTHING = "-"  #: stands for a missing value
UNTRAINED = "untrained"  #: the note of rows with random weights


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: heading.
        header: names of its columns.
        lines: rows of text, one text per column.
        best: (line, column) of the best values.
        words: number of columns on the left with words; the last column, notes, has words too.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    words: int = 1


def means_table(comparison: Comparison, label: str) -> Table:
    """Returns the table of means over the clips at one CRF."""
    means = {mean.row: mean for mean in comparison.means() if mean.crf == label}
    clips = [clip for clip in comparison.clips if clip.label == label]
    frames = {clip.length(comparison.settings.frames) for clip in clips}
    extras = [name for name in EXTRAS if any(mean.values[name] is not None for mean in means.values())]
    header = ["model", "rank", "PSNR RGB", "SSIM RGB", "PSNR Y", "SSIM Y", *(EXTRAS[name] for name in extras)]
    header += ["parameters", "GMACs", "ms/frame", "peak MiB", "note"]
    lines = []
    for variant in comparison.variants:
        mean = means.get(variant.name)
        if mean is None:
            lines.append((variant.name, *[NOTHING] * (len(header) - 2), "failed"))
            continue
        measurement = next(m for m in comparison.measurements if m.row == variant.name)
        extra_scores = [_number(mean.values[name], 3) for name in extras]
        scores = [_number(mean.values[name], digits) for name, digits in _DIGITS]
        cost = [f"{measurement.parameters:,}", _gmacs(mean.values["gmacs"])]
        cost += [_number(mean.values["ms_per_frame"], 1), _number(mean.values["peak_memory_mb"], 0)]
        rank = NOTHING if mean.rank is None else str(mean.rank)
        lines.append((variant.name, rank, *scores, *extra_scores, *cost, _note(measurement, mean, len(clips))))
    size = f"{min(frames)}" if len(frames) == 1 else f"{min(frames)} to {max(frames)}"
    names = ", ".join(clip.name for clip in clips)
    title = f"{label}: mean over {names}; {size} frames of each"
    return Table(title, tuple(header), tuple(lines), _best(comparison, label, means))


_FAULTS = tuple(name for name, _ in LABELS.values())


def artifacts_table(comparison: Comparison, label: str) -> Table | None:
    """Returns the table of faults that PSNR does not see at one CRF, the originals' own values first; None without any."""
    means = [mean for mean in comparison.means() if mean.crf == label and mean.artifacts is not None]
    same_size = {m.row for m in comparison.measurements if m.scale == 1}
    sides = [("original", mean.artifacts["originals"], "its own values") for mean in means[:1] if mean.artifacts]
    for mean in means:
        if mean.artifacts:
            note = "same size, against the shrunken original" if mean.row in same_size else ""
            sides.append((mean.row, mean.artifacts["pictures"], note))
    lines = [(name, *(_number(values[key], 2) for key in LABELS), note) for name, values, note in sides]
    title = (
        f"{label}: faults that PSNR does not see, in 8-bit steps, the lattice in dB; the original's values are the aim"
    )
    return Table(title, ("model", *_FAULTS, "note"), tuple(lines)) if lines else None


def artifacts_by_clip_table(comparison: Comparison) -> Table | None:
    """Returns the table of faults of every variant on every clip, the originals' own values first; None without any."""
    lines = []
    for clip in comparison.clips:
        measurements = [m for v in comparison.variants if (m := comparison.measurement(v.name, clip.key)) is not None]
        found = [(m.row, m.artifacts) for m in measurements if m.artifacts is not None]
        place = (clip.name, clip.label.removeprefix("CRF"))
        sides = [("original", values["originals"]) for _, values in found[:1]]
        sides += [(row, values["pictures"]) for row, values in found]
        lines += [(name, *place, *(_number(values[key], 2) for key in LABELS), "") for name, values in sides]
    header = ("model", "clip", "CRF", *_FAULTS, "")
    return Table("Faults on every clip", header, tuple(lines), words=2) if lines else None


def summary_table(comparison: Comparison) -> Table:
    """Returns one line per variant, ablations below their model: RGB PSNR and SSIM at every CRF, and the time per frame."""
    means = {(mean.row, mean.crf): mean for mean in comparison.means()}
    best = {
        label: max((m.values["psnr_rgb"] or 0.0 for m in means.values() if m.crf == label and m.rank), default=0.0)
        for label in comparison.labels
    }
    header = ("model", *(label.replace("CRF", "CRF ") for label in comparison.labels), "ms/frame", "note")
    lines, marked = [], set()
    for row, variant in enumerate(comparison.variants):
        own = [means.get((variant.name, label)) for label in comparison.labels]
        known = [mean for mean in own if mean is not None]
        name = f"  {variant.name.removeprefix(variant.model)}" if variant.is_ablation else variant.name
        if not known:
            lines.append((name, *[NOTHING] * (len(header) - 2), "failed"))
            continue
        measurement = next(m for m in comparison.measurements if m.row == variant.name)
        scores = [_score(mean) for mean in own]
        marked |= {
            (row, column)
            for column, (label, mean) in enumerate(zip(comparison.labels, own, strict=True), 1)
            if mean is not None
            and mean.rank
            and mean.values["psnr_rgb"] == best[label]
            and len(comparison.variants) > 1
        }
        times = [value for mean in known if (value := mean.values["ms_per_frame"]) is not None]
        fewest = min(known, key=lambda mean: mean.clips)
        clips = sum(clip.label == fewest.crf for clip in comparison.clips)
        pace = _number(sum(times) / len(times), 1)
        lines.append((name, *scores, pace, _note(measurement, fewest, clips, with_motion=False)))
    if not any(line[-1] for line in lines):  # narrow enough for a line per model on a terminal
        header, lines = header[:-1], [line[:-1] for line in lines]
    names = list(dict.fromkeys(clip.name for clip in comparison.clips))
    over = f"means over {len(names)} clips" if len(names) > 1 else names[0]
    return Table(f"PSNR in dB and SSIM, RGB; {over}", header, tuple(lines), frozenset(marked))


def _score(mean: Mean | None) -> str:
    if mean is None or mean.values["psnr_rgb"] is None:
        return NOTHING
    return f"{_number(mean.values['psnr_rgb'], 2)} {_number(mean.values['ssim_rgb'], 4)}"


#: Optional scores and their columns; lower is better.
EXTRAS = {"lpips": "LPIPS", "warping_error": "warping error"}
_DIGITS = (("psnr_rgb", 3), ("ssim_rgb", 4), ("psnr_y", 3), ("ssim_y", 4))


def measurements_table(comparison: Comparison) -> Table:
    """Returns the table of every variant on every clip, with the reason of every failure."""
    extras = [name for name in EXTRAS if any(getattr(m, name) is not None for m in comparison.measurements)]
    header = ["model", "clip", "CRF", "frames", "PSNR RGB", "SSIM RGB", "PSNR Y", "SSIM Y"]
    header += [EXTRAS[name] for name in extras]
    header += ["parameters", "GMACs", "ms/frame", "peak MiB", "note"]
    names = [clip.name for clip in comparison.clips]
    is_ambiguous = len({(clip.name, clip.label) for clip in comparison.clips}) < len(names)
    errors = {(failure.row, failure.clip): failure.error for failure in comparison.failed}
    lines = []
    for variant in comparison.variants:
        if (variant.name, "") in errors:
            lines.append(
                (variant.name, "every clip", *[NOTHING] * (len(header) - 3), f"failed: {errors[variant.name, '']}")
            )
            continue
        for clip in comparison.clips:
            place = clip.key if is_ambiguous else clip.name
            rate = clip.label.removeprefix("CRF")
            measurement = comparison.measurement(variant.name, clip.key)
            if measurement is None:
                reason = errors.get((variant.name, clip.key), "not measured")
                lines.append((variant.name, place, rate, *[NOTHING] * (len(header) - 4), f"failed: {reason}"))
                continue
            extra_scores = [
                _warping_error(measurement) if name == "warping_error" else _number(getattr(measurement, name), 3)
                for name in extras
            ]
            scores = [_number(getattr(measurement, name), digits) for name, digits in _DIGITS]
            cost = [f"{measurement.parameters:,}", _gmacs(measurement.gmacs)]
            cost += [_number(measurement.ms_per_frame, 1), _number(measurement.peak_memory_mb, 0)]
            lines.append(
                (variant.name, place, rate, str(measurement.frames), *scores, *extra_scores, *cost, _note(measurement))
            )
    return Table("Every clip", tuple(header), tuple(lines), words=2)


def _note(measurement: Measurement, mean: Mean | None = None, clips: int = 0, *, with_motion: bool = True) -> str:
    notes = [UNTRAINED] if measurement.training == UNTRAINED else []
    notes += [f"motion {measurement.motion}"] if with_motion and measurement.motion != "none" else []
    notes += ["same size, against the shrunken original"] if measurement.scale == 1 else []
    notes += [f"only {mean.clips} of {clips} clips"] if mean is not None and mean.clips < clips else []
    return ", ".join(notes)


def _best(comparison: Comparison, label: str, means: dict[str, Mean]) -> frozenset[tuple[int, int]]:
    """Returns (line, column) of the highest scores among ranked variants."""
    found = set()
    ranked = [(line, means[variant.name]) for line, variant in enumerate(comparison.variants) if variant.name in means]
    ranked = [(line, mean) for line, mean in ranked if mean.rank is not None]
    for column, (name, _) in enumerate(_DIGITS, 2):
        highest = max((mean.values[name] or 0.0 for _, mean in ranked), default=None)
        found |= {(line, column) for line, mean in ranked if mean.values[name] == highest}
    return frozenset(found) if len(ranked) > 1 else frozenset()


def _number(value: float | None, digits: int) -> str:
    if value is None or math.isnan(value):
        return NOTHING
    return f"{value:.{digits}f}"


def _gmacs(value: float | None) -> str:
    return NOTHING if value is None else "0" if value == 0 else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _warping_error(measurement: Measurement) -> str:
    if measurement.warping_error is None:
        return NOTHING
    return f"{measurement.warping_error:.3f} (original {_number(measurement.warping_error_original, 3)})"


def markdown_table(table: Table) -> str:
    """Returns a table in Markdown with the best values in bold."""
    last = len(table.header) - 1
    rule = ["---" if column < table.words or column == last else "--:" for column in range(last + 1)]
    lines = []
    for index, texts in enumerate(table.lines):
        safe = [text.replace("|", "\\|") for text in texts]
        lines.append([f"**{text}**" if (index, column) in table.best else text for column, text in enumerate(safe)])
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(table.header), rule, *lines])
