#!/usr/bin/env python3
"""Measure speed, and write the results file and the plot of docs/speed.md.

    python scripts/bench/bench_speed.py                                              # on a CPU: 320x180, a few frames
    python scripts/bench/bench_speed.py --sizes 180x320,270x480,540x960 --repeats 7  # on a GPU: all networks

Parts: `rates` (multiplications and bytes per second, for the roofline), `net` (networks alone, in turn, medians over repeats;
FLOPs and bytes counted), `file` (file to file by `upscale`), `start` (first frame of a cold process), `precision` (what fp16 or bf16
loses, on the clips of --clips at CRF 25) and `profile` (where the time goes). Every measurement has a key that
names machine and weights: those that the results file already has are not repeated, so the command can be stopped and run
again, and the file has several machines side by side. Networks of others have random weights, which are as fast.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from results_files import with_this_command, write_results
from speed_measurements import cold_start, file_to_file, net, precision_loss, profile, rates
from speed_plot import draw
from speed_subjects import THROUGH_ENGINE, machine, machine_label

from codecvsr.datasets.benchmark import make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings
from codecvsr.engine.device import choose_device
from codecvsr.models.zoo import MODELS, load_model
from codecvsr.versions import versions

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "scripts" / "results" / "speed.json"
PARTS = ("rates", "net", "file", "start", "precision", "profile")
OURS = [name for name, model in MODELS.items() if model.training == "codecvsr"]
REFERENCE = "basicvsr:random"
OTHERS = {
    "cpu": [REFERENCE, REFERENCE + THROUGH_ENGINE, "edvr-m:random"],
    "cuda": [
        REFERENCE, REFERENCE + THROUGH_ENGINE, "iconvsr:random", "basicvsr-pp:random", "edvr-m:random", "edvr-l:random",
        "rbpn:random",
    ],
}  # fmt: skip
SIZES = {"cpu": "180x320", "cuda": "180x320,270x480,540x960"}
FRAMES = {"cpu": (12, 2), "cuda": (60, 20)}  #: of ours, and of the others
PRECISIONS = {"cpu": ["auto"], "cuda": ["auto", "bf16", "fp16"]}
SHORT_PRECISIONS = {"cpu": ["bf16"], "cuda": ["bf16", "fp16"]}
Measurements = dict[str, dict[str, Any]]


@click.command(help=__doc__)
@click.option(
    "--clips", type=click.Path(path_type=Path), default=ROOT / "inputs", help="Folder of clips; the demo clips."
)
@click.option(
    "--work", type=click.Path(path_type=Path), default=Path("bench"), show_default=True, help="Scratch folder."
)
@click.option("--parts", default=",".join(PARTS), show_default=True, help="What to measure.")
@click.option("--models", default="", help="Ours and others; by default ours, and what the device is fast enough for.")
@click.option(
    "--sizes", default="", help="HEIGHTxWIDTH of the input; by default 180x320, on a GPU also 270x480, 540x960."
)
@click.option("--frames", type=int, default=0, help="Per run, of our networks.")
@click.option("--other-frames", type=int, default=0, help="Per run, of the others.")
@click.option("--repeats", type=int, default=3, show_default=True, help="Runs of each; medians are reported.")
@click.option("-d", "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--fresh", is_flag=True, help="Repeat the measurements of this machine.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
@click.option(
    "--plot", type=click.Path(path_type=Path), default=ROOT / "docs" / "speed.png", help="Where the plot goes."
)
def main(
    clips: Path, work: Path, parts: str, models: str, sizes: str, frames: int, other_frames: int, repeats: int,
    device: str, fresh: bool, results: Path, plot: Path,
) -> None:  # fmt: skip
    """Measures what is missing."""
    wanted = parts.split(",")
    if unknown := set(wanted) - set(PARTS):
        raise click.BadParameter(f"no such part: {', '.join(sorted(unknown))}.")
    target = choose_device(device)
    names = models.split(",") if models else [*OURS, *OTHERS[target.type]]
    ours = [name for name in names if load_model(name.removesuffix(THROUGH_ENGINE)).architecture == "codecvsr"]
    usual = FRAMES[target.type]
    counts = {name: (frames or usual[0]) if name in ours else (other_frames or usual[1]) for name in names}
    shapes = [(int(h), int(w)) for h, w in (size.split("x") for size in (sizes or SIZES[target.type]).split(","))]
    about = machine(target)
    label = machine_label(about)
    tag = "+".join((load_model(name).sha256 or name)[:8] for name in ours)
    stored = json.loads(results.read_text()) if results.is_file() else {"cells": [], "commands": [], "machines": {}}
    stored["machines"][label] = about | {"versions": versions()}
    measurements: Measurements = {measurement["key"]: measurement for measurement in stored["cells"]}

    def measurement(part: str, key: str, make: Callable[[], dict[str, Any]]) -> None:
        key = f"{part} {key} {tag} on {label}"
        if key in measurements and not fresh:
            return
        click.echo(f"{key} ...", err=True)
        begun = time.monotonic()
        made = {"key": key, "part": part, "machine": label, **make()}
        measurements[key] = made | {"cell_seconds": round(time.monotonic() - begun, 1)}
        click.echo(json.dumps(measurements[key]))
        save(results, stored, measurements)

    if "rates" in wanted:
        measurement("rates", device, lambda: rates(device))
    for size in shapes if "net" in wanted else ():
        key = f"{size[0]}x{size[1]} {'/'.join(f'{name}={count}' for name, count in counts.items())}"
        measurement("net", key, lambda s=size: net(clips, work, counts, s, repeats, device, PRECISIONS[target.type]))
    for size in shapes if "file" in wanted else ():
        others = (
            [REFERENCE] if REFERENCE in names and target.type == "cuda" else []
        )  # on a CPU its network is all its time
        some = {name: counts[name] for name in [*ours, *others]}
        key = f"{size[0]}x{size[1]} {'/'.join(f'{name}={count}' for name, count in some.items())}"
        measurement("file", key, lambda s=size, n=some: file_to_file(clips, work, n, s, repeats, device))
    for name in ours:
        if "start" in wanted:
            measurement(
                "start", f"180x320 {name}", lambda n=name: cold_start(clips, work, n, (180, 320), repeats, device)
            )
        if "precision" in wanted:
            for clip in benchmark(clips, work):
                measurement("precision", f"{name} {clip.name} {counts[name]}",
                     lambda n=name, c=clip: precision_loss(clips, c, n, counts[n], device, SHORT_PRECISIONS[target.type]))  # fmt: skip
        for size in shapes if "profile" in wanted else ():
            measurement("profile", f"{size[0]}x{size[1]} {name} {counts[name]}",
                 lambda n=name, s=size: profile(clips, work, n, s, counts[n], device))  # fmt: skip
    content = save(results, stored, measurements)
    draw(content, plot)


def benchmark(clips: Path, work: Path) -> list[Path]:
    """Clip folders at CRF 25, made where they are missing."""
    names = sorted(path.stem for path in clips.glob("*.mp4"))
    folders = [work / f"{clips.name}_CRF25" / name for name in names]
    missing = [folder.name for folder in folders if not (folder / "meta.json").is_file()]
    if missing:
        make_benchmark(clips, work, BenchmarkSettings(crfs=(25,)), clips=missing)
    return folders


def save(results: Path, stored: dict[str, Any], measurements: Measurements) -> dict[str, Any]:
    """Write the results file, and return what it says."""
    content = {
        "commands": with_this_command(stored["commands"]),
        "notes": stored.get("notes", []),
        "machines": stored["machines"],
        "cells": sorted(
            measurements.values(),
            key=lambda measurement: (measurement["machine"], PARTS.index(measurement["part"]), measurement["key"]),
        ),
    }
    write_results(results, content)
    return content


if __name__ == "__main__":
    main()
