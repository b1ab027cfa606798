#!/usr/bin/env python3
"""Measure picture quality on the validation clips and write the results file and README's table.

    python scripts/fetch_clips.py clips
    codecvsr models fetch basicvsr-reds4
    python scripts/bench_quality.py --clips clips/val

Every figure is one cell: a clip, a CRF, a row of the table, a number of frames. Cells that the results file already holds for
the same weights are not computed again, so the command can be stopped and repeated. BasicVSR is slow (some seconds a frame on
a CPU): every row is measured on the first --baseline-frames frames, and --long-rows on --frames frames as well.
"""

from __future__ import annotations

import json
import platform
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
import torch

from codecvsr.engine.device import choose_device, choose_dtype
from codecvsr.files import atomic_file
from codecvsr.metrics.psnr import psnr
from codecvsr.metrics.ssim import ssim
from codecvsr.models.zoo import LoadedModel, load_model
from codecvsr.pipeline.benchmark import BenchmarkSettings, crf_label, make_benchmark, parse_crfs
from codecvsr.pipeline.infer import Ablations, load_motion, upscale_frames
from codecvsr.pipeline.window import longest_window
from codecvsr.train.data import original_frames

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "scripts" / "results" / "quality.json"
NOTHING = Ablations()
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


@dataclass(frozen=True)
class Row:
    """One line of the table: a model, its motion and what is left out of it."""

    name: str
    title: str
    model: str
    motion: str
    ablations: Ablations = NOTHING


ROWS = (
    Row("bicubic", "bicubic", "bicubic", "none"),
    Row("basicvsr-spynet", "official BasicVSR, SPyNet", "basicvsr-reds4", "spynet"),
    Row("basicvsr-codec", "official BasicVSR, codec motion, not retrained", "basicvsr-reds4", "codec"),
    Row("full", "**codecvsr**", "codecvsr", "codec"),
    Row("ablate-mvs", "codecvsr `--ablate-mvs`", "codecvsr", "zero", Ablations(mvs=True)),
    Row("ablate-second-order", "codecvsr `--ablate-second-order`", "codecvsr", "codec", Ablations(second_order=True)),
    Row("ablate-both", "codecvsr, both", "codecvsr", "zero", Ablations(mvs=True, second_order=True)),
)


