"""Makes the comparison on the first screen of the page: the demo clip at a quarter of its size and CRF 25, by bicubic and codecvsr.

Runs the same job as the page, cuts out the part of the frame where codecvsr gains most, and writes ``demo.mp4`` (both views in
one picture) and ``demo.json`` (its layout, and the scores of the whole frames) into ``codecvsr/web/static``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.json_values import jsonable
from codecvsr.metrics.artifact_places import densest_box
from codecvsr.metrics.planes import luma
from codecvsr.web.app import demo_clip
from codecvsr.web.job import run_job
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import DEMO, Parameters, Run
from codecvsr.web.video_writer import Mosaic, VideoWriter
from codecvsr.web.views import COMPARISON, RESULT

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "codecvsr" / "web" / "static"
WEIGHTS = ROOT / "weights" / "codecvsr.safetensors"
_CRF, _SECONDS = 25, 60.0  # of the clip: all of it
_WIDTH, _HEIGHT = 640, 360
_OUTPUT_CRF = 19

Picture = npt.NDArray[np.uint8]


def main() -> None:
    """Write the two files; with ``--job``, from the folder of a finished job of the demo clip, at CRF 25 by codecvsr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", type=Path, metavar="DIR", help="folder of a finished job; by default it is run")
    parser.add_argument("--out", type=Path, default=STATIC, metavar="DIR", help="folder of the two files")
    arguments = parser.parse_args()
    if arguments.job is not None:
        make_demo(arguments.job, arguments.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job"
        run_job(demo_clip(), job, Parameters(DEMO, _CRF, 0.0, _SECONDS, "cpu", Run("codecvsr"), None), Limits(), print)
        make_demo(job, arguments.out)


def make_demo(job: Path, out: Path) -> None:
    """Write ``demo.mp4`` and ``demo.json`` from a job's files."""
    result = json.loads((job / RESULT).read_text(encoding="utf-8"))
    keys = [view["key"] for view in result["views"]]
    order = [keys.index(key) for key in ("bicubic", "model")]
    mosaic = result["mosaic"]
    sheets = list(VideoPictures(job / COMPARISON))
    x, y = _best_place([[_view(sheet, mosaic, i) for i in (*order, keys.index("original"))] for sheet in sheets])
    layout = Mosaic.of(_WIDTH, _HEIGHT, len(order))
    with VideoWriter(out / "demo.mp4", Fraction(result["fps"]).limit_denominator(1001), crf=_OUTPUT_CRF) as video:
        for sheet in sheets:
            parts = [_view(sheet, mosaic, i)[y : y + _HEIGHT, x : x + _WIDTH] for i in order]
            video.add(layout.compose(parts))
    shown = {
        "frames": result["frames"],
        "fps": result["fps"],
        "mosaic": layout.to_json(),
        "views": [
            {"key": keys[i], "label": result["views"][i]["label"], "mean": result["views"][i]["scores"]["mean"]}
            for i in order
        ],
        "crf": _CRF,
        "source": [side // 4 for side in result["size"]],
        "size": result["size"],
        "part": [x, y, _WIDTH, _HEIGHT],
        "kbit_per_second": round(result["compressed"]["kbit_per_second"]),
        "weights_sha256": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest(),
        "command": "python scripts/bench/page_demo.py",
    }
    (out / "demo.json").write_text(json.dumps(jsonable(shown), indent=1) + "\n", encoding="utf-8")


def _view(sheet: Picture, mosaic: dict[str, Any], number: int) -> Picture:
    left, top = number % mosaic["columns"] * mosaic["cell"][0], number // mosaic["columns"] * mosaic["cell"][1]
    return sheet[top : top + mosaic["view"][1], left : left + mosaic["view"][0]]


def _best_place(frames: list[list[Picture]]) -> tuple[int, int]:
    """Returns (x, y) of the part where the mean squared error falls most from the first view to the second."""
    gain = np.zeros(frames[0][0].shape[:2], np.float32)
    for before, after, truth in frames:
        reference = luma(truth)
        gain += np.square(luma(before) - reference) - np.square(luma(after) - reference)
    _, x, y = densest_box(np.maximum(gain, 0), _WIDTH, _HEIGHT)
    return x // 2 * 2, y // 2 * 2


if __name__ == "__main__":
    main()
