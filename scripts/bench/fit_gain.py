#!/usr/bin/env python3
"""Fit the formula of the expected gain over bicubic (codecvsr/upscaling/gain.py) to the committed figures.

python scripts/bench/fit_gain.py                     # fit again, from scripts/results, and print the coefficients
python scripts/bench/fit_gain.py --bench bench       # first measure the streams bench/val_CRF15, 25 and 35 again

Gains are those of scripts/results/compare_fast.json, the facts of the streams those of scripts/results/gain.json. The error is
that of each clip under the fit to all other clips.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from quality_tables import psnr_of_cells
from results_files import with_this_command, write_results

from codecvsr.bitstream.reader import read_video
from codecvsr.upscaling.gain import FORMULAS, GainFormula, facts_of
from codecvsr.versions import versions

RESULTS = Path(__file__).resolve().parents[2] / "scripts" / "results"
MODELS = ("codecvsr", "codecvsr-fast")
CRFS = (15, 25, 35)


def measure(bench: Path, gains: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns a row for each clip and CRF: facts of the stream, and gains of the models."""
    psnr = psnr_of_cells(gains)
    rows = []
    for crf in CRFS:
        for folder in sorted((bench / f"val_CRF{crf}").iterdir()):
            facts = facts_of(read_video(folder / "clip.mp4"))
            assert facts is not None
            gain = {m: psnr[m, folder.name, crf] - psnr["bicubic", folder.name, crf] for m in MODELS}
            rows.append({"clip": folder.name, "crf": crf, "qp": facts.qp, "vectors": facts.vectors, "gain_db": gain})
    return rows


def fit(rows: list[dict[str, Any]], model: str) -> GainFormula:
    """Fits by least squares; the error leaves one clip out at a time."""
    inputs = np.array([[1.0, row["qp"], row["vectors"]] for row in rows])
    gains = np.array([row["gain_db"][model] for row in rows])
    clips = np.array([row["clip"] for row in rows])
    errors: list[npt.NDArray[np.float64]] = []
    for clip in sorted(set(clips)):
        others = clips != clip
        errors.append(inputs[~others] @ _solve(inputs[others], gains[others]) - gains[~others])
    constant, per_qp, per_vector = (round(float(value), 4) for value in _solve(inputs, gains))
    return GainFormula(constant, per_qp, per_vector, round(float(np.sqrt(np.mean(np.concatenate(errors) ** 2))), 2))


def _solve(inputs: npt.NDArray[np.float64], gains: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.linalg.lstsq(inputs, gains, rcond=None)[0]


@click.command(help=__doc__)
@click.option("--bench", type=click.Path(exists=True, path_type=Path), help="Folder of the benchmark clips.")
def main(bench: Path | None) -> None:
    """Fits, and prints the coefficients."""
    path = RESULTS / "gain.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if bench is not None:
        gains = json.loads((RESULTS / "compare_fast.json").read_text(encoding="utf-8"))
        rows = measure(bench, gains)
        content = {
            "commands": with_this_command(content.get("commands", [])),
            "versions": versions(),
            "machine": platform.machine(),
            "rows": rows,
        }
        write_results(path, content)
    for model in MODELS:
        formula = fit(content["rows"], model)
        click.echo(f"{model}: {formula}{'' if FORMULAS.get(model) == formula else '  (gain.py differs)'}")


if __name__ == "__main__":
    main()
