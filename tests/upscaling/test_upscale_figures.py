"""The committed figures of ``upscale``: they meet their goals, and README says what they say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CELLS = json.loads((ROOT / "scripts" / "results" / "upscale.json").read_text(encoding="utf-8"))["cells"]


def cells(part):
    found = [cell for cell in CELLS if cell["part"] == part]
    if not found:
        pytest.skip(f"{part}: not measured yet")
    return found


def test_memory_does_not_grow_with_the_film():
    by_settings: dict[tuple, dict[int, dict]] = {}
    for cell in cells("memory"):
        by_settings.setdefault((cell["model"], cell["chunk"]), {})[cell["film_seconds"]] = cell
    pairs = [videos for videos in by_settings.values() if {30, 600} <= set(videos)]
    assert pairs
    for videos in pairs:
        assert videos[600]["peak_mib"] <= 1.2 * videos[30]["peak_mib"]
        quarters = videos[600]["peak_mib_by_quarter"]
        assert quarters[3] <= 1.05 * max(quarters[:2])


def test_shards_change_next_to_nothing():
    for cell in cells("streamed"):
        assert cell["shard_edges"]
        assert abs(cell["streamed_minus_whole"]) <= 0.02
        assert float(cell["between_min_away_from_edges"]) >= 50


@pytest.mark.parametrize("codec", ["hevc", "vp9"])
def test_inputs_without_vectors_are_hardly_worse(codec):
    assert all(cell[f"{codec}_minus_h264"] >= -0.1 for cell in cells("companion"))


def test_kills_lose_nothing():
    assert sum(cell["kills"] for cell in cells("kills")) >= 20
    assert all(cell["equal"] and cell["results_compared"] for cell in cells("kills"))


def test_the_container_matrix_passed():
    outcomes = [outcome for cell in cells("containers") for outcome in cell["cases"].values()]
    assert len(outcomes) >= 20 and set(outcomes) == {"passed"}


def test_two_workers_are_faster_where_there_are_cores_for_both():
    for cell in cells("workers"):
        assert cell["equal"]
        assert cell["speed_up"] >= 1.7 or cell["cores"] - cell["load_before"] < 2


def test_readme_says_what_the_figures_say():
    spec = importlib.util.spec_from_file_location("upscale_table", ROOT / "scripts" / "bench" / "upscale_table.py")
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = readme.split("<!-- upscale:begin -->")[1].split("<!-- upscale:end -->")[0]
    assert told.strip() == table.findings({"cells": CELLS})
