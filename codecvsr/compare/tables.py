"""The tables of a comparison as text, for the terminal, Markdown and HTML alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

from codecvsr.compare.comparison import Comparison, Mean
from codecvsr.compare.measurements import Cell

NOTHING = "-"  #: where there is no value
UNTRAINED = "untrained"  #: the note of rows with random weights


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: what it holds.
        header: names of its columns.
        lines: as many texts each.
        best: (line, column) of the best values.
        words: how many columns from the left hold words, not numbers; the last one, notes, does too.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    words: int = 1


def means_table(comparison: Comparison, label: str) -> Table:
    """Means over the clips at one CRF."""
    means = {mean.row: mean for mean in comparison.means() if mean.crf == label}
    clips = [clip for clip in comparison.clips if clip.label == label]
    frames = {clip.length(comparison.settings.frames) for clip in clips}
    extras = [name for name in EXTRAS if any(mean.values[name] is not None for mean in means.values())]
    header = ["model", "rank", "PSNR RGB", "SSIM RGB", "PSNR Y", "SSIM Y", *(EXTRAS[name] for name in extras)]
    header += ["parameters", "GMACs", "ms/frame", "peak MiB", "note"]
    lines = []
    for row in comparison.rows:
        mean = means.get(row.name)
        if mean is None:
            lines.append((row.name, *[NOTHING] * (len(header) - 2), "failed"))
            continue
        cell = next(cell for cell in comparison.cells if cell.row == row.name)
        also = [_number(mean.values[name], 3) for name in extras]
        scores = [_number(mean.values[name], digits) for name, digits in _DIGITS]
        cost = [f"{cell.parameters:,}", _gmacs(mean.values["gmacs"])]
        cost += [_number(mean.values["ms_per_frame"], 1), _number(mean.values["peak_memory_mb"], 0)]
        rank = NOTHING if mean.rank is None else str(mean.rank)
        lines.append((row.name, rank, *scores, *also, *cost, _note(cell, mean, len(clips))))
    size = f"{min(frames)}" if len(frames) == 1 else f"{min(frames)} to {max(frames)}"
    names = ", ".join(clip.name for clip in clips)
    title = f"{label}: mean over {names}; {size} frames of each"
    return Table(title, tuple(header), tuple(lines), _best(comparison, label, means))


#: Scores that are measured where they are asked for, and their columns; lower is better.
EXTRAS = {"lpips": "LPIPS", "warping_error": "warping error"}
_DIGITS = (("psnr_rgb", 3), ("ssim_rgb", 4), ("psnr_y", 3), ("ssim_y", 4))


def cells_table(comparison: Comparison) -> Table:
    """Every row on every clip, those that failed with the reason."""
    extras = [name for name in EXTRAS if any(getattr(cell, name) is not None for cell in comparison.cells)]
    header = ["model", "clip", "CRF", "frames", "PSNR RGB", "SSIM RGB", "PSNR Y", "SSIM Y"]
    header += [EXTRAS[name] for name in extras]
    header += ["parameters", "GMACs", "ms/frame", "peak MiB", "note"]
    names = [clip.name for clip in comparison.clips]
    is_ambiguous = len({(clip.name, clip.label) for clip in comparison.clips}) < len(names)
    errors = {(failure.row, failure.clip): failure.error for failure in comparison.failed}
    lines = []
    for row in comparison.rows:
        if (row.name, "") in errors:
            lines.append((row.name, "every clip", *[NOTHING] * (len(header) - 3), f"failed: {errors[row.name, '']}"))
            continue
        for clip in comparison.clips:
            place = clip.key if is_ambiguous else clip.name
            rate = clip.label.removeprefix("CRF")
            cell = comparison.cell(row.name, clip.key)
            if cell is None:
                said = errors.get((row.name, clip.key), "not measured")
                lines.append((row.name, place, rate, *[NOTHING] * (len(header) - 4), f"failed: {said}"))
                continue
            also = [_steady(cell) if name == "warping_error" else _number(getattr(cell, name), 3) for name in extras]
            scores = [_number(getattr(cell, name), digits) for name, digits in _DIGITS]
            cost = [f"{cell.parameters:,}", _gmacs(cell.gmacs)]
            cost += [_number(cell.ms_per_frame, 1), _number(cell.peak_memory_mb, 0)]
            lines.append((row.name, place, rate, str(cell.frames), *scores, *also, *cost, _note(cell)))
    return Table("Every clip", tuple(header), tuple(lines), words=2)


def _note(cell: Cell, mean: Mean | None = None, clips: int = 0) -> str:
    notes = [UNTRAINED] if cell.training == UNTRAINED else []
    notes += [] if cell.motion == "none" else [f"motion {cell.motion}"]
    notes += ["same size, against the shrunken original"] if cell.scale == 1 else []
    notes += [f"only {mean.clips} of {clips} clips"] if mean is not None and mean.clips < clips else []
    return ", ".join(notes)


def _best(comparison: Comparison, label: str, means: dict[str, Mean]) -> frozenset[tuple[int, int]]:
    """The highest scores among rows that have a rank."""
    found = set()
    ranked = [(line, means[row.name]) for line, row in enumerate(comparison.rows) if row.name in means]
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


def _steady(cell: Cell) -> str:
    if cell.warping_error is None:
        return NOTHING
    return f"{cell.warping_error:.3f} (original {_number(cell.warping_error_original, 3)})"


def markdown_table(table: Table) -> str:
    """A table in Markdown, the best values bold."""
    last = len(table.header) - 1
    rule = ["---" if column < table.words or column == last else "--:" for column in range(last + 1)]
    lines = []
    for index, texts in enumerate(table.lines):
        safe = [text.replace("|", "\\|") for text in texts]
        lines.append([f"**{text}**" if (index, column) in table.best else text for column, text in enumerate(safe)])
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(table.header), rule, *lines])
