"""scripts/bench/renew_scores.py: new weights change scores and ranks of their own rows, and nothing else."""

from __future__ import annotations

import copy
import json

import check_figures
import pytest
from click.testing import CliRunner
from renew_scores import main, renewed


@pytest.fixture
def old():
    committed = json.loads((check_figures.RESULTS / "compare_fast.json").read_text(encoding="utf-8"))
    return {key: value for key, value in committed.items() if key != "renewed"}


def _new(old, gain):
    """The rows of codecvsr-fast alone, ``gain`` dB better and slower by half."""
    new = copy.deepcopy(old)
    new["command"] = "codecvsr compare --models codecvsr-fast --json"
    for kind in ("rows", "cells", "means"):
        new[kind] = [entry for entry in new[kind] if entry["row"] in ("bicubic", "codecvsr-fast")]
    for entry in (*new["cells"], *new["means"]):
        entry["psnr_rgb"] += gain
        entry["ms_per_frame"] *= 1.5
        if entry.get("weights_sha256"):
            entry["weights_sha256"] = "0" * 64
    for entry in (*new["rows"], *new["cells"]):
        if entry["row"] == "codecvsr-fast":
            entry["parameters"] -= 1000
    return new


def test_scores_of_the_new_rows_alone(old):
    made = renewed(old, _new(old, 1.0))
    for kind in ("cells", "means"):
        for before, after in zip(old[kind], made[kind], strict=True):
            gain = 1.0 if before["row"] == "codecvsr-fast" else 0.0
            assert after["psnr_rgb"] == pytest.approx(before["psnr_rgb"] + gain)
            assert after["ms_per_frame"] == before["ms_per_frame"]
    assert {m["row"] for m in made["means"] if m["rank"] == 1} == {"codecvsr-fast"}
    sizes = [
        (a["parameters"] - b["parameters"])
        for k in ("rows", "cells")
        for b, a in zip(old[k], made[k], strict=True)
        if b["row"] == "codecvsr-fast"
    ]
    assert set(sizes) == {-1000}
    digests = {cell["weights_sha256"] for cell in made["cells"] if cell["row"] == "codecvsr-fast"}
    assert digests == {"0" * 64}
    assert [note["rows"] for note in made["renewed"]] == [["codecvsr-fast"]]
    again = renewed(made, _new(old, 0.0))  # the same command once more: noted once
    assert len(again["renewed"]) == 1 and again["means"] == old["means"]


def test_other_frames_and_unknown_rows_are_refused(old, tmp_path):
    new = _new(old, 0.0)
    new["protocol"]["frames"] = 5
    with pytest.raises(ValueError, match="frames is 5; 0 was expected"):
        renewed(old, new)
    new = _new(old, 0.0)
    new["cells"][-1]["clip"] = "elsewhere"
    paths = tmp_path / "old.json", tmp_path / "new.json"
    for path, content in zip(paths, (old, new), strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")
    run = CliRunner().invoke(main, [str(path) for path in paths])
    assert run.exit_code == 1 and "elsewhere" in run.output
    assert json.loads(paths[0].read_text(encoding="utf-8")) == old
