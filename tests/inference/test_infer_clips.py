"""Whole benchmark folders: a folder of pictures per clip, everything checked first, one failure is no end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from codecvsr.cli import cli
from codecvsr.errors import CodecVSRError, InputError
from codecvsr.files import FRAME_NAME, read_image, write_png
from codecvsr.inference import infer_clips as module
from codecvsr.inference.infer import infer
from codecvsr.inference.infer_clips import clip_outputs, infer_clips

FRAMES = 2


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """``bench/x_CRF15`` with clips "a" and "b", ``bench/x_CRF25`` with clip "a"; lr/ alone."""
    for index, name in enumerate(("x_CRF15/a", "x_CRF15/b", "x_CRF25/a")):
        for frame in range(FRAMES):
            picture = np.full((16, 24, 3), 40 * index + 10 * frame, np.uint8)
            write_png(tmp_path / "bench" / name / "lr" / (FRAME_NAME % frame), picture)
    return tmp_path / "bench"


def run(out: Path, *roots: Path, more: tuple[str, ...] = ()) -> Result:
    arguments = ["infer", "--clip-root", *map(str, roots), "--out-dir", str(out), "-m", "bicubic", "-d", "cpu", *more]
    return CliRunner().invoke(cli, arguments)


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_a_benchmark_folder_has_a_folder_per_clip(bench: Path, tmp_path: Path) -> None:
    done = run(tmp_path / "out", bench / "x_CRF15", more=("--json",))
    assert done.exit_code == 0, done.stderr
    assert set(written(tmp_path / "out")) == {
        f"{name}/{FRAME_NAME % frame}" for name in "ab" for frame in range(FRAMES)
    }
    infer(bench / "x_CRF15" / "b", tmp_path / "alone", model="bicubic", device="cpu")
    assert written(tmp_path / "out" / "b") == written(tmp_path / "alone")
    values = json.loads(done.stdout)
    assert [(Path(each["clip"]).name, each["frames"]) for each in values["clips"]] == [("a", FRAMES), ("b", FRAMES)]
    assert values["clips"][1]["out_dir"] == str(tmp_path / "out" / "b") and values["failed"] == []
    assert "1 of 2: a" in done.stderr and "2 of 2: b" in done.stderr


def test_one_clip_stays_as_it_was(bench: Path, tmp_path: Path) -> None:
    done = run(tmp_path / "out", bench / "x_CRF25" / "a", more=("--json",))
    assert set(written(tmp_path / "out")) == {FRAME_NAME % frame for frame in range(FRAMES)}
    assert "clips" not in json.loads(done.stdout)
    wrong = run(tmp_path / "no", tmp_path / "out")
    assert wrong.exit_code == 1 and "is not a clip folder" in wrong.stderr and not (tmp_path / "no").exists()


def test_several_roots(bench: Path, tmp_path: Path) -> None:
    clips = {name: bench / name for name in ("x_CRF15/a", "x_CRF15/b", "x_CRF25/a")}
    outputs = clip_outputs([clips["x_CRF15/b"], clips["x_CRF25/a"]], tmp_path)
    assert {job.out_dir.relative_to(tmp_path).as_posix() for job in outputs} == {"a", "b"}
    outputs = clip_outputs([bench, clips["x_CRF15/a"]], tmp_path)  # one of them twice
    assert {job.out_dir.relative_to(tmp_path).as_posix(): job.clip for job in outputs} == clips
    done = run(tmp_path / "out", bench / "x_CRF15", bench / "x_CRF25")
    assert done.exit_code == 0 and len(done.stdout.splitlines()) == 3
    assert read_image(tmp_path / "out" / "x_CRF25" / "a" / (FRAME_NAME % 0)).mean() == pytest.approx(80, abs=1)
    shutil.copytree(bench, tmp_path / "again")
    with pytest.raises(InputError, match="would both be written to"):
        clip_outputs([bench, tmp_path / "again"], tmp_path)
    with pytest.raises(InputError, match="has no clip folders"):
        clip_outputs([bench, tmp_path / "out"], tmp_path)


@pytest.mark.parametrize("fault", ["output", "gap", "model", "motion", "foreign"])
def test_faults_are_found_before_any_work(
    bench: Path, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.ReadyNetwork, "write", lambda *args, **options: pytest.fail("a frame was made"))
    last, options = tmp_path / "out" / "x_CRF25" / "a", {"model": "bicubic"}
    said = {
        "output": "a: exists already",
        "gap": "is missing",
        "model": "is neither a model",
        "motion": "to read motion from",
        "foreign": "would pass for one of its frames",
    }[fault]
    if fault == "output":
        write_png(last / (FRAME_NAME % 0), np.zeros((4, 4, 3), np.uint8))
    elif fault == "gap":
        write_png(bench / "x_CRF25" / "a" / "lr" / (FRAME_NAME % 9), np.zeros((16, 24, 3), np.uint8))
    elif fault == "foreign":
        write_png(last / "mine.png", np.zeros((4, 4, 3), np.uint8))
    else:
        options["model"] = {"model": "nothing", "motion": "codecvsr:random"}[fault]
    before = written(tmp_path / "out")
    with pytest.raises(CodecVSRError, match=said):
        infer_clips([bench], tmp_path / "out", device="cpu", overwrite=fault == "foreign", **options)
    assert written(tmp_path / "out") == before


def test_overwrite_replaces_frames_and_nothing_else(bench: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "out", bench / "x_CRF15").exit_code == 0
    expected = written(tmp_path / "out")
    (tmp_path / "out" / "a" / "note.txt").write_text("mine")
    write_png(tmp_path / "out" / "a" / (FRAME_NAME % 0), np.zeros((4, 4, 3), np.uint8))
    assert run(tmp_path / "out", bench / "x_CRF15").exit_code == 1
    assert run(tmp_path / "out", bench / "x_CRF15", more=("-y",)).exit_code == 0
    assert written(tmp_path / "out") == expected and (tmp_path / "out" / "a" / "note.txt").read_text() == "mine"


def test_a_clip_that_fails_is_named_and_the_others_are_made(bench: Path, tmp_path: Path) -> None:
    (bench / "x_CRF15" / "a" / "lr" / (FRAME_NAME % 1)).write_bytes(b"no picture")
    done = run(tmp_path / "out", bench / "x_CRF15", more=("--json",))
    assert done.exit_code == 3 and "a was not made: " in done.stderr
    values = json.loads(done.stdout)
    assert [Path(each["clip"]).name for each in values["failed"]] == ["a"]
    assert not (tmp_path / "out" / "a").exists() and len(written(tmp_path / "out" / "b")) == FRAMES
    (bench / "x_CRF15" / "b" / "lr" / (FRAME_NAME % 1)).write_bytes(b"no picture")
    assert run(tmp_path / "none", bench / "x_CRF15").exit_code == 1


def test_an_interrupt_keeps_what_is_complete(bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = module.ReadyNetwork.load, []

    def load(network: module.ReadyNetwork, clip: Path, **options: bool) -> object:
        calls.append(clip)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(network, clip, **options)

    monkeypatch.setattr(module.ReadyNetwork, "load", load)
    done = run(tmp_path / "out", bench / "x_CRF15")
    assert done.exit_code == 130 and "1 of 2 clips are complete" in done.stderr
    assert len(written(tmp_path / "out" / "a")) == FRAMES and not (tmp_path / "out" / "b").exists()
