"""The command: one table whose figures are those of infer and eval, and failures are listed."""

from __future__ import annotations

import json
import math
import shlex

import pytest
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.compare import run as module
from codecvsr.compare.measurements import Settings
from codecvsr.compare.run import compare
from codecvsr.compare.tables import means_table, measurements_table
from codecvsr.errors import InputError
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.infer import infer
from codecvsr.metrics.report import evaluate
from tests.compare.conftest import FRAMES

CPU = Settings(device="cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def result(material, small, store):
    """Bicubic, a trained network, random weights, and one that cannot be."""
    return compare(
        [material / "bench"],
        material / "hr",
        [f"{small},codecvsr:random+segments=3", f"{small}+window={FRAMES + 1}"],
        settings=Settings(device="cpu", temporal=True, artifacts=True),
        out_dir=store,
    )


def test_ablations_are_rows(material, small, tmp_path):
    root = material / "bench" / "hr_CRF35" / "a"
    result = compare([root], material / "hr", [str(small)], ablations=True, settings=CPU, out_dir=tmp_path)
    ablated = ["mvs", "second-order", "p-inversion", "resolve", "refine", "priors", "mvs+ablate-second-order"]
    expected = ["bicubic", str(small), *(f"{small}+ablate-{part}" for part in ablated)]
    assert [m.row for m in result.measurements] == [variant.name for variant in result.variants] == expected
    assert len({m.psnr_rgb for m in result.measurements}) == 9
    infer(root, tmp_path / "sr", model=small, ablations=Ablations(refine=True), device="cpu")
    measurement = result.measurement(f"{small}+ablate-refine", "hr_CRF35/a")
    assert measurement.psnr_rgb == pytest.approx(evaluate(tmp_path / "sr", material / "hr" / "a").psnr_rgb, abs=1e-9)


def test_scores_are_those_of_infer_and_eval(result, material, small, tmp_path):
    for model in ("bicubic", str(small)):
        infer(material / "bench" / "hr_CRF15" / "b", tmp_path / "sr", model=model, device="cpu", overwrite=True)
        expected = evaluate(tmp_path / "sr", material / "hr" / "b")
        measurement = result.measurement(model, "hr_CRF15/b")
        for name in ("frames", "psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y"):
            assert getattr(measurement, name) == pytest.approx(getattr(expected, name), abs=1e-9)
        assert measurement.per_frame == pytest.approx([row.psnr_rgb for row in expected.rows])
        assert measurement.network_ms > 0 and measurement.peak_memory_mb > 1
        assert measurement.ms_per_frame == pytest.approx(measurement.network_ms + measurement.motion_ms)
        assert (measurement.motion_ms > 0) == (model != "bicubic")
    assert result.measurement("bicubic", "hr_CRF15/b").gmacs == 0 < measurement.gmacs
    assert measurement.warping_error > measurement.warping_error_original > 0


def test_rows_and_failures(result, small):
    names = [variant.name for variant in result.variants]
    rows = ["bicubic", str(small), "codecvsr:random+segments=3", f"{small}+window={FRAMES + 1}"]
    assert names == rows
    failed = {(f.row, f.clip): f.error for f in result.failed}
    assert f"but there are {FRAMES}" in failed[f"{small}+window={FRAMES + 1}", "hr_CRF35/a"]
    assert len(failed) == 4 and not result.all_failed()
    table = measurements_table(result)
    assert len(table.lines) == len(names) * 4
    assert sum(line[-1].startswith("failed: ") for line in table.lines) == 4


def test_random_weights_have_no_scores_and_no_rank(result, small):
    measurements = [m for m in result.measurements if m.training == "untrained"]
    assert len(measurements) == 4 and {m.row for m in measurements} == {"codecvsr:random+segments=3"}
    for measurement in measurements:
        assert (
            measurement.psnr_rgb is measurement.ssim_y is measurement.warping_error is None
            and measurement.per_frame == ()
        )
        assert measurement.gmacs > 0 and measurement.network_ms > 0 and measurement.parameters > 1000
    means = {(mean.row, mean.crf): mean for mean in result.means()}
    mean = means["codecvsr:random+segments=3", "CRF35"]
    assert mean.rank is None and mean.values["psnr_rgb"] is None and mean.clips == 2
    ranked = [m for m in means.values() if m.crf == "CRF35" and m.rank is not None]
    order = sorted(ranked, key=lambda m: m.rank)
    assert [m.rank for m in order] == list(range(1, len(ranked) + 1)) and len(ranked) == 2
    assert [m.values["psnr_rgb"] for m in order] == sorted((m.values["psnr_rgb"] for m in ranked), reverse=True)
    table = means_table(result, "CRF35")
    (line,) = [line for line in table.lines if line[0].startswith("codecvsr:random")]
    assert line[1:6] == ("-",) * 5 and line[-1].startswith("untrained")
    bicubic = means["bicubic", "CRF15"].values["psnr_rgb"]
    measurements = [result.measurement("bicubic", f"hr_CRF15/{name}").psnr_rgb for name in "ab"]
    assert bicubic == pytest.approx(sum(measurements) / 2)


def test_segments_are_clips_of_their_own(material, basic, tmp_path):
    """A clip in as many segments as frames has no neighbours: the motion does not matter."""
    rows = [f"{basic}@{kind}+segments={FRAMES}" for kind in ("zero", "dis")]
    rows += [f"{basic}@dis", f"{basic}@dis+window={FRAMES}"]
    result = compare([material / "bench" / "hr_CRF15" / "a"], material / "hr", rows, settings=CPU, out_dir=tmp_path)
    zero, dis, whole, window = (result.measurement(row, "hr_CRF15/a").per_frame for row in rows)
    convolutions = 2 * 9 * 8 * (11 + 8 + 8) + 16 * 8 + 9 * (8 * 32 + 4 * 8 * 256 + 16 * 64 * (64 + 3))
    assert result.measurement(rows[0], "hr_CRF15/a").gmacs == pytest.approx(convolutions * 32 * 48 / 1e9)
    assert window == whole  # there is only one window
    assert zero == dis and whole != pytest.approx(dis, abs=1e-6)


def test_only_the_first_frames(material, tmp_path):
    result = compare([material / "bench" / "hr_CRF15" / "a"], material / "hr", ["bicubic"],
                     settings=Settings(device="cpu", frames=2, crop_border=8), out_dir=tmp_path)  # fmt: skip
    measurement = result.measurement("bicubic", "hr_CRF15/a")
    assert measurement.frames == len(measurement.per_frame) == 2


def test_stored_measurements_are_not_measured_again(result, material, small, store, monkeypatch):
    def never(*args):
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "measure", never)
    settings = Settings(device="cpu", temporal=True, artifacts=True)
    again = compare([material / "bench"], material / "hr", [str(small)], settings=settings, out_dir=store)
    assert len(again.measurements) == 8
    for measurement in again.measurements:
        assert measurement == result.measurement(measurement.row, measurement.clip_key)
    assert set(again.pictures) <= set(result.pictures) and len(again.pictures) == 8
    for other in ({"settings": CPU}, {"settings": settings, "fresh": True}):
        with pytest.raises(AssertionError, match="measured again"):
            compare([material / "bench"], material / "hr", [str(small)], out_dir=store, **other)


