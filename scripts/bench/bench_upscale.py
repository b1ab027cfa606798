#!/usr/bin/env python3
"""Measure what `codecvsr upscale` promises, and write the results file.

    python scripts/training/fetch_clips.py clips
    python scripts/bench/bench_upscale.py --clips clips/val

Parts: `memory` (a long video against a short one), `streamed` (chunks against the clip as a whole), `companion` (inputs
without vectors against H.264), `kills` (kill -9 at random moments), `containers` (the tests of the container matrix) and
`workers` (two processes, and two Ray nodes, against one). Every measurement has a key that names the weights
it depends on: those that the results file already has are not repeated, so the command can be stopped and run again.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from results_files import with_this_command, write_results
from upscale_measurements import containers, killed, peak_memory, proxy, streamed, workers

from codecvsr.datasets.benchmark import make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings, crf_label
from codecvsr.models.zoo import load_model
from codecvsr.versions import versions

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "scripts" / "results" / "upscale.json"
PARTS = ("memory", "streamed", "companion", "kills", "containers", "workers")
KILLS_AT_ONCE = 5  # in one measurement
Measurements = dict[str, dict[str, Any]]


@click.command(help=__doc__)
@click.option("--clips", type=click.Path(path_type=Path), required=True, help="Folder of validation clips.")
@click.option(
    "--work", type=click.Path(path_type=Path), default=Path("bench"), show_default=True, help="Scratch folder."
)
@click.option("--parts", default=",".join(PARTS), show_default=True, help="What to measure.")
@click.option("-m", "--model", default="codecvsr", show_default=True, help="A name or weights file.")
@click.option("--names", default="", help="Comma-separated clips; all by default.")
@click.option("--frames", type=int, default=96, show_default=True, help="Of each clip, for streamed and companion.")
@click.option("--crf", type=float, default=25, show_default=True, help="Of the clips, for streamed and companion.")
@click.option("--chunks", default="24,48", show_default=True, help="Frames of a chunk, for streamed.")
@click.option("--memory", default="bicubic:30,bicubic:600", show_default=True,
              help="MODEL:SECONDS of the 360p videos, for memory.")  # fmt: skip
@click.option("--memory-fps", type=int, default=24, show_default=True, help="Their frames per second.")
@click.option("--memory-chunk", type=int, default=0, show_default=True, help="Their chunks: 0 for as long as usual.")
@click.option("--kills", type=int, default=20, show_default=True, help="How many processes are killed.")
@click.option("--ray/--no-ray", default=True, show_default=True, help="Measure workers on a local Ray cluster, too.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def main(
    clips: Path, work: Path, parts: str, model: str, names: str, frames: int, crf: float, chunks: str, memory: str,
    memory_fps: int, memory_chunk: int, kills: int, ray: bool, results: Path,
) -> None:  # fmt: skip
    """Measures what is missing."""
    wanted = parts.split(",")
    if unknown := set(wanted) - set(PARTS):
        raise click.BadParameter(f"no such part: {', '.join(sorted(unknown))}.")
    work.mkdir(parents=True, exist_ok=True)
    stored = json.loads(results.read_text()) if results.is_file() else {"cells": [], "commands": []}
    measurements: Measurements = {measurement["key"]: measurement for measurement in stored["cells"]}
    weights = load_model(model).sha256 or model

    def measurement(part: str, key: str, make: Callable[[], dict[str, Any]]) -> None:
        key = f"{part} {key}"
        if key not in measurements:
            begun = time.monotonic()
            made = make()
            measurements[key] = {"key": key, "part": part, **made, "cell_seconds": round(time.monotonic() - begun, 1)}
            click.echo(json.dumps(measurements[key]))
            save(results, measurements, stored["commands"], weights)

    chosen = names.split(",") if names else sorted(path.stem for path in clips.glob("*.mp4"))
    bench = work / f"{clips.name}_{crf_label(crf)}"
    if {"streamed", "companion"} & set(wanted):
        missing = [name for name in chosen if not (bench / name / "meta.json").is_file()]
        if missing:
            make_benchmark(clips, work, BenchmarkSettings(crfs=(crf,)), clips=missing)
    tag = weights[:12]
    for part in wanted:
        if part == "memory":
            for name, seconds in (item.rsplit(":", 1) for item in memory.split(",")):
                key = f"{name} {(load_model(name).sha256 or '-')[:12]} 640x360 {seconds} s at {memory_fps} chunk {memory_chunk}"
                measurement(
                    part, key, lambda n=name, s=int(seconds): peak_memory(clips, work, n, s, memory_fps, memory_chunk)
                )
        elif part == "streamed":
            for name in chosen:
                for chunk in map(int, chunks.split(",")):
                    key = f"{name} {crf_label(crf)} {frames} chunk {chunk} {tag}"
                    measurement(part, key, lambda n=name, c=chunk: streamed(clips, bench / n, work, model, c, frames))
        elif part == "companion":
            for name in chosen:
                key = f"{name} {crf_label(crf)} {frames} {tag}"
                measurement(part, key, lambda n=name: proxy(clips, bench / n, work, model, frames))
        elif part == "kills":
            for first in range(0, kills, KILLS_AT_ONCE):
                count = min(KILLS_AT_ONCE, kills - first)
                measurement(
                    part, f"{first} to {first + count - 1}", lambda f=first, c=count: killed(clips, work, c, seed=f)
                )
        elif part == "containers":
            measurement(part, "matrix", containers)
        else:
            for how in ("processes", *(["ray"] if ray else [])):
                measurement(part, how, lambda h=how: workers(clips, work, h))
    save(results, measurements, stored["commands"], weights)


def save(results: Path, measurements: Measurements, commands: list[str], weights: str) -> None:
    """Writes the results file."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    content = {
        "commands": with_this_command(commands),
        "machine": f"{os.cpu_count()} CPU cores, {platform.machine()}, {memory:.0f} GiB; other jobs ran at the same time",
        "versions": versions(),
        "weights_sha256": weights,
        "cells": sorted(
            measurements.values(), key=lambda measurement: (PARTS.index(measurement["part"]), measurement["key"])
        ),
    }
    write_results(results, content)


if __name__ == "__main__":
    main()
