#!/usr/bin/env python3
"""The plot of speed, from what ``bench_speed.py`` measured.

python scripts/bench/speed_plot.py     # draws docs/speed.png from scripts/results/speed.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from speed_table import clock, frame_size, roofline_ms, title

ROOT = Path(__file__).resolve().parents[2]
_OURS, _OTHERS, _INK = "#d55e00", "#0072b2", "#333333"


def draw(content: dict[str, Any], path: Path) -> None:
    """Draws the milliseconds per frame of every network as points, a panel for each machine and size.

    A tick is the roofline of a network; one without measured rates of the machine at its precision has none.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    measurements = [measurement for measurement in content["cells"] if measurement["part"] == "net"]
    if not measurements:
        return
    heights = [0.42 * len(measurement["models"]) + 0.9 for measurement in measurements]
    figure, axes = pyplot.subplots(
        len(measurements),
        1,
        figsize=(9, sum(heights) + 0.3),
        squeeze=False,
        gridspec_kw={"height_ratios": heights},
        layout="constrained",
    )
    for axis, measurement in zip(axes[:, 0], measurements, strict=True):
        of_machine = [each for each in content["cells"] if each["machine"] == measurement["machine"]]
        models = dict(sorted(measurement["models"].items(), key=lambda item: -item[1]["ms"]))
        names = [title(name).replace("*", "").replace("`", "") for name in models]
        limits = rooflines(models, of_machine)
        for place, (name, found) in enumerate(models.items()):
            color = _OURS if name.startswith("codecvsr") else _OTHERS
            axis.plot(found["ms"], place, "o", color=color, markersize=9)
            digits = 0 if found["ms"] > 99 else 1
            words = f"{found['ms']:,.{digits}f} ms, {found['precision']}"
            axis.annotate(words, (found["ms"], place), (10, 0), textcoords="offset points", va="center", color=_INK)
        if limits:
            axis.plot(list(limits.values()), list(limits), "k|", markersize=16, markeredgewidth=1.5, label="roofline")
            axis.legend(loc="upper right", frameon=False)
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.set_xscale("log")
        times = [found["ms"] for found in models.values()]
        axis.set_xlim(min([*times, *limits.values()]) / 2, max(times) * 10)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axis.grid(axis="x", color="#dddddd")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_title(f"{frame_size(measurement)} enlarged by 4 on {measurement['machine']}", loc="left", fontsize=11)
        axis.set_xlabel(f"{clock(measurement)} (logarithmic)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def rooflines(models: dict[str, Any], measurements: list[dict[str, Any]]) -> dict[int, float]:
    """Returns the roofline in milliseconds by place in ``models``, of the networks that have one."""
    limits = {place: roofline_ms(found, measurements) for place, found in enumerate(models.values())}
    return {place: limit for place, limit in limits.items() if limit is not None}


@click.command(help=__doc__)
@click.option("--results", type=click.Path(path_type=Path), default=ROOT / "scripts" / "results" / "speed.json")
@click.option("--plot", type=click.Path(path_type=Path), default=ROOT / "docs" / "speed.png")
def main(results: Path, plot: Path) -> None:
    """Draws the plot."""
    draw(json.loads(results.read_text(encoding="utf-8")), plot)


if __name__ == "__main__":
    main()
