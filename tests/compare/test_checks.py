"""What is checked before the first frame, what the terminal shows on the way, and the faults beside the scores."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.cli.compare_progress import duration
from codecvsr.compare import run as module
from codecvsr.compare import store
from codecvsr.compare.measurements import Settings
from codecvsr.compare.run import Step, compare
from codecvsr.compare.tables import summary_table
from codecvsr.compare.variants import Variant
from codecvsr.compare.work import RemainingTime, Work
from codecvsr.errors import CodecVSRError
from codecvsr.files import FRAME_NAME, read_image, write_png
from codecvsr.inference.infer import infer
from codecvsr.metrics.artifacts import LABELS
from codecvsr.metrics.report import evaluate
from tests.compare.conftest import FRAMES

CPU = Settings(device="cpu")


@pytest.fixture
def nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> None:
        raise AssertionError("a frame was made")

    monkeypatch.setattr(module, "measure", never)


@pytest.mark.usefixtures("nothing_is_measured")
@pytest.mark.parametrize(
    ("models", "said"),
    [
        (["bicubic,codecvsr,codecvsr-fst"], "Did you mean 'codecvsr-fast'"),
        (["bicubic,codecvsr:random@raw,edvr-m:random@codec"], "edvr-m:random: uses no motion"),
        (["codecvsr:random,edvr-m:random+window=3"], "has a window of its own"),
        (["basicvsr:random+ablate-priors"], "has no priors"),
    ],
)
def test_models_are_checked_before_the_first_frame(
    material: Path, tmp_path: Path, models: list[str], said: str
) -> None:
    with pytest.raises(CodecVSRError, match=said):
        compare([material / "bench"], material / "hr", models, settings=CPU, out_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("nothing_is_measured")
@pytest.mark.parametrize(
    ("fault", "said"), [("size", "use the originals of this clip"), ("length", "has 2 frames, but")]
)
def test_clips_are_checked_before_the_first_frame(material: Path, tmp_path: Path, fault: str, said: str) -> None:
    shutil.copytree(material / "hr", tmp_path / "hr")
    last = tmp_path / "hr" / "b"
    if fault == "length":
        (last / FRAME_NAME).with_name(FRAME_NAME % (FRAMES - 1)).unlink()
    else:
        for path in last.iterdir():
            write_png(path, np.ascontiguousarray(read_image(path)[:-8]))
    with pytest.raises(CodecVSRError, match=said):
        compare([material / "bench"], tmp_path / "hr", ["bicubic"], settings=CPU, out_dir=tmp_path / "out")


@pytest.mark.usefixtures("nothing_is_measured")
def test_a_report_that_cannot_be_written_is_refused_first(material: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "page_files").mkdir()
    common = ["compare", "--clip-root", material / "bench", "--gt-root", material / "hr", "--models", "bicubic"]
    for report, said in (("file/page.html", "cannot be written"), ("page.md", "page_files: exists already")):
        done = CliRunner().invoke(cli, [*map(str, common), "--report", str(tmp_path / report)])
        assert done.exit_code == 1 and said in done.stderr


def test_steps_count_every_measurement_and_frame(material: Path, small: Path, tmp_path: Path) -> None:
    steps: list[Step] = []
    root = material / "bench" / "hr_CRF35"
    compare([root], material / "hr", [str(small)], settings=CPU, out_dir=tmp_path, on_step=steps.append)
    assert {step.total for step in steps} == {4} and {step.frames for step in steps} == {FRAMES}
    assert [(step.number, step.frame) for step in steps] == [(n, f) for n in range(1, 5) for f in (0, 1, 2, 3, 3)]
    ends = [step for step in steps if step.measurement is not None]
    assert [step.measurement.row for step in ends if step.measurement] == ["bicubic"] * 2 + [str(small)] * 2
    assert steps[0].eta_seconds is None and ends[-1].eta_seconds == 0
    assert all(step.eta_seconds is not None and step.eta_seconds > 0 for step in steps[5:-1])


def test_time_left_is_that_of_the_same_model_if_it_is_known() -> None:
    class Clip:
        def length(self, limit: int) -> int:
            return 10

    fast, ablated, slow = Variant("fast"), Variant("fast", "zero"), Variant("slow")
    other = Variant("fast", "dis")
    pairs = [(fast, Clip()), (fast, Clip()), (ablated, Clip()), (other, Clip()), (slow, Clip())]
    remaining = RemainingTime(Work(pairs=pairs), CPU)  # type: ignore[arg-type]
    assert remaining.seconds() is None
    remaining.add(fast, 5.0, 10)
    assert remaining.seconds() == pytest.approx(20)
    remaining.skip()
    remaining.add(ablated, 20.0, 10)
    assert remaining.seconds() == pytest.approx(12.5 + 20)  # as its model on average; as slow as the slowest
    assert [duration(s) for s in (12, 600, 7200)] == ["about 12 s", "about 10 min", "about 2.0 h"]


def test_terminal_has_a_line_per_model_and_every_clip_with_v(material: Path, small: Path, tmp_path: Path) -> None:
    arguments = ["compare", "--clip-root", material / "bench", "--gt-root", material / "hr", "--models", small]
    arguments += ["--out-dir", tmp_path, "-d", "cpu"]
    short = CliRunner().invoke(cli, list(map(str, arguments)))
    lines = [line for line in short.stdout.splitlines() if "bicubic" in line]
    assert short.exit_code == 0 and len(lines) == 1 and "CRF 15" in short.stdout and "CRF 35" in short.stdout
    assert "2 of 8: bicubic on hr_CRF35/a: " in short.stderr and " left" in short.stderr
    long = CliRunner().invoke(cli, [*map(str, arguments), "-v"])
    lines = [line for line in long.stdout.splitlines() if "bicubic" in line]
    assert len(lines) == 1 + 2 + 4  # summary, means by CRF, clips
    assert long.stderr.count("(stored)") == 8


def test_the_summary_fits_a_narrow_terminal(material: Path, small: Path, tmp_path: Path) -> None:
    result = compare(
        [material / "bench"], material / "hr", [str(small)], ablations=True, settings=CPU, out_dir=tmp_path
    )
    table = summary_table(result)
    assert table.header == ("model", "CRF 15", "CRF 35", "ms/frame")  # no notes, no column of them
    assert [line[0] for line in table.lines][1:4] == [str(small), "  +ablate-mvs", "  +ablate-second-order"]
    means = {(mean.row, mean.crf): mean for mean in result.means()}
    assert table.lines[0][1] == "{psnr_rgb:.2f} {ssim_rgb:.4f}".format(**means["bicubic", "CRF15"].values)
    assert len(table.best) == 2 and all(column in (1, 2) for _, column in table.best)


def test_artifacts_are_those_of_eval(material: Path, tmp_path: Path) -> None:
    roots = [material / "bench" / "hr_CRF35"]
    settings = replace(CPU, artifacts=True)
    result = compare(roots, material / "hr", ["bicubic"], settings=settings, out_dir=tmp_path / "out")
    infer(roots[0] / "a", tmp_path / "sr", model="bicubic", device="cpu")
    expected = evaluate(tmp_path / "sr", material / "hr" / "a", artifacts=True).artifacts
    values = result.to_json()
    assert values["cells"][0]["artifacts"] == expected and set(expected) == {"pictures", "originals"}
    both = [cell["artifacts"]["pictures"]["chroma_specks"] for cell in values["cells"]]
    assert values["means"][0]["artifacts"]["pictures"]["chroma_specks"] == pytest.approx(sum(both) / 2)
    without = compare(roots, material / "hr", ["bicubic"], settings=CPU, out_dir=tmp_path / "out").to_json()
    assert without["cells"][0]["artifacts"] is None and "artifacts" not in without["means"][0]


def test_what_a_version_with_fewer_measures_stored_is_measured_again(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stored(artifacts: bool) -> bool:
        seen: list[Step] = []
        settings = replace(CPU, artifacts=artifacts)
        arguments = ([material / "bench" / "hr_CRF35"], material / "hr", ["bicubic"])
        compare(*arguments, settings=settings, out_dir=tmp_path, on_step=seen.append)
        return all(step.is_stored for step in seen if step.measurement is not None)

    with monkeypatch.context() as patch:
        patch.setattr(store, "LABELS", {name: label for name, label in LABELS.items() if name != "colour_shift"})
        assert not stored(True) and stored(True)
        assert not stored(False)
    assert not stored(True), "colour_shift is missing in what was stored"
    assert stored(False)


def test_artifacts_stand_in_the_table_with_the_originals(material: Path, tmp_path: Path) -> None:
    arguments = ["compare", "--clip-root", material / "bench" / "hr_CRF35", "--gt-root", material / "hr", "-d", "cpu"]
    arguments += ["--models", "lanczos", "--out-dir", tmp_path, "--artifacts"]
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    assert all(name in done.stdout for name, _ in LABELS.values())
    table = done.stdout[done.stdout.index("faults that PSNR does not see") :]
    assert [word for word in table.split() if word in ("original", "bicubic", "lanczos")][:3] == [
        "original", "bicubic", "lanczos",
    ]  # fmt: skip
    values = json.loads(CliRunner().invoke(cli, [*map(str, arguments), "--json"]).stdout)
    assert f"{values['means'][0]['artifacts']['pictures']['chroma_specks']:.2f}" in table
