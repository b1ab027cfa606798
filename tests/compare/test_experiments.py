"""scripts/bench/experiments.py: each experiment in one command."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import experiments
import numpy as np
import pytest
from attention_maps import attention_weights
from click.testing import CliRunner

from codecvsr.files import read_image
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.motion_source import load_motion
from codecvsr.models.rate_groups import RateGroups
from codecvsr.models.zoo import load_model
from codecvsr.train.network import build
from codecvsr.train.recipe import read_recipe
from tests.compare.conftest import FRAMES


def test_rows():
    assert experiments.rows_of("segments", "m@codec") == [f"m@codec+segments={k}" for k in (1, 2, 4, 8)]
    assert experiments.rows_of("windows", "m") == ["m+window=5", "m+window=7", "m+window=11", "m"]
    model = "basicvsr:random"
    assert experiments.rows_of("alignment", model) == [
        f"{model}@{k}" for k in ("zero", "raw", "codec", "dis", "spynet")
    ]


@pytest.mark.parametrize(("experiment", "code", "measured"), [("segments", 3, 2), ("alignment", 0, 5)])
def test_each_writes_table_and_plots(material, basic, tmp_path, experiment, code, measured):
    """The clips have 3 frames: variants that need more are named, the others are measured."""
    arguments = [experiment, "--model", basic, "--hr-root", material / "hr", "--out", tmp_path, "-d", "cpu"]
    done = CliRunner().invoke(experiments.main, [*map(str, arguments), "--crf", "35"])
    assert done.exit_code == code, done.output
    assert "| bicubic |" in done.stdout and "| model | rank |" in done.stdout
    values = json.loads((tmp_path / f"{experiment}.json").read_text())
    assert len({cell["row"] for cell in values["cells"]}) == measured + 1
    assert all(len(cell["per_frame"]) == FRAMES for cell in values["cells"])
    page = (tmp_path / f"{experiment}.html").read_text()
    assert page.count("<svg") >= 2 and "RGB PSNR of every frame: a" in page
    assert (tmp_path / f"{experiment}.md").is_file()


def test_trained_variants_are_labelled_with_their_steps(material, tmp_path, monkeypatch):
    shutil.copytree(material / "hr" / "a", tmp_path / "hr" / "a")
    variants = {name: experiments.TRAINED["rates"][name] for name in ("single-head", "multi-head")}
    monkeypatch.setitem(experiments.TRAINED, "rates", variants)
    sets = ["model.channels=8", "model.blocks=1", "optimisation.crop=8", "optimisation.batch=1"]
    sets += ["optimisation.frames=3", "optimisation.context=1"]
    arguments = ["rates", "--hr-root", tmp_path / "hr", "--out", tmp_path, "--crf", "35", "--steps", 1, "--frames", 1]
    arguments += ["-d", "cpu", *(word for value in sets for word in ("--set", value))]
    done = CliRunner().invoke(experiments.main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    assert "trained and compared on the same clips" in done.stderr
    files = {f"rates-{variant}_1steps.safetensors" for variant in variants}
    assert {path.name for path in (tmp_path / "weights").iterdir()} == files
    values = json.loads((tmp_path / "rates.json").read_text())
    assert {Path(row["row"]).name for row in values["rows"]} == {"bicubic", *files} and not values["failed"]
    assert (tmp_path / "rates.html").is_file()
    many, one = (read_image(tmp_path / f"attention_rates-{n}_1steps.png").shape for n in ("multi-head", "single-head"))
    assert many[0] > 3 * (one[0] - 40) and many[1] == one[1] > 4 * 48


def test_every_variant_is_a_recipe():
    for variants in experiments.TRAINED.values():
        for name, *sets in variants.values():
            network = build(read_recipe(experiments.RECIPES / f"{name}.toml", sets).model)
            assert sum(p.numel() for p in network.parameters()) > 10_000


def test_attention_adds_up_to_one(material):
    network = RateGroups(mid_channels=8, num_blocks=1, multi_head=True).eval()
    model = replace(load_model("rate-groups:random"), network=network)
    source = load_motion(material / "bench" / "hr_CRF35" / "a", "codec", Ablations(), model=model)
    weights = attention_weights(model, source, 1)
    assert weights.shape == (4, 3, 32, 48) and np.allclose(weights.sum(axis=1), 1, atol=1e-4)
    with pytest.raises(TypeError, match="not a frame-rate-group model"):
        attention_weights(load_model("bicubic"), source, 1)
