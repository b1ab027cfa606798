"""scripts/bench/check_figures.py: the committed figures agree with the documents, and faults are found."""

from __future__ import annotations

import copy
import importlib
import shutil
from pathlib import Path

import check_figures
import estimates_table
import pytest
import speed_plot
import speed_table
import upscale_table
from click.testing import CliRunner


@pytest.fixture(scope="module")
def results():
    return check_figures.read_results()


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies of README and docs that a test may spoil."""
    shutil.copy(check_figures.ROOT / "README.md", tmp_path)
    shutil.copytree(check_figures.ROOT / "docs", tmp_path / "docs")
    monkeypatch.setattr(check_figures, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", sorted(path.stem for path in Path(check_figures.__file__).parent.glob("*.py")))
def test_every_script_imports(name: str):
    importlib.import_module(name)


def test_committed_figures_agree():
    done = CliRunner().invoke(check_figures.main, [])
    assert done.exit_code == 0, done.output


def test_a_changed_table_is_found_and_mended(results, documents: Path):
    page = documents / "docs" / "results.md"
    page.write_text(
        page.read_text(encoding="utf-8").replace("| bicubic | 27.82", "| bicubic | 28.82"), encoding="utf-8"
    )
    assert [line.split(";")[0] for line in check_figures.stale_parts(results)] == [
        "docs/results.md: quality differs from scripts/results"
    ]
    assert CliRunner().invoke(check_figures.main, []).exit_code == 1
    assert CliRunner().invoke(check_figures.main, ["--write"]).exit_code == 0
    assert page.read_text(encoding="utf-8").count("| bicubic | 27.82") == 1


def test_an_estimate_that_is_far_off_is_found(results):
    spoilt = copy.deepcopy(results["estimates"])
    assert list(estimates_table.faults(spoilt)) == []
    first, *others = spoilt["rows"]
    first["bytes"]["error"] = -0.31
    assert [line.split(",")[0] for line in estimates_table.faults(spoilt)] == [first["input"]]
    spoilt["rows"] = [row for row in others if row["input"] != "720p"]
    assert "720p: not measured" in list(estimates_table.faults(spoilt))


def test_a_file_without_command_versions_or_machine_is_found(results):
    for name, lost in (("motion", "versions"), ("cpu", "command"), ("upscale", "machine"), ("speed", "machines")):
        spoilt = {name: {key: value for key, value in results[name].items() if key != lost}}
        assert list(check_figures.unknown_origins(spoilt)), (name, lost)
    assert "rows failed" in next(check_figures.unknown_origins({"compare": results["compare"] | {"failed": ["a row"]}}))


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("memory", {"peak_mib_by_quarter": [1000, 1000, 1000, 2000]}),
        ("streamed", {"streamed_minus_whole": 0.03}),
        ("streamed", {"between_min_away_from_edges": 49}),
        ("companion", {"vp9_minus_h264": -0.2}),
        ("kills", {"equal": False}),
        ("containers", {"cases": {"mp4": "failure"}}),
        ("workers", {"speed_up": 1.2, "load_before": 0.0}),
    ],
)
def test_a_missed_goal_of_upscale_is_found(results, part, change):
    spoilt = copy.deepcopy(results["upscale"])
    assert list(upscale_table.faults(spoilt)) == []
    for measurement in spoilt["cells"]:
        if measurement["part"] == part:
            measurement.update(change)
    assert list(upscale_table.faults(spoilt))
    spoilt["cells"] = [measurement for measurement in spoilt["cells"] if measurement["part"] != part]
    assert f"{part}: not measured" in list(upscale_table.faults(spoilt))


def entry(milliseconds, **more):
    return {"precision": "bf16", "ms": milliseconds, "gmacs": 16.0, "gbytes": 0.5, "native": False, "frames": 60,
            "bytes_per_pixel_of_window": 300, **more}  # fmt: skip


def speed(ours, fast, rate):
    nets = {"codecvsr": entry(ours), "codecvsr-fast": entry(fast), "basicvsr:random": entry(13.0)}
    measurements = [
        {"part": "rates", "rates": {"bf16": {"gmacs_per_s": 32e3, "gbytes_per_s": 4e3}}},
        {"part": "net", "size": [180, 320], "load": 1.0, "models": nets},
        {"part": "file", "size": [180, 320], "models": {"codecvsr-fast": {"frames_per_second": rate}}},
        {"part": "profile", "size": [180, 320], "model": "codecvsr", "percent": {"conv": 80.0, "warp": 20.0}},
    ]
    return {"machines": {"NVIDIA X": {}}, "cells": [{"machine": "NVIDIA X", **each} for each in measurements]}


def test_goals_of_speed_are_met_or_missed():
    good, bad = speed_table.report(speed(2.0, 0.5, 200)), speed_table.report(speed(3.0, 1.0, 100))
    assert "| **codecvsr** | bf16 | 2.0 | 6.5 times | 16.0 | 0.5 | - |" in good
    assert "as BasicVSR at 320x180, at least 5: 6.5, met." in good and "at least 150: 200, met." in good
    assert "at least 20: 26, met." in good and "missed" not in good
    assert bad.count("missed") == 3 and "at least 20: 13, missed." in bad
    assert "conv 80 %, warp 20 %" in good


def test_a_missed_goal_of_speed_needs_a_profile():
    missed = speed(3.0, 1.0, 100)
    assert list(speed_table.faults(missed)) == []
    missed["cells"] = [measurement for measurement in missed["cells"] if measurement["part"] != "profile"]
    assert "there is no profile" in next(speed_table.faults(missed))


def test_the_plot_has_a_roofline_only_where_rates_were_measured(tmp_path: Path):
    content = speed(2.0, 0.5, 200)
    content["cells"][1]["models"]["basicvsr:random"]["precision"] = "fp32"  # its rates are not there
    of_machine = content["cells"]
    limits = speed_plot.rooflines(content["cells"][1]["models"], of_machine)
    assert set(limits) == {0, 1} and all(limit < 2.0 for limit in limits.values())
    speed_plot.draw(content, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").stat().st_size > 1000


def test_the_committed_results_have_rooflines_of_known_rates(results):
    content = results["speed"]
    rates = {kind for each in content["cells"] if each["part"] == "rates" for kind in each["rates"]}
    for measurement in (each for each in content["cells"] if each["part"] == "net"):
        models = measurement["models"]
        known = {place for place, found in enumerate(models.values()) if found["precision"] in rates}
        assert set(speed_plot.rooflines(models, content["cells"])) == known
