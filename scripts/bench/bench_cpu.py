#!/usr/bin/env python3
"""Measure the fast form of `codecvsr` on a CPU against the readable one, and write the results file.

    python scripts/bench/bench_cpu.py --clip-root bench/val_CRF25 --gt-root clips/val --names lake

Both run in turns in one process on the same frames, on one thread and on two; PSNR against the originals is that of bytes.
Processor time varies less than the clock's on a machine that other jobs use; the file has both.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from step_times import timed_steps

from codecvsr.compare.clips import TestClip, find_clips
from codecvsr.engine.plan import make_plan
from codecvsr.files import atomic_file
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.skip_static import DuplicateFrames
from codecvsr.inference.source import Source, load_source
from codecvsr.metrics.psnr import psnr
from codecvsr.models.zoo import LoadedModel, load_model
from codecvsr.motion import MotionOptions
from codecvsr.versions import versions

RESULTS = Path(__file__).resolve().parents[1] / "results" / "cpu.json"


@click.command(help=__doc__)
@click.option("--clip-root", type=click.Path(path_type=Path), required=True, help="Folder of benchmark clips.")
@click.option("--gt-root", type=click.Path(path_type=Path), required=True, help="Folder of their originals.")
@click.option("--names", default="lake", show_default=True, help="Comma-separated clips.")
@click.option("--frames", default=6, show_default=True, help="Of each clip, for time.")
@click.option("--scored", default=24, show_default=True, help="Of each clip, for PSNR; 0 for none.")
@click.option("--repeats", default=3, show_default=True, help="Of every measurement.")
@click.option("--threads", default="1,2", show_default=True, help="Comma-separated numbers of threads.")
@click.option(
    "--skip-static",
    "duplicates",
    is_flag=True,
    help="Only measure what --skip-static saves and costs, and add it to the results.",
)
@click.option("--note", default="", help="A remark for the results file, such as what else ran on the machine.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def main(
    clip_root: Path,
    gt_root: Path,
    names: str,
    frames: int,
    scored: int,
    repeats: int,
    threads: str,
    duplicates: bool,
    note: str,
    results: Path,
) -> None:
    model = load_model("codecvsr")
    clips = find_clips([clip_root], gt_root, tuple(names.split(",")))
    if duplicates:
        report = json.loads(results.read_text(encoding="utf-8"))
        report["skip_static"] = {clip.name: _skipping(model, clip, scored) for clip in clips}
        _save(report, results)
        return
    report = {
        "command": f"scripts/bench/bench_cpu.py --clip-root {clip_root.name} --gt-root {gt_root.name} --names {names} "
        f"--frames {frames} --scored {scored} --repeats {repeats} --threads {threads}",
        "versions": versions(),
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "note": note,
        "weights_sha256": model.sha256,
        "clips": {},
    }
    for clip in clips:
        torch.set_num_threads(1)
        source = load_source(clip.folder.path, MotionOptions(), needs_vectors=True)
        few = source.cut(0, min(frames, len(source.names)))
        measurement: dict[str, Any] = {"size": list(source.frames.shape[1:3]), "frames": len(few.names)}
        measurement["speed"] = {count: _speed(model, few, int(count), repeats) for count in threads.split(",")}
        measurement["parts_ms_per_frame"] = _parts(model, few)
        if scored:
            many = source.cut(0, min(scored, len(source.names)))
            measurement["psnr"] = _quality(model, many, list(clip.originals(len(many.names))))
        report["clips"][clip.name] = measurement
        click.echo(f"{clip.name}: {json.dumps(measurement)}", err=True)
    _save(report, results)


def _save(report: dict[str, Any], results: Path) -> None:
    with atomic_file(results) as part:
        part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _skipping(model: LoadedModel, clip: TestClip, frames: int) -> dict[str, Any]:
    """A clip with and without ``--skip-static``: skipped frames and mean RGB PSNR."""
    torch.set_num_threads(1)
    source = load_source(clip.folder.path, MotionOptions(), needs_vectors=True)
    source = source.cut(0, min(frames, len(source.names)))
    originals = list(clip.originals(len(source.names)))
    scores, duplicates = [], DuplicateFrames()
    for skipped in (None, duplicates):
        made = _run(model, source, by_layers=False, duplicates=skipped)
        scores.append(statistics.fmean(psnr(a, b) for a, b in zip(made, originals, strict=True)))
    return {
        "frames": len(originals),
        "left_out": duplicates.skipped_frames,
        "psnr_db": [round(score, 4) for score in scores],
        "difference_db": round(scores[1] - scores[0], 4),
    }


def _run(
    model: LoadedModel, source: Source, *, by_layers: bool, duplicates: DuplicateFrames | None = None
) -> list[np.ndarray]:
    limits = MemoryLimits(len(source.names), is_fixed=True, static=duplicates)
    plan = replace(make_plan("cpu", "fp32", compile=False), native=not by_layers)
    return list(upscale_frames(model, source, Ablations(), limits, plan))


def _speed(model: LoadedModel, source: Source, threads: int, repeats: int) -> dict[str, Any]:
    """Milliseconds per frame of both forms, by the clock and of processor time, and the median of their ratios."""
    torch.set_num_threads(threads)
    forms: dict[str, list[tuple[float, float]]] = {"readable": [], "fast": []}
    for _ in range(repeats):
        for name, taken in forms.items():
            clock, used = time.perf_counter(), time.process_time()
            _run(model, source, by_layers=name == "readable")
            taken.append((time.perf_counter() - clock, time.process_time() - used))
    report: dict[str, Any] = {}
    for column, kind in enumerate(("clock", "processor")):
        times = {name: [row[column] * 1e3 / len(source.names) for row in rows] for name, rows in forms.items()}
        report[kind] = {f"{name}_ms": [round(value, 1) for value in values] for name, values in times.items()}
        ratios = [slow / quick for slow, quick in zip(times["readable"], times["fast"], strict=True)]
        report[kind]["ratio"] = round(statistics.median(ratios), 2)
    return report


def _parts(model: LoadedModel, source: Source) -> dict[str, float]:
    """Processor time of each kind of step, one by one, on one thread."""
    torch.set_num_threads(1)
    with timed_steps() as taken:
        _run(model, source, by_layers=False)
    return {name: round(value * 1e3 / len(source.names), 2) for name, value in sorted(taken.items())}


def _quality(model: LoadedModel, source: Source, originals: list[np.ndarray]) -> dict[str, float]:
    """Mean RGB PSNR of both forms, and how much single values differ."""
    slow, quick = (_run(model, source, by_layers=flag) for flag in (True, False))
    scores = [
        statistics.fmean(psnr(picture, original) for picture, original in zip(made, originals, strict=True))
        for made in (slow, quick)
    ]
    differences = [abs(a.astype(int) - b) for a, b in zip(slow, quick, strict=True)]
    return {
        "frames": len(originals),
        "readable_db": round(scores[0], 5),
        "fast_db": round(scores[1], 5),
        "difference_db": round(scores[1] - scores[0], 6),
        "largest_difference_levels": int(max(d.max() for d in differences)),
        "share_that_differs": round(statistics.fmean(float((d > 0).mean()) for d in differences), 7),
    }


if __name__ == "__main__":
    main()
