"""The table of what ``bench_estimates.py`` measured, and the goal of its figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

GOAL = 0.3  # share by which an estimate may differ from what is made
_NAMES = {"demo": "title card", "360p": "10 minutes", "720p": "1 minute"}
_WHAT = {"bytes": "size", "processor_seconds": "processor time"}


def table(content: dict[str, Any]) -> str:
    """One row per input and model: expected and made sizes and processor times."""
    lines = [
        "| input | model | size: expected, made | error | processor time: expected, made | error |",
        "|---|---|---|---|---|---|",
    ]
    for row in content["rows"]:
        size, time = row["bytes"], row["processor_seconds"]
        cells = (
            f"{_NAMES[row['input']]}, {row['width']}x{row['height']}, {row['frames']:,} frames", row["model"],
            f"{size['expected'] / 1e6:.1f}, {size['made'] / 1e6:.1f} MB", f"{size['error']:+.0%}",
            f"{time['expected']:,.0f}, {time['made']:,.0f} s", f"{time['error']:+.0%}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def faults(content: dict[str, Any]) -> Iterator[str]:
    """Yields a line for each input without a row, and for each estimate that is farther off than the goal."""
    yield from (f"{name}: not measured" for name in _NAMES if name not in {row["input"] for row in content["rows"]})
    for row in content["rows"]:
        for key, what in _WHAT.items():
            if abs(row[key]["error"]) > GOAL:
                yield f"{row['input']}, {row['model']}: {what} is {row[key]['error']:+.0%} off, more than {GOAL:.0%}"