def test_an_interrupted_run_continues(material, small, tmp_path, monkeypatch):
    real, calls = module.measure, []

    def interrupted(*args):
        calls.append(args[0].name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(module, "measure", interrupted)
    arguments = ([material / "bench" / "hr_CRF15"], material / "hr", [str(small)])
    with pytest.raises(KeyboardInterrupt, match="2 measurements are stored"):
        compare(*arguments, settings=CPU, out_dir=tmp_path)
    result = compare(*arguments, settings=CPU, out_dir=tmp_path)
    assert len(result.measurements) == 4 and calls == ["bicubic", "bicubic", str(small), str(small), str(small)]


# --- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: object):
    return CliRunner().invoke(cli, ["compare", *map(str, arguments), "-d", "cpu"])


def test_command(material, tmp_path):
    roots = ["--clip-root", material / "bench" / "hr_CRF15" / "a", material / "bench" / "hr_CRF35"]
    page = tmp_path / "page.html"
    common = [*roots, "--gt-root", material / "hr", "--out-dir", tmp_path / "out"]
    done = run(*common, "--models", "bicubic", "--json", "--report", page, "--report", tmp_path / "page.md")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    command = shlex.split(said["command"])
    assert (
        "compare" in command
        and command[-1] == "cpu"
        and command[command.index("--gt-root") + 1] == str(material / "hr")
    )
    assert set(said) == {"command", "protocol", "rows", "clips", "cells", "means", "failed"}
    assert [(c["clip"], c["crf"]) for c in said["cells"]] == [("a", 15), ("a", 35), ("b", 35)]
    assert all(math.isfinite(cell["psnr_rgb"]) for cell in said["cells"]) and said["failed"] == []
    assert [clip["preset"] for clip in said["clips"]] == ["medium"] * 3
    assert page.is_file() and (tmp_path / "page.md").is_file()
    again = run(*common, "--models", "bicubic", "--report", page)
    assert again.exit_code == 1 and "exists already" in again.stderr
    assert run(*common, "--models", "bicubic", "--report", page, "-y").exit_code == 0


def test_exit_codes(material, small, tmp_path):
    common = ["--clip-root", material / "bench" / "hr_CRF15" / "a", "--gt-root", material / "hr"]
    common += ["--out-dir", tmp_path / "out"]
    too_long = f"{small}+window={FRAMES + 1}"
    part = run(*common, "--models", f"{small},{too_long}")
    assert part.exit_code == 3 and f"warning: {too_long} on hr_CRF15/a: " in part.stderr
    assert "failed" in part.stdout and "bicubic" in part.stdout
    assert run(*common, "--models", too_long).exit_code == 1
    assert run(*common, "--models", "bicubic").exit_code == 0
    for wrong in (["--models", "a@b"], ["--models", "bicubic", "--report", "x.txt"],
                  ["--models", "bicubic", "--crop", "1,2,3"]):  # fmt: skip
        assert run(*common, *wrong).exit_code == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    other = run(*common[:4], "--out-dir", tmp_path / "mine", "--models", "bicubic")
    assert other.exit_code == 1 and "is not a folder of codecvsr compare" in other.stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_lpips_is_a_column_where_it_is_asked_for(material, tmp_path, monkeypatch):
    class Distance:
        def distance(self, picture, original, crop_border):
            return abs(float(picture.mean()) - float(original.mean())) + crop_border

    monkeypatch.setattr("codecvsr.compare.measurements.shared_lpips", lambda: Distance())
    monkeypatch.setattr(module, "shared_lpips", lambda: None)
    root = material / "bench" / "hr_CRF35" / "a"
    settings = Settings(device="cpu", lpips=True, crop_border=2)
    result = compare([root], material / "hr", ["bicubic"], settings=settings, out_dir=tmp_path)
    assert 2 < result.measurements[0].lpips < 4
    assert "LPIPS" in means_table(result, "CRF35").header and "LPIPS" in measurements_table(result).header
    assert result.to_json()["cells"][0]["lpips"] == result.measurements[0].lpips


def test_lpips_without_weights_is_told_before_any_work(material, tmp_path, monkeypatch):
    monkeypatch.setenv("CODECVSR_CACHE", str(tmp_path / "empty"))
    with pytest.raises(InputError, match="models fetch lpips-alex"):
        compare(
            [material / "bench"], material / "hr", ["bicubic"], settings=Settings(lpips=True), out_dir=tmp_path / "out"
        )
