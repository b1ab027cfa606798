#!/usr/bin/env python3
"""Measure `upscale --scale 2` from file to file, and add it to scripts/results/skipping.json.

    python scripts/bench/bench_half.py --clips clips/val --size 540x960 --label after
    python scripts/bench/bench_half.py --clips clips/val --size 540x960 --label before    # by the version before, installed
    python scripts/bench/bench_half.py --clips clips/val --size 720x1280 --label after

Every run is a process of its own, of one thread; its time is the processor's (user), its memory the peak of the resident set.
The time per frame is that of the frames beyond the first two, from two runs of different length.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import click
import torch
from results_files import with_this_command, write_results
from skipping_table import RESULTS, read_results
from speed_subjects import machine, machine_label, video

from codecvsr.versions import versions

_SHORT = 2  # frames of the run that is subtracted
_FPS = 24
_RUN = """
import sys, torch
from codecvsr import upscale
torch.set_num_threads(1)
upscale(sys.argv[1], sys.argv[2], model=sys.argv[3], scale=2, preset="veryfast", end=float(sys.argv[4]), overwrite=True)
"""


@click.command(help=__doc__)
@click.option("--clips", type=click.Path(path_type=Path), required=True, help="Folder of originals.")
@click.option("--size", default="540x960", show_default=True, help="HEIGHTxWIDTH of the video.")
@click.option("--label", type=click.Choice(["before", "after"]), required=True, help="Which version this is.")
@click.option("--model", default="codecvsr-fast", show_default=True, help="The network.")
@click.option("--frames", default=8, show_default=True, help="Of the longer run.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("/tmp/skipping"), help="Folder of made files.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def main(clips: Path, size: str, label: str, model: str, frames: int, work: Path, results: Path) -> None:
    height, width = map(int, size.split("x"))
    source = video(clips, work, (height, width), frames)
    runs = [_run(source, work / "half.mp4", model, count) for count in (_SHORT, frames)]
    (short, _), (long, peak) = runs
    found = {
        "ms": round((long - short) * 1e3 / (frames - _SHORT), 1),
        "peak_mb": round(peak / 2**20),
        "frames": frames,
    }
    torch.set_num_threads(1)
    about = machine(torch.device("cpu"))
    content = read_results(results)
    content |= {"machine": machine_label(about), "about": about, "versions": versions()}
    content["commands"] = with_this_command(content.get("commands", []))
    content.setdefault("half", {}).setdefault(f"{width}x{height}", {})[label] = found
    write_results(results, content)
    click.echo(str(found), err=True)


def _run(source: Path, target: Path, model: str, frames: int) -> tuple[float, int]:
    """Returns seconds of the processor and peak memory in bytes of a process that enlarges ``frames`` frames."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [sys.executable, "-c", _RUN, str(source), str(target), model, str(frames / _FPS)]
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before, after.ru_maxrss * 1024


if __name__ == "__main__":
    main()