@click.command(help=__doc__)
@click.option("--clips", type=click.Path(path_type=Path), required=True, help="Folder of validation clips.")
@click.option(
    "--work", type=click.Path(path_type=Path), default=Path("bench"), show_default=True, help="Benchmarks go here."
)
@click.option("--crf", default="15,25,35", show_default=True, help="Rate factors.")
@click.option("--frames", type=int, default=0, help="Only so many frames of each clip; 0: all.")
@click.option(
    "--baseline-frames",
    type=int,
    default=9,
    show_default=True,
    help="The same for every row; 0: leave out what is not long.",
)
@click.option(
    "--long-rows", default="bicubic,full,ablate-mvs", show_default=True, help="Rows measured on --frames frames."
)
@click.option("--rows", default="", help="Comma-separated names of rows; all by default.")
@click.option("--window", type=int, default=0, help="Frames looked at together; 0: as many as infer would.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
@click.option("--readme", type=click.Path(path_type=Path), default=ROOT / "README.md", help="Where the table goes.")
def main(
    clips: Path,
    work: Path,
    crf: str,
    frames: int,
    baseline_frames: int,
    long_rows: str,
    rows: str,
    window: int,
    device: str,
    results: Path,
    readme: Path,
) -> None:
    """Measure what is missing, then write results and table."""
    chosen = [row for row in ROWS if not rows or row.name in rows.split(",")]
    crfs = parse_crfs(crf)
    names = sorted(path.stem for path in clips.glob("*.mp4"))
    for rate in crfs:
        missing = [n for n in names if not (work / f"{clips.name}_{crf_label(rate)}" / n / "meta.json").is_file()]
        if missing:
            make_benchmark(clips, work, BenchmarkSettings(crfs=(rate,)), clips=missing)
    stored = json.loads(results.read_text()) if results.is_file() else {"cells": []}
    cells = {cell["key"]: cell for cell in stored["cells"]}
    models = {row.model: load_model(row.model) for row in chosen if baseline_frames or row.name in long_rows.split(",")}
    for rate in crfs:
        for clip in names:
            folder = work / f"{clips.name}_{crf_label(rate)}" / clip
            hr = np.stack(list(original_frames(clips, clip)))
            for row in chosen:
                is_long = row.name in long_rows.split(",")
                for count in counts(is_long, len(hr), frames, baseline_frames):
                    model = models[row.model]
                    key = f"{clip} {crf_label(rate)} {row.name} {count} {window} {(model.sha256 or '-')[:12]}"
                    if key not in cells:
                        cell = measure(folder, model, row, hr[:count], window, device)
                        cells[key] = {"key": key, "clip": clip, "crf": rate, "row": row.name, "frames": count} | cell
                        click.echo(json.dumps(cells[key]))
                        save(results, cells, stored.get("commands", []), models)
    save(results, cells, stored.get("commands", []), models)
    write_table(readme, list(cells.values()), models)


def counts(is_long: bool, length: int, frames: int, baseline_frames: int) -> list[int]:
    """The numbers of frames a row is measured on."""
    whole = min(frames or length, length)
    short = [min(baseline_frames, length)] if baseline_frames else []
    return sorted({whole, *short}) if is_long else short


def measure(folder: Path, model: LoadedModel, row: Row, hr: np.ndarray, window: int, device: str) -> dict[str, Any]:
    """One cell: means over the frames, as ``codecvsr eval`` has them."""
    target = choose_device(device)
    kind = "zero" if row.model == "bicubic" else row.motion
    source = load_motion(folder, kind, row.ablations).cut(0, len(hr))
    length = window or longest_window(*source.frames.shape[1:3])
    begun, values = time.monotonic(), []
    for picture, truth in zip(
        upscale_frames(model, source, row.ablations, length, target, choose_dtype(target)), hr, strict=True
    ):
        values.append((psnr(picture, truth), ssim(picture, truth), psnr(picture, truth, channel="y")))
    means = np.mean(values, axis=0)
    return {
        "psnr_rgb": round(float(means[0]), 4),
        "ssim_rgb": round(float(means[1]), 5),
        "psnr_y": round(float(means[2]), 4),
        "seconds_per_frame": round((time.monotonic() - begun) / len(hr), 3),
    }


def save(results: Path, cells: dict[str, Any], commands: list[str], models: dict[str, LoadedModel]) -> None:
    """Write the results file."""
    command = shlex.join(["python", f"scripts/{Path(__file__).name}", *sys.argv[1:]])
    content = {
        "commands": commands if command in commands else [*commands, command],
        "protocol": "RGB PSNR and SSIM per frame on 8-bit values, then averaged; x264 medium, 24 fps, LR by antialiased bicubic",
        "machine": f"{torch.get_num_threads()} CPU threads, {platform.machine()}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "av": av.__version__,
            "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
        },
        "weights_sha256": {name: model.sha256 for name, model in models.items() if model.sha256},
        "cells": list(cells.values()),
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(results) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_table(readme: Path, cells: list[dict[str, Any]], models: dict[str, LoadedModel]) -> None:
    """Put the tables between README's markers; only cells of the weights just used count."""
    used = {(model.sha256 or "-")[:12] for model in models.values()}
    current = [cell for cell in cells if cell["key"].rsplit(" ", 1)[1] in used]
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    longest = max(cell["frames"] for cell in current)
    shortest = min(cell["frames"] for cell in current)
    parts = [table(current, longest)]
    if shortest != longest:
        parts.append(table(current, shortest))
    with atomic_file(readme) as part:
        part.write_text(f"{before}{BEGIN}\n{chr(10).join(parts)}{END}{after}", encoding="utf-8")


def table(cells: list[dict[str, Any]], frames: int) -> str:
    """RGB PSNR / SSIM, mean over the clips, by row and CRF; and each clip's own PSNR."""
    cells = [cell for cell in cells if cell["frames"] == frames]
    crfs = sorted({cell["crf"] for cell in cells})
    clips = sorted({cell["clip"] for cell in cells})
    lines = [
        f"RGB PSNR (dB) / SSIM, mean over {', '.join(clips)}; {frames} frames of each:",
        "",
        "| |" + "".join(f" CRF {crf:g} |" for crf in crfs),
        "|---|" + "---|" * len(crfs),
    ]
    for row in ROWS:
        entries = []
        for crf in crfs:
            found = [cell for cell in cells if cell["row"] == row.name and cell["crf"] == crf]
            if len(found) == len(clips):
                psnr_mean, ssim_mean = (np.mean([cell[name] for cell in found]) for name in ("psnr_rgb", "ssim_rgb"))
                entries.append(f" {psnr_mean:.2f} / {ssim_mean:.4f} |")
        if len(entries) == len(crfs):
            lines.append(f"| {row.title} |" + "".join(entries))
    lines += ["", "Gain of codecvsr clip by clip, dB over bicubic / over `--ablate-mvs`:", ""]
    lines += ["| |" + "".join(f" CRF {crf:g} |" for crf in crfs), "|---|" + "---|" * len(crfs)]
    value = {(cell["clip"], cell["crf"], cell["row"]): cell["psnr_rgb"] for cell in cells}
    for clip in clips:
        gains = []
        for crf in crfs:
            full = value.get((clip, crf, "full"), np.nan)
            over = [full - value.get((clip, crf, other), np.nan) for other in ("bicubic", "ablate-mvs")]
            gains.append(f" {over[0]:+.2f} / {over[1]:+.2f} |")
        lines.append(f"| {clip} |" + "".join(gains))
    return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
    main()
