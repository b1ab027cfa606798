#!/usr/bin/env python3
"""Measure how well motion follows the picture, and write the results file.

    python scripts/training/fetch_clips.py clips
    python scripts/bench/bench_motion.py --clips clips/val --clips clips/train --clips inputs

Fields are made from the compressed low-resolution frames and judged on pristine ones: over one frame at low resolution, over
15 composed frames at high resolution. Every clip at every CRF is one measurement; those that the results file already has for
the same code are not repeated, so the command can be stopped and run again. SPyNet (the one inside official BasicVSR, where
its weights were fetched) is slow and is measured on --spynet-clips only, beside the others on the same frames.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from motion_measurements import (
    SETTINGS,
    Clip,
    card_loop,
    measure,
    measure_full_hd,
    measure_memory,
    measure_setting,
    measure_time,
)
from motion_profile import measure_profile
from motion_table import summary
from results_files import ROOT, TITLE_CARD, with_this_command, write_results

from codecvsr.bitstream.reader import read_video
from codecvsr.datasets.benchmark import make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings, crf_label, parse_crfs
from codecvsr.errors import CodecVSRError
from codecvsr.metrics.alignment import TRACK_FRAMES
from codecvsr.motion import estimate_motion
from codecvsr.versions import versions

RESULTS = ROOT / "scripts" / "results" / "motion.json"
PROBE_FRAMES = 8
PROBE_QPS = 14, 20, 26, 32, 38
PROFILES = ((320, 180), 40, 5), ((1920, 1080), 16, 2)  # size, frames and rounds


@click.command(help=__doc__)
@click.option("--clips", type=click.Path(path_type=Path), multiple=True, help="Folder of HR clips.")
@click.option("--names", default="", help="Comma-separated clips; all by default.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("bench"), show_default=True, help="Benchmarks.")
@click.option("--crf", default="15,25,35", show_default=True, help="CRFs, comma-separated.")
@click.option("--frames", type=int, default=40, show_default=True, help="Only so many of each clip; 0: all.")
@click.option("--spynet-clips", default="", help="Comma-separated clips on which SPyNet is measured.")
@click.option("--spynet-frames", type=int, default=21, show_default=True, help="So many of their frames.")
@click.option("--settings-clip", default="", help="Clip that is also coded at other presets, GOPs and frame rates.")
@click.option("--timing-clip", default="", help="Clip on which time is measured, at every CRF.")
@click.option(
    "--stream-minutes", type=int, default=0, help="Memory while a looped clip of so many minutes runs through."
)
@click.option("--full-hd", is_flag=True, help="Frames per second of the title card, enlarged to 1920x1080.")
@click.option("--profile", is_flag=True, help="Time of each stage on the title card, at two sizes.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def main(
    clips: tuple[Path, ...],
    names: str,
    work: Path,
    crf: str,
    frames: int,
    spynet_clips: str,
    spynet_frames: int,
    settings_clip: str,
    timing_clip: str,
    stream_minutes: int,
    full_hd: bool,
    profile: bool,
    results: Path,
) -> None:
    """Measures what is missing."""
    cv2.setNumThreads(1)
    code = fingerprint()
    stored = json.loads(results.read_text()) if results.is_file() else {"cells": []}
    measurements = {measurement["key"]: measurement for measurement in stored["cells"]}

    def keep(key: str, facts: dict[str, Any], make: Callable[[], dict[str, Any]]) -> None:
        if key not in measurements:
            begun = time.monotonic()
            measurements[key] = {"key": key} | facts | make()
            click.echo(f"{key}: {time.monotonic() - begun:.0f} s", err=True)
            save(results, measurements, stored)

    if stream_minutes:
        about = {"kind": "memory", "minutes": stream_minutes}
        keep(f"memory {stream_minutes} {code}", about, partial(measure_memory, work, stream_minutes))
    if full_hd:
        keep(f"full hd {code}", {"kind": "full_hd"}, partial(measure_full_hd, work))
    for size, count, rounds in PROFILES if profile else []:
        path = work / "full_hd.mp4" if size == (1920, 1080) else work / f"card_{size[0]}x{size[1]}.mp4"
        card_loop(path, size, 60)
        keep(f"profile {size[0]}x{size[1]} {code}", {"kind": "profile"}, partial(measure_profile, path, count, rounds))
    wanted = [(root, path.stem) for root in clips for path in sorted(root.glob("*.mp4"))]
    for root, name in wanted:
        if names and name not in names.split(","):
            continue
        clip = Clip(root, name, frames)
        for rate in parse_crfs(crf):
            stream = work / f"{root.name}_{crf_label(rate)}" / name / "clip.mp4"
            if not (stream.parent / "meta.json").is_file():
                make_benchmark(root, work, BenchmarkSettings(crfs=(rate,)), clips=[name])
            facts = {"clip": name, "crf": rate}
            label = f"{name} {crf_label(rate)} {frames}"
            keep(f"{label} {code}", {"kind": "fields"} | facts, partial(measure, clip, stream))
            if name in spynet_clips.split(","):
                key = f"{label} spynet {spynet_frames} {code}"
                keep(key, {"kind": "spynet"} | facts, partial(measure, clip, stream, spynet_frames))
            for setting in SETTINGS if name == settings_clip else {}:
                other = work / "settings" / f"{name} {crf_label(rate)} {setting}.mp4"
                key = f"{label} {setting} {code}"
                about = {"kind": "settings", "setting": setting} | facts
                keep(key, about, partial(measure_setting, clip, other, rate, setting))
            if name == timing_clip:
                keep(f"{label} time {code}", {"kind": "time"} | facts, partial(measure_time, stream, frames))
    current = [measurement for measurement in measurements.values() if measurement["key"].endswith(code)]
    save(results, {measurement["key"]: measurement for measurement in current}, stored)


def fingerprint() -> str:
    """Returns a digest of the code that makes the fields: of its fields for the first frames of the title card.

    Settings depend on QP, so the fields are also computed with coarser and finer QP than the frames have.
    """
    frames = list(itertools.islice(read_video(TITLE_CARD), PROBE_FRAMES))
    digest = hashlib.sha256()
    for qp in PROBE_QPS:
        motion = estimate_motion([replace(f, qp=None if f.qp is None else np.full_like(f.qp, qp)) for f in frames])
        digest.update(motion.to_prev.tobytes() + motion.to_next.tobytes())
    return digest.hexdigest()[:12]


def save(results: Path, measurements: dict[str, Any], stored: dict[str, Any]) -> None:
    """Write the results file; commands and notes of the one before stay."""
    content = {
        "commands": with_this_command(stored.get("commands", [])),
        "notes": stored.get("notes", []),
        "protocol": (
            "PSNR of luma on pristine pictures, fields from decoded ones; one_frame: a neighbour pulled onto each frame at "
            f"low resolution, 8 pixels of border left out; track: {TRACK_FRAMES} composed fields, the high-resolution "
            "picture pulled over all of them, a track every 5 frames, 32 pixels of border left out; x264 medium, 24 fps"
        ),
        "machine": f"{platform.machine()}, fields on one thread; other programs ran meanwhile",
        "versions": versions(),
        "summary": summary(list(measurements.values())),
        "cells": list(measurements.values()),
    }
    write_results(results, content)


if __name__ == "__main__":
    try:
        main()
    except CodecVSRError as error:
        sys.exit(f"bench_motion: {error}")
