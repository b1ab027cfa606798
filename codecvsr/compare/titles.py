"""What a report says about itself: its title, its first sentences, and short names of rows."""

from __future__ import annotations

from collections.abc import Sequence

from codecvsr.compare.comparison import Comparison
from codecvsr.compare.variants import BICUBIC

_NAMED = 3  # models in a title; of more, the number is given


def short_names(rows: Sequence[str]) -> dict[str, str]:
    """Returns names for legends: a path without its folders, as long as no two rows end up with one name."""
    short = {row: row.rsplit("/", 1)[-1].replace(".safetensors", "") for row in rows}
    taken = list(short.values())
    return {row: name if taken.count(name) == 1 else row for row, name in short.items()}


def report_title(comparison: Comparison) -> str:
    """Returns a title such as ``codecvsr and bicubic on 4 clips at CRF 15, 25 and 35``."""
    rows = [variant.name for variant in comparison.variants if not variant.is_ablation]
    names = short_names(rows)
    models = [names[row] for row in rows if row != BICUBIC]
    who = _list([*models, BICUBIC]) if len(models) <= _NAMED else f"{len(models)} models and bicubic"
    clips = list(dict.fromkeys(clip.name for clip in comparison.clips))
    rates = [label.removeprefix("CRF") for label in comparison.labels]
    known = [rate for rate in rates if rate not in ("none", "?")]
    at = [f"CRF {_list(known)}"] if known else []
    at += ["no compression"] if "none" in rates else []
    at += ["unknown CRFs"] if "?" in rates else []
    return f"{who} on {_list(clips) if len(clips) <= _NAMED else f'{len(clips)} clips'} at {_list(at)}"


def lead(comparison: Comparison) -> str:
    """Returns the first sentences: what the figures are."""
    rows = f"{len(comparison.variants)} rows" if len(comparison.variants) > 1 else "One row"
    lengths = {clip.length(comparison.settings.frames) for clip in comparison.clips}
    frames = f"{min(lengths)}" if len(lengths) == 1 else f"{min(lengths)} to {max(lengths)}"
    untrained = any(comparison.is_untrained(variant.name) for variant in comparison.variants)
    note = (
        " Rows marked 'untrained' have random weights: only their speed and memory can be compared."
        if untrained
        else ""
    )
    return (
        f"{rows}, {frames} frames of every clip. PSNR in dB and SSIM are measured per frame on 8-bit values, then averaged."
        f"{note}"
    )


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
