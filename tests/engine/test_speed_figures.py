"""The committed figures of speed: README says what they say, misses come with a profile, goals are judged right."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "scripts" / "results" / "speed.json"


@pytest.fixture(scope="module")
def table():
    spec = importlib.util.spec_from_file_location("speed_table", ROOT / "scripts" / "bench" / "speed_table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entry(milliseconds, **more):
    return {"precision": "bf16", "ms": milliseconds, "gmacs": 16.0, "gbytes": 0.5, "native": False, "frames": 60,
            "bytes_per_pixel_of_window": 300, **more}  # fmt: skip


def content(ours, fast, rate):
    nets = {"codecvsr": entry(ours), "codecvsr-fast": entry(fast), "basicvsr:random": entry(13.0)}
    cells = [
        {"part": "rates", "rates": {"bf16": {"gmacs_per_s": 32e3, "gbytes_per_s": 4e3}}},
        {"part": "net", "size": [180, 320], "load": 1.0, "models": nets},
        {"part": "file", "size": [180, 320], "models": {"codecvsr-fast": {"frames_per_second": rate}}},
        {"part": "profile", "size": [180, 320], "model": "codecvsr", "percent": {"conv": 80.0, "warp": 20.0}},
    ]
    return {"machines": {"NVIDIA X": {}}, "cells": [{"machine": "NVIDIA X", **cell} for cell in cells]}


def test_goals_are_met_or_missed(table):
    good, bad = table.report(content(2.0, 0.5, 200)), table.report(content(3.0, 1.0, 100))
    assert "| **codecvsr** | bf16 | 2.0 | 6.5 times as long | 16.0 | 0.5 | - |" in good
    assert "as BasicVSR at 320x180, at least 5: 6.5, met." in good and "at least 150: 200, met." in good
    assert "at least 20: 26, met." in good and "missed" not in good
    assert bad.count("missed") == 3 and "at least 20: 13, missed." in bad
    assert "conv 80 %, warp 20 %" in good


def test_readme_says_what_was_measured(table):
    measured = json.loads(RESULTS.read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    part = readme.split("<!-- speed:begin -->")[1].split("<!-- speed:end -->")[0]
    assert part.strip() == table.report(measured).strip()
    machines = {cell["machine"] for cell in measured["cells"]}
    assert machines and machines <= set(measured["machines"])
    for cell in measured["cells"]:
        if cell["part"] == "net":
            assert all(found["ms"] > 0 and found["gmacs"] > 0 for found in cell["models"].values())
            assert "basicvsr:random" in cell["models"]
    for machine in machines:
        parts = {cell["part"] for cell in measured["cells"] if cell["machine"] == machine}
        assert "profile" in parts or "missed" not in part
