"""The shipped weights draw nothing that PSNR does not see: the measures of ``compare --artifacts`` on the demo clips."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import bench_bars
import pytest

INPUTS = Path(__file__).resolve().parents[2] / "inputs"
MODELS = ("codecvsr", "codecvsr-fast")
CRF, FRAMES = 26, 4
#: By demo clip: dB of RGB PSNR that the models are ahead of Lanczos by, at least.
GAINS = {"bunny_720p": 1.0, "forest_720p": 0.5}


def _run(*arguments: object) -> str:
    command = [sys.executable, "-m", "codecvsr", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Scores and artifacts of each model, and of bicubic and Lanczos, by clip and row."""
    folder = tmp_path_factory.mktemp("artifacts")
    _run("benchmark", "--hr-root", INPUTS, "--out-root", folder, "--crf", CRF)
    printed = _run(
        *("compare", "--clip-root", folder / f"inputs_CRF{CRF}", "--gt-root", INPUTS, "--frames", FRAMES),
        *("--models", ",".join(("lanczos", *MODELS)), "--artifacts", "--json", "--out-dir", folder / "measured"),
    )
    found: dict[str, dict[str, dict[str, float]]] = {clip: {} for clip in GAINS}
    for cell in json.loads(printed)["cells"]:
        found[cell["clip"]][cell["row"]] = {**cell["artifacts"]["pictures"], "psnr_rgb": cell["psnr_rgb"]}
    return found


@pytest.fixture(params=GAINS)
def clip(request):
    return request.param


@pytest.fixture
def rows(clips, clip):
    return clips[clip]


@pytest.mark.parametrize("model", MODELS)
def test_flat_places_stay_flat(rows, model):
    """Invented detail is at most 1.1 times bicubic's; ruled lines are below those that Lanczos draws beside edges."""
    made = rows[model]
    assert made["invented_detail"] <= 1.1 * rows["bicubic"]["invented_detail"]
    for measure in ("row_lines", "column_lines"):
        assert made[measure] < rows["lanczos"][measure]


@pytest.mark.parametrize("model", MODELS)
def test_no_lattice_and_no_specks(rows, model):
    made = rows[model]
    assert made["lattice"] < 0.1  # dB
    assert made["chroma_specks"] < rows["bicubic"]["chroma_specks"]


@pytest.mark.parametrize("model", MODELS)
def test_far_better_than_without_a_network(rows, clip, model):
    assert rows[model]["psnr_rgb"] > rows["lanczos"]["psnr_rgb"] + GAINS[clip]


@pytest.fixture(scope="module")
def lines_between_bars(tmp_path_factory):
    """Mean over two spacings of the lines between drawn bars, by model and direction."""
    cells = bench_bars.measure(("bicubic", *MODELS), (57, 72), tmp_path_factory.mktemp("bars"))
    found: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        found.setdefault((cell["model"], cell["direction"]), []).append(cell["lines"])
    return {key: fmean(values) for key, values in found.items()}


@pytest.mark.parametrize("direction", bench_bars.DIRECTIONS)
@pytest.mark.parametrize("model", MODELS)
def test_nothing_stands_between_the_bars_of_a_fence(lines_between_bars, model, direction):
    """Weights that had learned one fence by heart drew lines of 2 to 3 steps there."""
    assert lines_between_bars[model, direction] < lines_between_bars["bicubic", direction] + 0.75  # 8-bit steps
