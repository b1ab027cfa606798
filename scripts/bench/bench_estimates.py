#!/usr/bin/env python3
"""Measure how far the estimates of ``upscale`` are from what it then makes: size of the output, and processor time.

    python scripts/training/fetch_clips.py clips
    python scripts/bench/bench_estimates.py --clips clips/val

Inputs: `demo` (the title card of `inputs/`), `360p` (ten minutes) and `720p` (one minute), which repeat a few seconds of a clip. The estimate is that of
the whole input; of an input that repeats itself, one period is made and multiplied. Processor time is compared, which other programs
on the machine change little, and the clock only shown. Rows of other inputs and models stay in the results file.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from results_files import ROOT, TITLE_CARD, with_this_command, write_results
from upscale_videos import looped

from codecvsr.upscaling.api import upscale
from codecvsr.upscaling.engine import make_dry_engine
from codecvsr.upscaling.estimate import estimate
from codecvsr.upscaling.options import UpscaleOptions
from codecvsr.upscaling.work import choose_form
from codecvsr.versions import versions
from codecvsr.video.probe import Media
from codecvsr.video.scan import scan

RESULTS = ROOT / "scripts" / "results" / "estimates.json"


@dataclass(frozen=True)
class Input:
    """A video to estimate.

    Attributes:
        clip: of ``--clips``; None for the title card.
        height: in pixels.
        width: in pixels.
        seconds: its length.
        period: seconds after which it repeats itself.
    """

    clip: str | None = None
    height: int = 720
    width: int = 1280
    seconds: int = 0
    period: float | None = None

    def make(self, clips: Path, work: Path) -> Path:
        """Returns its path."""
        if self.clip is None or self.period is None:
            return TITLE_CARD
        return looped(
            clips, work, self.seconds, 24, self.width, self.height, name=self.clip, loop_seconds=self.period
        )  # fmt: skip


INPUTS = {
    "demo": Input(),
    "360p": Input("bridge", 360, 640, 600, 2.5),
    "720p": Input("lake", 720, 1280, 60, 1.25),
}


def cpu_seconds() -> float:
    """Returns the processor time of this process and of its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(source: Path, model: str, period: float | None) -> dict[str, Any]:
    """Returns what was expected of an input, as a dry run expects it, and what came out.

    Args:
        source: a video.
        model: a name or weights file.
        period: seconds after which the video repeats itself; None if it does not.
    """
    engine = make_dry_engine(UpscaleOptions(model=model))
    media = Media.open(source)
    found = scan(media)
    begun, cpu = time.monotonic(), cpu_seconds()
    expected = estimate(engine, media, found, choose_form(engine.options, media, found, is_video=True))
    trial_wall, trial_cpu = time.monotonic() - begun, cpu_seconds() - cpu
    if not (expected.bytes and expected.seconds and expected.cpu_seconds):
        raise click.ClickException(f"{source}: {expected.note}")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output.mkv"
        part = {} if period is None else {"start": period, "end": 2 * period}
        begun, cpu = time.monotonic(), cpu_seconds()
        report = upscale(source, output, audio="none", model=model, **part)
        times = len(found) / report.frames
        wall, used = times * (time.monotonic() - begun), times * (cpu_seconds() - cpu)
        size = round(times * output.stat().st_size)
    return {
        "width": found.width, "height": found.height, "frames": len(found), "made_frames": report.frames,
        "bytes": {"expected": expected.bytes, "made": size, "error": round(expected.bytes / size - 1, 3)},
        "processor_seconds": {
            "expected": round(expected.cpu_seconds, 1), "made": round(used, 1),
            "error": round(expected.cpu_seconds / used - 1, 3),
        },
        "seconds": {"expected": round(expected.seconds, 1), "made": round(wall, 1)},
        "trial_seconds": {"clock": round(trial_wall, 1), "processor": round(trial_cpu, 1)},
    }  # fmt: skip


@click.command(help=__doc__)
@click.option("--clips", type=click.Path(exists=True, path_type=Path), required=True, help="Folder of clips.")
@click.option(
    "--work", type=click.Path(path_type=Path), default=Path("bench"), show_default=True, help="Scratch folder."
)
@click.option("--inputs", default=",".join(INPUTS), show_default=True, help="Which.")
@click.option("--models", default="bicubic,codecvsr-fast", show_default=True, help="Comma-separated.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def main(clips: Path, work: Path, inputs: str, models: str, results: Path) -> None:
    """Measures, and writes the rows."""
    work.mkdir(parents=True, exist_ok=True)
    for name in inputs.split(","):
        if name not in INPUTS:
            raise click.BadParameter(f"no such input: {name}; {', '.join(INPUTS)} were expected.")
        source = INPUTS[name].make(clips, work)
        for model in models.split(","):
            row = {"input": name, "model": model, **measure(source, model, INPUTS[name].period)}
            click.echo(json.dumps(row), err=True)
            stored = json.loads(results.read_text()) if results.is_file() else {"commands": [], "rows": []}
            others = [each for each in stored["rows"] if (each["input"], each["model"]) != (name, model)]
            content = {
                "commands": with_this_command(stored["commands"]), "versions": versions(),
                "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores, which other programs use too",
                "rows": sorted([*others, row], key=lambda each: (list(INPUTS).index(each["input"]), each["model"])),
            }  # fmt: skip
            write_results(results, content)


if __name__ == "__main__":
    main()
