#!/usr/bin/env python3
"""The main job on the demo clip: compress, upscale with and without each part, score, and print one table.

Writes OUT/clips (the compressed clip and its codec data), OUT/sr (the upscaled frames of every run), OUT/results.json and
OUT/comparison.png (original, bicubic and codecvsr side by side), and prints the command that does each step.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE_HEAD
from rich.table import Table

from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.cli.output import info, print_error, stdout_console
from codecvsr.datasets.benchmark import BuiltClip, make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings
from codecvsr.errors import CodecVSRError, QualityGateError
from codecvsr.files import atomic_file, read_image, write_png
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.infer import infer
from codecvsr.metrics.report import evaluate
from codecvsr.models.zoo import load_model

ROOT = Path(__file__).resolve().parent.parent
HR_ROOT = ROOT / "inputs"
ORIGINAL = HR_ROOT / "forest_720p.mp4"
CRF = 25
ABLATIONS = (
    Ablations(),
    Ablations(mvs=True),
    Ablations(second_order=True),
    Ablations(mvs=True, second_order=True),
    Ablations(p_inversion=True),
    Ablations(resolve=True),
    Ablations(refine=True),
    Ablations(priors=True),
)

CROP = slice(440, 640), slice(590, 850)  # rows and columns of the original that the comparison shows
ZOOM = 2
_MARGIN, _CAPTION, _INK = 8, 30, (235, 235, 235)

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """A line of the table: PSNR in dB, frames/s of the network alone."""

    run: str
    psnr_rgb: float
    ssim_rgb: float
    psnr_y: float
    ssim_y: float
    frames_per_second: float


def compress(out: Path) -> BuiltClip:
    """Makes the demo clip's folder under ``out``.

    Raises:
        CodecVSRError: it could not be made.
    """
    info(f"codecvsr benchmark --hr-root {HR_ROOT} --out-root {out} --crf {CRF} -y")
    settings = BenchmarkSettings(crfs=(CRF,), fps=Fraction(24))
    result = make_benchmark(HR_ROOT, out, settings, clips=[ORIGINAL.stem], overwrite=True)
    if result.failed:
        raise CodecVSRError(result.failed[0].error)
    made = result.built[0]
    info(f"{made.frames} frames, {made.bit_rate:.0f} kbit/s, {made.lr_psnr:.2f} dB against the clip before compression")
    return made


def upscale_and_score(clip: Path, out: Path, model: str, ablations: Ablations) -> tuple[Row, Path]:
    """Returns one line of the table, and the folder of its frames."""
    options = [f"--ablate-{name.replace('_', '-')}" for name in ablations.names]
    frames = out / (
        "_".join(option.removeprefix("--") for option in options) or model.replace(":", "_").replace("/", "_")
    )
    info(
        " ".join(["codecvsr infer --clip-root", str(clip), "--out-dir", str(frames), "--model", model, "-y", *options])
    )
    report = infer(clip, frames, model=model, ablations=ablations, overwrite=True)
    info(f"codecvsr eval --sr-dir {frames} --gt-dir {ORIGINAL}")
    scores = evaluate(frames, ORIGINAL)
    values = (scores.psnr_rgb, scores.ssim_rgb, scores.psnr_y, scores.ssim_y)
    return Row(" ".join(options) or model, *values, report.frames_per_second), frames


def print_table(rows: list[Row], clip: BuiltClip) -> None:
    """Prints the rows on stdout."""
    print(f"{clip.clip}, {clip.frames} frames, x264 at CRF {CRF}, {clip.bit_rate:.0f} kbit/s, upscaled by 4")
    table = Table(box=SIMPLE_HEAD)
    table.add_column("")
    for column in ("PSNR RGB", "SSIM RGB", "PSNR Y", "SSIM Y", "frames/s"):
        table.add_column(column, justify="right")
    for row in rows:
        scores = (f"{row.psnr_rgb:.2f}", f"{row.ssim_rgb:.4f}", f"{row.psnr_y:.2f}", f"{row.ssim_y:.4f}")
        table.add_row(row.run, *scores, f"{row.frames_per_second:.2f}")
    stdout_console().print(table)


def side_by_side(panels: list[tuple[str, Picture]], note: str) -> Picture:
    """Returns a picture of crops of one size side by side, enlarged, each under its caption, with a line of text below."""
    height, width = (side * ZOOM for side in panels[0][1].shape[:2])
    sheet = np.full((height + 2 * _CAPTION + _MARGIN, len(panels) * (width + _MARGIN) + _MARGIN, 3), 24, np.uint8)
    for number, (caption, crop) in enumerate(panels):
        left = _MARGIN + number * (width + _MARGIN)
        sheet[_CAPTION : _CAPTION + height, left : left + width] = cv2.resize(
            crop, (width, height), interpolation=cv2.INTER_NEAREST
        )
        cv2.putText(sheet, caption, (left, _CAPTION - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.6, _INK, 1, cv2.LINE_AA)
    bottom = (_MARGIN, sheet.shape[0] - 12)
    cv2.putText(sheet, note, bottom, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)
    return sheet


def draw_comparison(target: Path, clip: BuiltClip, shown: list[tuple[Row, Path]]) -> None:
    """Writes a part of the middle frame of the original and of each of ``shown``."""
    middle = clip.frames // 2
    original = next(picture for index, picture in enumerate(VideoPictures(ORIGINAL)) if index == middle)
    panels = [("original", original[CROP])]
    for row, folder in shown:
        panels.append((f"{row.run}  {row.psnr_rgb:.2f} dB", read_image(folder / f"{middle:08d}.png")[CROP]))
    note = f"{clip.clip}, a part of frame {middle}; x264 at CRF {CRF}; dB: RGB PSNR over the whole clip"
    write_png(target, side_by_side(panels, note))


def run(out: Path, model: str, require_gain: bool) -> None:
    """Runs the whole job.

    Raises:
        CodecVSRError: a step failed.
        QualityGateError: ``require_gain``, and the model is no better than bicubic.
    """
    begun = time.monotonic()
    load_model(model)  # a missing file fails here, before the encoding
    clip = compress(out / "clips")
    results = [upscale_and_score(clip.folder, out / "sr", "bicubic", Ablations())]
    results += [upscale_and_score(clip.folder, out / "sr", model, ablations) for ablations in ABLATIONS]
    rows = [row for row, _ in results]
    print_table(rows, clip)
    draw_comparison(out / "comparison.png", clip, results[:2])
    summary = {"clip": clip.clip, "crf": CRF, "kbit_per_second": clip.bit_rate, "rows": [asdict(row) for row in rows]}
    with atomic_file(out / "results.json") as part:
        part.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    info(f"{out / 'comparison.png'} shows them side by side; all of it took {time.monotonic() - begun:.0f} s")
    bicubic, full = rows[:2]
    if require_gain and not full.psnr_rgb > bicubic.psnr_rgb:
        raise QualityGateError(f"{model} reaches {full.psnr_rgb:.4f} dB and bicubic {bicubic.psnr_rgb:.4f} dB.")


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "quickstart", help="default: out/quickstart")
    parser.add_argument("--model", default="codecvsr", help="a name of 'codecvsr models list' or a weights file")
    parser.add_argument("--require-gain", action="store_true", help="exit with 4 unless the model beats bicubic")
    arguments = parser.parse_args()
    try:
        run(arguments.out, arguments.model, arguments.require_gain)
    except CodecVSRError as error:
        print_error(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
