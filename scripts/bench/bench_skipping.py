#!/usr/bin/env python3
"""Measure what `upscale --skip-static auto` saves and costs against `off`, and write scripts/results/skipping.json.

    python scripts/bench/bench_skipping.py --part static --photographs photos
    python scripts/bench/bench_skipping.py --part moving --clips clips/val --streams bench/val_CRF25
    python scripts/bench/bench_skipping.py --part share --photographs photos
    python scripts/bench/skipping_table.py      # then the plot and the table

Both run in turns (A B A B) from file to file in one process with one thread each for network and codec, and the processor's time
(user) is compared: the ratio is the median of the rounds'. x264 codes the output with `veryfast`. PSNR is that of the output file against the originals.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch
from results_files import with_this_command, write_results
from skipping_table import RESULTS, read_results
from speed_subjects import run_facts
from static_clips import SCENES, Image, encode_scene, load_photographs, originals

from codecvsr.bitstream.reader import read_video
from codecvsr.engine.native.codecvsr import FastCodecVSR
from codecvsr.metrics.psnr import psnr
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.priors import CHANNELS
from codecvsr.models.zoo import load_model
from codecvsr.train.data import original_frames
from codecvsr.upscaling.api import upscale
from codecvsr.video.resize import downsample

_CHOICES = ("off", "auto")
_SHARES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.7, 1.0)
_WINDOWS = 8, 14  # frames, of which each pass computes the first four whole
_PRESET = "veryfast"  # of x264 for the output, as in bench_speed.py
_FPS, _LENGTH = 24, 144  # of the streams, of which the first frames are measured


@click.command(help=__doc__)
@click.option("--part", type=click.Choice(["static", "moving", "share"]), required=True, help="What to measure.")
@click.option("--photographs", type=click.Path(path_type=Path), help="Folder of photographs, for the scenes.")
@click.option("--clips", type=click.Path(path_type=Path), help="Folder of originals, for moving clips.")
@click.option("--streams", type=click.Path(path_type=Path), help="Folder of their benchmark clips.")
@click.option("--names", default="", help="Comma-separated scenes or clips; all by default.")
@click.option("--model", default="codecvsr-fast", show_default=True, help="The network.")
@click.option("--frames", default=96, show_default=True, help="Of each clip.")
@click.option("--rounds", default=2, show_default=True, help="Of every measurement.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("/tmp/skipping"), help="Folder of made files.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def main(
    part: str,
    photographs: Path | None,
    clips: Path | None,
    streams: Path | None,
    names: str,
    model: str,
    frames: int,
    rounds: int,
    work: Path,
    results: Path,
) -> None:
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    content = read_results(results)
    chosen = [name for name in names.split(",") if name]
    content |= run_facts()
    content["commands"] = with_this_command(content.get("commands", []))
    pictures = [] if photographs is None else load_photographs(photographs)
    if part == "share":
        content["share"] = {**content.get("share", {}), model: _by_share(model, pictures[0])}
        write_results(results, content)
        return
    for name in chosen or (sorted(SCENES) if part == "static" else sorted(path.stem for path in clips.glob("*.mp4"))):
        if part == "static":
            stream = work / f"{name}.mp4"
            if not stream.is_file():
                encode_scene(name, pictures, _LENGTH, stream)
            crf, truth = SCENES[name].crf, originals(name, pictures, frames)
        else:
            stream, crf = streams / name / "clip.mp4", 25
            truth = (frame for frame, _ in zip(original_frames(clips, name), range(frames), strict=False))
        found = {"crf": crf, "frames": frames, **_compare(model, stream, truth, frames, rounds, work)}
        measured = content.setdefault(part, {}).setdefault(model, {})
        measured[name] = found
        click.echo(f"{name}: {found}", err=True)
        write_results(results, content)


def _compare(model: str, stream: Path, truth: Iterable[Image], frames: int, rounds: int, work: Path) -> dict[str, Any]:
    """Returns milliseconds of the processor per frame, ratios, the share of work and PSNR, from file to file."""
    upscale(stream, work / "warm.mp4", model=model, end=2 / _FPS, overwrite=True)
    taken: dict[str, list[float]] = {choice: [] for choice in _CHOICES}
    shares = {}
    for _ in range(rounds):
        for choice in _CHOICES:
            begun = os.times().user
            report = upscale(
                stream,
                work / f"{choice}.mp4",
                model=model,
                skip_static="blocks" if choice == "auto" else choice,  # auto leaves it to networks that were measured
                preset=_PRESET,
                end=frames / _FPS,
                overwrite=True,
            )
            taken[choice].append((os.times().user - begun) * 1e3 / report.frames)
            shares[choice] = report.work_share
    scores: dict[str, list[float]] = {choice: [] for choice in _CHOICES}
    made = [read_video(work / f"{choice}.mp4") for choice in _CHOICES]
    is_equal = True
    for original, off, auto in zip(truth, *made, strict=True):
        scores["off"].append(psnr(off.rgb, original))
        scores["auto"].append(psnr(auto.rgb, original))
        is_equal = is_equal and np.array_equal(off.rgb, auto.rgb)
    means = {choice: statistics.fmean(values) for choice, values in scores.items()}
    ratios = [off / auto for off, auto in zip(taken["off"], taken["auto"], strict=True)]
    return {
        "ms": {choice: round(statistics.median(values), 1) for choice, values in taken.items()},
        "ms_of_runs": {choice: [round(value, 1) for value in values] for choice, values in taken.items()},
        "ratio": round(statistics.median(ratios), 3),
        "work_share": round(shares["auto"], 4),
        "psnr_db": {choice: round(value, 4) for choice, value in means.items()},
        "difference_db": round(means["auto"] - means["off"], 4),
        "same_pictures": is_equal,
    }


def _by_share(model: str, photograph: Image) -> list[dict[str, float]]:
    """Returns milliseconds of the network per frame, by the share of a frame's blocks that change in every frame.

    They are a rectangle, as what moves in a picture is mostly in one place. The time is that of the frames by which one window is
    longer than another, so that it has none of those at the ends of a shot, which are computed whole.
    """
    network = load_model(model).network
    assert isinstance(network, CodecVSR)
    small = downsample(photograph, 4)
    rng = np.random.default_rng(0)
    off_ms = _steady_ms(network, np.repeat(small[None], max(_WINDOWS), axis=0), skip_static=False)
    rows = []
    for share in _SHARES:
        moving = np.repeat(small[None], max(_WINDOWS), axis=0)
        height, width = (round(side / 4 * share**0.5) * 4 for side in small.shape[:2])
        part = moving[:, :height, :width]
        part[:] = np.clip(part + rng.integers(-9, 10, part.shape), 0, 255)
        changed = part[0, ..., 0].size / small[..., 0].size
        ms = _steady_ms(network, moving, skip_static=True)
        rows.append({"changed": round(changed, 4), "off_ms": round(off_ms, 1), "ms": round(ms, 1)})
        click.echo(str(rows[-1]), err=True)
    return rows


def _steady_ms(network: CodecVSR, frames: npt.NDArray[np.uint8], *, skip_static: bool) -> float:
    """Returns the processor's milliseconds per frame between windows of two lengths, without motion."""
    height, width = frames.shape[1:3]
    times = []
    for count in _WINDOWS:
        cells = count, 2, -(-height // 4), -(-width // 4)
        fields, priors = np.zeros(cells, np.float32), np.zeros((count, CHANNELS, *cells[2:]), np.float32)
        form = FastCodecVSR(network, height, width, threads=1)
        begun = time.process_time()
        for _ in form.iterate(
            frames[:count], fields, fields, priors, np.zeros(count, np.bool_), skip_static=skip_static
        ):
            pass
        times.append(time.process_time() - begun)
    return (times[1] - times[0]) * 1e3 / (_WINDOWS[1] - _WINDOWS[0])


if __name__ == "__main__":
    main()
