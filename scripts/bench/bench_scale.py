#!/usr/bin/env python3
"""Measure `upscale --scale 2` and 3 from file to file, and add it to scripts/results/skipping.json.

    python scripts/bench/bench_scale.py --clips clips/val --size 540x960
    python scripts/bench/bench_scale.py --clips clips/val --size 720x1280

Pictures of the output's size are compared with the former way, in which pictures of four times the size are resampled; otherwise it
is the same version. Every run is a process of its own, of one thread; its time is the processor's (user), its memory the peak of the
resident set. The time per frame is that of the frames beyond the first two, from two runs of different length.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import torch
from results_files import with_this_command, write_results
from skipping_table import RESULTS, read_results
from speed_subjects import run_facts, video

_SHORT = 2  # frames of the run that is subtracted
_FPS = 24
_RUN = """
import sys, torch
from codecvsr import upscale
from codecvsr.upscaling.process_chunk import ChunkProcessor
torch.set_num_threads(1)
source, target, model, scale, end, way = sys.argv[1:]
if way == "resampled":
    ChunkProcessor._scale = lambda *_: 4
upscale(source, target, model=model, scale=int(scale), preset="veryfast", end=float(end), skip_static="off", overwrite=True)
"""


@click.command(help=__doc__)
@click.option("--clips", type=click.Path(path_type=Path), required=True, help="Folder of originals.")
@click.option("--size", default="540x960", show_default=True, help="HEIGHTxWIDTH of the video.")
@click.option("--scale", default=2, show_default=True, help="Of the output.")
@click.option("--model", default="codecvsr-fast", show_default=True, help="The network.")
@click.option("--frames", default=5, show_default=True, help="Of the longer run.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("/tmp/skipping"), help="Folder of made files.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def main(clips: Path, size: str, scale: int, model: str, frames: int, work: Path, results: Path) -> None:
    height, width = map(int, size.split("x"))
    source = video(clips, work, (height, width), frames)
    found: dict[str, dict[str, float]] = {}
    for way in ("direct", "resampled"):
        (short, _), (long, peak) = (
            _run(str(source), str(work / "made.mp4"), model, str(scale), str(count / _FPS), way)
            for count in (_SHORT, frames)
        )
        ms = (long - short) * 1e3 / (frames - _SHORT)
        found[way] = {"ms": round(ms, 1), "peak_mb": round(peak / 2**20), "frames": frames}
        click.echo(f"{way}: {found[way]}", err=True)
    torch.set_num_threads(1)
    content = read_results(results)
    content |= run_facts()
    content["commands"] = with_this_command(content.get("commands", []))
    by_size = content.setdefault("scale", {}).setdefault(model, {})
    by_size[f"{width}x{height}, --scale {scale}"] = found
    write_results(results, content)


def _run(*arguments: str) -> tuple[float, int]:
    """Returns seconds of the processor and peak memory in bytes of a process that enlarges a video.

    Raises:
        RuntimeError: it failed.
    """
    process = subprocess.Popen([sys.executable, "-c", _RUN, *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"upscale ended with {process.returncode}")
    return usage.ru_utime, usage.ru_maxrss * 1024


if __name__ == "__main__":
    main()
