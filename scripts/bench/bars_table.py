"""The table of lines drawn between bars, from the results of ``bench_bars.py``."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from quality_tables import title


def table(content: dict[str, Any]) -> str:
    """Mean over the spacings by model, for bars along rows and along columns, and in the gaps of the real fence."""
    cells, fence = content["cells"], content["fence"]
    lines = ["| | bars along rows | bars along columns | a real fence |", "|---|---|---|---|"]
    for model in dict.fromkeys(cell["model"] for cell in cells):
        means = [
            fmean(cell["lines"] for cell in cells if (cell["model"], cell["direction"]) == (model, direction))
            for direction in ("rows", "columns")
        ]
        real = f"{fence[model]:.2f}" if model in fence else "-"
        lines.append(f"| {title(model)} | {means[0]:.2f} | {means[1]:.2f} | {real} |")
    return "\n".join(lines)
