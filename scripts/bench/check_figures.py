#!/usr/bin/env python3
"""Check the committed figures: README and docs say what the results files say, and those are complete and meet their goals.

python scripts/bench/check_figures.py            # CI runs this; exits with 1 and one line per fault
python scripts/bench/check_figures.py --write    # first write the tables of README and docs from scripts/results
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bars_table
import click
import estimates_table
import live_table
import motion_table
import mpeg_motion_table
import quality_tables
import skipping_table
import speed_table
import upscale_table
from doc_parts import read_part, replace_part

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "scripts" / "results"
Results = dict[str, dict[str, Any]]

#: Marker -> page and text, made from all results files by name.
PARTS: dict[str, tuple[str, Callable[[Results], str]]] = {
    "summary": (
        "README.md",
        lambda r: f"{quality_tables.summary(r['compare'], r['compare_best'])}\n\n{speed_table.summary(r['speed'])}",
    ),
    "quality": (
        "docs/results.md",
        lambda r: f"{quality_tables.scores(r['quality'])}\n\n{quality_tables.gains(r['quality'])}",
    ),
    "compare": (
        "docs/results.md",
        lambda r: "\n\n".join(
            (
                quality_tables.scores(r["compare"]),
                quality_tables.scores(r["compare_demo"]),
                quality_tables.costs(r["compare"]),
            )
        ),
    ),
    "fast": (
        "docs/results.md",
        lambda r: f"{quality_tables.scores(r['compare_fast'])}\n\n{quality_tables.costs(r['compare_fast'])}",
    ),
    "range": ("docs/results.md", lambda r: quality_tables.smallest_gains(r["compare_range"])),
    "bars": ("docs/results.md", lambda r: bars_table.table(r["bars"])),
    "long": (
        "docs/results.md",
        lambda r: f"{quality_tables.scores(r['compare_96'])}\n\n{quality_tables.ahead(r['compare_96'])}",
    ),
    "best": (
        "docs/results.md",
        lambda r: "\n\n".join(
            (
                quality_tables.scores(r["compare_best"]),
                quality_tables.best_over(r["compare_best"], r["compare"]),
                quality_tables.scores(r["compare_best_96"]),
            )
        ),
    ),
    "live": ("docs/live.md", lambda r: live_table.table(r["live"])),
    "motion": ("docs/results.md", lambda r: motion_table.table(r["motion"]["cells"])),
    "mpeg": ("docs/results.md", lambda r: mpeg_motion_table.table(r["mpeg_motion"]["cells"])),
    "upscale": ("docs/results.md", lambda r: upscale_table.findings(r["upscale"])),
    "estimates": ("docs/upscale.md", lambda r: estimates_table.table(r["estimates"])),
    "speed": ("docs/speed.md", lambda r: speed_table.report(r["speed"])),
    "skipping": ("docs/speed.md", lambda r: skipping_table.table(r["skipping"])),
}


def read_results() -> Results:
    """Returns every results file by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}


def stale_parts(results: Results) -> Iterator[str]:
    """Yields a line for each generated part that differs from the results files."""
    for name, (page, make) in PARTS.items():
        if read_part(ROOT / page, name) != make(results).strip():
            yield f"{page}: {name} differs from scripts/results; run python scripts/bench/check_figures.py --write"


def unknown_origins(results: Results) -> Iterator[str]:
    """Yields a line for each file that does not say how, with which versions and on what kind of machine it was made."""
    for name, content in results.items():
        about = content.get("protocol") if isinstance(content.get("protocol"), dict) else content
        machines = content.get("machines", {})
        known = {
            "command": content.get("command") or content.get("commands"),
            "versions": about.get("versions") or (machines and all(each.get("versions") for each in machines.values())),
            "machine": about.get("machine") or machines,
        }
        for what, value in known.items():
            if not value:
                yield f"scripts/results/{name}.json: has no {what}; make it again with the command in docs/benchmarking.md"
        if content.get("failed"):
            yield f"scripts/results/{name}.json: rows failed in this run; make it again"


def missed_goals(results: Results) -> Iterator[str]:
    """Yields a line for each figure that misses what `upscale`, its estimates and `speed` must meet."""
    yield from (f"scripts/results/upscale.json: {fault}" for fault in upscale_table.faults(results["upscale"]))
    yield from (f"scripts/results/estimates.json: {fault}" for fault in estimates_table.faults(results["estimates"]))
    yield from (f"scripts/results/speed.json: {fault}" for fault in speed_table.faults(results["speed"]))


@click.command(help=__doc__)
@click.option("--write", is_flag=True, help="Write the tables first.")
def main(write: bool) -> None:
    """Checks, or writes and checks."""
    results = read_results()
    for name, (page, make) in PARTS.items() if write else ():
        replace_part(ROOT / page, name, make(results))
    faults = [*stale_parts(results), *unknown_origins(results), *missed_goals(results)]
    if faults:
        sys.exit("\n".join(faults))
    click.echo(f"{len(PARTS)} tables agree with {len(results)} results files")


if __name__ == "__main__":
    main()
