#!/usr/bin/env python3
"""Experiments without training, on any model that recurs over a clip: table, plots and pictures of each.

    codecvsr models fetch basicvsr-reds4
    python scripts/experiments.py segments     # the clip cut into 1, 2, 4, 8 parts: what long-term information is worth
    python scripts/experiments.py windows      # every frame from the 5, 7 or 11 frames around it, or from all
    python scripts/experiments.py alignment    # no alignment, raw vectors, repaired codec motion, DIS, SPyNet

Each compresses the clips of --hr-root (the demo clip) at --crf unless that was done before, and writes NAME.html, NAME.md
and NAME.json to --out. Measured cells are kept there: a run that was stopped goes on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from codecvsr.cli.common import CodecVSRCommand, device_option, info
from codecvsr.cli.output import jsonable
from codecvsr.compare.cells import Settings
from codecvsr.compare.comparison import Comparison
from codecvsr.compare.report import write_report
from codecvsr.compare.run import compare
from codecvsr.compare.tables import markdown_table, means_table
from codecvsr.errors import InputError
from codecvsr.files import atomic_file
from codecvsr.models.zoo import load_model
from codecvsr.pipeline.benchmark import BenchmarkSettings, crf_label, make_benchmark, parse_crfs
from codecvsr.pipeline.hr_sources import find_sources

ROOT = Path(__file__).resolve().parents[1]
SEGMENTS = (1, 2, 4, 8)
WINDOWS = (5, 7, 11)


def rows_of(experiment: str, model: str) -> list[str]:
    """What ``codecvsr compare --models`` would be given."""
    if experiment == "segments":
        return [f"{model}+segments={count}" for count in SEGMENTS]
    if experiment == "windows":
        return [*(f"{model}+window={length}" for length in WINDOWS), model]
    kinds = load_model(model).motion
    if not kinds:
        raise InputError(f"{model}: uses no motion; choose a model that does.")
    return [f"{model}@{kind}" for kind in ("zero", "raw", "codec", "dis", "spynet") if kind in kinds]


def prepare(hr_root: Path, out: Path, crf: str) -> list[Path]:
    """The benchmark folders, made where they are missing."""
    name = hr_root.resolve().name.removesuffix("_GT")
    folders = []
    for rate in parse_crfs(crf):
        folder = out / "clips" / f"{name}_{crf_label(rate)}"
        missing = [s.name for s in find_sources(hr_root) if not (folder / s.name / "meta.json").is_file()]
        if missing:
            made = make_benchmark(hr_root, out / "clips", BenchmarkSettings(crfs=(rate,)), clips=missing)
            if made.failed:
                raise InputError(f"{hr_root}: {made.failed[0].clip} was not made: {made.failed[0].error}")
        folders.append(folder)
    return folders


@click.command(cls=CodecVSRCommand, help=__doc__)
@click.argument("experiment", type=click.Choice(["segments", "windows", "alignment"]))
@click.option("--model", default="basicvsr-reds4", show_default=True, help="A name, a weights file, or NETWORK:random.")
@click.option("--hr-root", type=click.Path(path_type=Path), default=ROOT / "inputs", help="Originals.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/experiments"), show_default=True)
@click.option("--crf", default="25", show_default=True, help="Rate factors, comma-separated.")
@click.option("--frames", type=click.IntRange(min=0), default=24, show_default=True, help="Of each clip; 0: all.")
@device_option
def main(experiment: str, model: str, hr_root: Path, out: Path, crf: str, frames: int, device: str) -> int:
    """Run one experiment."""
    rows = rows_of(experiment, model)
    folders = prepare(hr_root, out, crf)
    result = compare(folders, hr_root, rows, settings=Settings(frames=frames, device=device), out_dir=out / "measured")
    write(result, out, experiment)
    for label in result.labels:
        table = means_table(result, label)
        click.echo(f"\n{table.title}\n\n{markdown_table(table)}")
    for failure in result.failed:
        info(f"{failure.row}: {failure.error}")
    return 0 if not result.failed else 1 if result.all_failed() else 3


def write(result: Comparison, out: Path, name: str) -> None:
    """The reports and the figures themselves."""
    values = jsonable(result.to_json())
    for suffix in (".html", ".md"):
        write_report(out / f"{name}{suffix}", result, values)
    with atomic_file(out / f"{name}.json") as part:
        part.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    info(f"Written: {out / name}.html, .md and .json")


if __name__ == "__main__":
    main.main(sys.argv[1:], prog_name="experiments.py")
