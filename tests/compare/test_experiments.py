"""scripts/experiments.py: each experiment in one command."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.compare.conftest import FRAMES

SCRIPT = Path(__file__).parents[2] / "scripts" / "experiments.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("experiments", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows(script):
    assert script.rows_of("segments", "m@codec") == [f"m@codec+segments={k}" for k in (1, 2, 4, 8)]
    assert script.rows_of("windows", "m") == ["m+window=5", "m+window=7", "m+window=11", "m"]
    model = "basicvsr:random"
    assert script.rows_of("alignment", model) == [f"{model}@{k}" for k in ("zero", "raw", "codec", "dis", "spynet")]


@pytest.mark.parametrize(("experiment", "code", "measured"), [("segments", 3, 2), ("alignment", 0, 5)])
def test_each_writes_table_and_plots(script, material, basic, tmp_path, experiment, code, measured):
    """The clips have 3 frames: what needs more is named, and the rest is there."""
    arguments = [experiment, "--model", basic, "--hr-root", material / "hr", "--out", tmp_path, "-d", "cpu"]
    done = CliRunner().invoke(script.main, [*map(str, arguments), "--crf", "35"])
    assert done.exit_code == code, done.output
    assert "| bicubic |" in done.stdout and "| model | rank |" in done.stdout
    values = json.loads((tmp_path / f"{experiment}.json").read_text())
    assert len({cell["row"] for cell in values["cells"]}) == measured + 1
    assert all(len(cell["per_frame"]) == FRAMES for cell in values["cells"])
    page = (tmp_path / f"{experiment}.html").read_text()
    assert page.count("<svg") >= 2 and "RGB PSNR of every frame: a" in page
    assert (tmp_path / f"{experiment}.md").is_file()
