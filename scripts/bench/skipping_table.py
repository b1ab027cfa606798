#!/usr/bin/env python3
"""The plot and the table of what skipping static blocks saves, from what ``bench_skipping.py`` measured.

python scripts/bench/skipping_table.py     # draws docs/skipping.png from scripts/results/skipping.json
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "scripts" / "results" / "skipping.json"
_COLOURS = {"codecvsr": "#0072b2", "codecvsr-fast": "#d55e00"}


def read_results(results: Path = RESULTS) -> dict[str, Any]:
    """Returns the results so far, empty if there are none."""
    content: dict[str, Any] = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
    return content


def table(content: dict[str, Any]) -> str:
    """Returns the table of all clips."""
    lines = [
        f"On {content['machine']}, one thread, milliseconds of the processor per frame from file to file:",
        "",
        "| clip | network | CRF | `off` | `auto` | times as fast | work done | PSNR, dB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for part in ("static", "moving"):
        for model, clips in content.get(part, {}).items():
            for name, found in clips.items():
                change = "same pictures" if found["same_pictures"] else f"{found['difference_db']:+.3f}"
                lines.append(
                    f"| {name} ({part}) | {model} | {found['crf']} | {found['ms']['off']:.0f} | {found['ms']['auto']:.0f} | "
                    f"{found['ratio']:.2f} | {found['work_share']:.0%} | {change} |"
                )
    return "\n".join([*lines, *_scale(content)])


def _scale(content: dict[str, Any]) -> Iterator[str]:
    """Yields the lines of the table of ``--scale 2`` and 3."""
    if "scale" not in content:
        return
    yield ""
    yield "Sizes below x4, one thread, file to file: resampled from pictures of four times the size, and made directly:"
    yield ""
    yield "| size | network | ms of the processor per frame, resampled | direct | peak memory, MB, resampled | direct |"
    yield "|---|---|---|---|---|---|"
    for model, sizes in content["scale"].items():
        for size, found in sizes.items():
            before, now = found["resampled"], found["direct"]
            columns = [f"{each[key]:.0f}" for key in ("ms", "peak_mb") for each in (before, now)]
            yield f"| {' | '.join([size, model, *columns])} |"


def draw(content: dict[str, Any], path: Path) -> None:
    """Draws the time of the network over the share of blocks that change, with and without skipping."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for model, rows in content["share"].items():
        changed = [100 * row["changed"] for row in rows]
        axis.plot(changed, [row["ms"] for row in rows], "o-", color=_COLOURS.get(model), label=f"{model}, auto")
        axis.plot(changed, [row["off_ms"] for row in rows], ":", color=_COLOURS.get(model), label=f"{model}, off")
    axis.set_xlabel("blocks that change in every frame, % (one rectangle)")
    axis.set_ylabel("ms of the processor per frame, network alone")
    axis.set_ylim(bottom=0)
    axis.set_title(f"320x180 enlarged by 4 on {content['machine'].split(',')[0]}, one thread", loc="left", fontsize=11)
    axis.grid(color="#dddddd")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


@click.command(help=__doc__)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS)
@click.option("--plot", type=click.Path(path_type=Path), default=ROOT / "docs" / "skipping.png")
def main(results: Path, plot: Path) -> None:
    """Draws the plot."""
    draw(read_results(results), plot)


if __name__ == "__main__":
    main()
