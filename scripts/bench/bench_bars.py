#!/usr/bin/env python3
"""Measure the lines that a network draws between bars: between the bars of a fence there is grass, and nothing else.

python scripts/bench/bench_bars.py                            # shipped models, bicubic and the pictures themselves
python scripts/bench/bench_bars.py --fence garden_02.mp4      # the fence of garden_02 of fetch_clips.py as well

The drawn fences stand before smooth grass, at several spacings, along rows and along columns, coded at CRF 20. Of garden_02,
scaled to 640x360 and coded at CRF 26, four gaps between real bars count. The measure is the mean absolute second difference of
grey across the bars, away from them, in 8-bit steps. Results are in scripts/results/bars.json, means over spacings.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import numpy.typing as npt
from results_files import ROOT, with_this_command, write_results

from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.versions import versions

Picture = npt.NDArray[np.uint8]
RESULTS = ROOT / "scripts" / "results" / "bars.json"

HEIGHT, WIDTH, FRAMES = 576, 1024, 4  # pixels of the upscaled picture; frames, of which the last but one is measured
SPACINGS = (28, 40, 57, 72)  # pixels from bar to bar
THICKNESS, FIRST = 8, 20  # pixels: of a bar; from the border to the first
CLEAR = 8  # pixels on each side of a bar that do not count
DIRECTIONS = ("rows", "columns")
CRF, FENCE_CRF = 20, 26
_FENCE_GAPS, _FENCE_SIDES = ((876, 918), (942, 976), (1000, 1034), (1058, 1090)), (2385, 2545)  # rows, columns
_FENCE_FRAME, _FENCE_FRAMES = 8, 12


def draw(spacing: int, direction: str) -> Picture:
    """Dark bars with a lit edge before grass out of focus, along "rows" or "columns", (HEIGHT, WIDTH, 3)."""
    noise = np.random.default_rng(0).normal(0, 1, (HEIGHT, WIDTH, 3)).astype(np.float32)
    grass = cv2.GaussianBlur(noise, (0, 0), 24) * 120 + np.array([52, 72, 44], np.float32)
    turned = direction == "columns"
    picture = np.ascontiguousarray(grass.transpose(1, 0, 2)) if turned else grass
    across = np.arange(len(picture), dtype=np.float32)[:, None, None]
    for place in range(FIRST, len(picture), spacing):
        for colour, centre, width in (
            ((25, 30, 25), place, THICKNESS),
            ((150, 165, 150), place - 2.4, THICKNESS * 0.4),
        ):
            cover = np.clip(width / 2 + 0.5 - np.abs(across - centre), 0, 1)
            picture = picture + (np.array(colour, np.float32) - picture) * cover
    drawn = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(drawn.transpose(1, 0, 2)) if turned else drawn


def between(picture: Picture, spacing: int, direction: str) -> float:
    """Mean absolute second difference of grey across the bars of :func:`draw`, between them."""
    plane = _grey(picture)
    plane = plane.T if direction == "columns" else plane
    away = THICKNESS // 2 + CLEAR
    bars = range(FIRST, len(plane) - spacing, spacing)
    return float(np.mean([_bend(plane[bar + away : bar + spacing - away]) for bar in bars]))


def _grey(picture: Picture) -> npt.NDArray[np.float64]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float64)


def _bend(plane: npt.NDArray[np.float64]) -> float:
    return float(np.abs(plane[2:] - 2 * plane[1:-1] + plane[:-2]).mean())


def measure(models: Sequence[str], spacings: Sequence[int], folder: Path) -> list[dict[str, Any]]:
    """Code the drawn fences and upscale them by each model; returns a row for each model, spacing and direction.

    The rows of "original" are of the drawn pictures themselves.
    """
    wanted = [(spacing, direction) for spacing in spacings for direction in DIRECTIONS]
    rows = []
    for spacing, direction in wanted:
        clip = folder / "hr" / f"bars_{direction}_{spacing}"
        clip.mkdir(parents=True)
        picture = draw(spacing, direction)
        for frame in range(FRAMES):
            cv2.imwrite(str(clip / f"{frame:08d}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        rows.append(_row("original", spacing, direction, between(picture, spacing, direction)))
    _codecvsr("benchmark", "--hr-root", folder / "hr", "--out-root", folder, "--crf", CRF)
    for number, model in enumerate(models):
        out = folder / f"made-{number}"
        _codecvsr("infer", "--clip-root", folder / f"hr_CRF{CRF}", "--out-dir", out, "--model", model)
        for spacing, direction in wanted:
            made = cv2.imread(str(out / f"bars_{direction}_{spacing}" / f"{FRAMES - 2:08d}.png"), cv2.IMREAD_COLOR)
            assert made is not None
            picture = np.asarray(cv2.cvtColor(made, cv2.COLOR_BGR2RGB), np.uint8)
            rows.append(_row(model, spacing, direction, between(picture, spacing, direction)))
    return rows


def _row(model: str, spacing: int, direction: str, value: float) -> dict[str, Any]:
    return {"model": model, "spacing": spacing, "direction": direction, "lines": round(value, 3)}


def measure_fence(video: Path, models: Sequence[str], folder: Path) -> dict[str, float]:
    """The same measure in four gaps of the fence of garden_02, upscaled from 640x360, by model."""
    small = folder / "fence.mp4"
    scale = ("-vf", "scale=640:360:flags=bicubic", "-c:v", "libx264", "-crf", str(FENCE_CRF))
    limits = ("-frames:v", str(_FENCE_FRAMES))
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(video), *limits, *scale, str(small)], check=True)
    found = {}
    for number, model in enumerate(models):
        out = folder / f"fence-{number}.mkv"
        _codecvsr("upscale", small, "-o", out, "--codec", "ffv1", "-m", model)
        plane = _grey(list(VideoPictures(out))[_FENCE_FRAME])
        left, right = _FENCE_SIDES
        found[model] = round(float(np.mean([_bend(plane[top:end, left:right]) for top, end in _FENCE_GAPS])), 3)
    return found


def _codecvsr(*arguments: object) -> None:
    command = [sys.executable, "-m", "codecvsr", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"codecvsr {arguments[0]} failed:\n{done.stderr}")


@click.command(help=__doc__.splitlines()[0] if __doc__ else None)
@click.option("--models", default="bicubic,lanczos,codecvsr,codecvsr-fast", show_default=True)
@click.option("--fence", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="garden_02.mp4")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=RESULTS)
def main(models: str, fence: Path | None, out: Path) -> None:
    names = models.split(",")
    with tempfile.TemporaryDirectory() as folder:
        content = {
            "commands": with_this_command([]),
            "versions": versions(),
            "machine": platform.machine(),
            "cells": measure(names, SPACINGS, Path(folder)),
            "fence": measure_fence(fence, names, Path(folder)) if fence else {},
        }
    write_results(out, content)


if __name__ == "__main__":
    main()
