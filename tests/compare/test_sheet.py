"""The contact sheet: the planted place of every fault is on it, at 100 %."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.compare.clips import TestClip
from codecvsr.compare.comparison import Comparison
from codecvsr.compare.measurements import Settings
from codecvsr.compare.sheet import DIFFERENCE, worst_places, write_sheet
from codecvsr.compare.variants import Variant
from codecvsr.datasets.hr_sources import HRSource
from codecvsr.errors import InputError
from codecvsr.files import FRAME_NAME, read_image, write_png
from codecvsr.inference.clip_folder import ClipFolder
from codecvsr.metrics.artifacts import LABELS
from codecvsr.video.resize import downsample
from tests.metrics.faults import PLANTED, soft_scene

FRAME = 1  # of two: the one with the fault


def stored(root: Path, faulty: dict[str, np.ndarray], *, rows: tuple[str, ...] = ("ours",)) -> Comparison:
    """Clips "a" and "b" of two frames; every row equals the original but for the first one's ``faulty`` frames by clip."""
    result = Comparison([Variant("bicubic"), *map(Variant, rows)], [], Settings())
    for name in "ab":
        originals = [soft_scene(shift=20 * frame + 5 * (name == "b")) for frame in range(2)]
        for index, picture in enumerate(originals):
            write_png(root / "hr" / name / (FRAME_NAME % index), picture)
            write_png(root / "bench" / name / "lr" / (FRAME_NAME % index), downsample(picture, 4))
        clip = TestClip(ClipFolder.open(root / "bench" / name), HRSource(name, root / "hr" / name), 25.0, "CRF25")
        result.clips.append(clip)
        for row in ("bicubic", *rows):
            folder = root / "frames" / row / name
            result.frame_folders[row, clip.key] = folder
            for index, picture in enumerate(originals):
                is_faulty = row == rows[0] and name in faulty and index == FRAME
                write_png(folder / (FRAME_NAME % index), faulty[name] if is_faulty else picture)
    return result


def planted(name: str) -> tuple[np.ndarray, tuple[int, int]]:
    """The faulty frame of clip "b", and where its fault is."""
    return PLANTED[name](soft_scene(shift=20 * FRAME + 5))


def shows(sheet: np.ndarray, crop: np.ndarray) -> bool:
    """Whether the crop is on the sheet, pixel for pixel."""
    *_, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(sheet, crop, cv2.TM_SQDIFF))[:3]
    return bool((sheet[y : y + crop.shape[0], x : x + crop.shape[1]] == crop).all())


@pytest.mark.parametrize("name", LABELS)
def test_the_sheet_finds_the_planted_place(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codecvsr.compare.sheet._CROP", (64, 48))
    picture, (x, y) = planted(name)
    comparison = stored(tmp_path, {"b": picture})
    places = worst_places(comparison, ["ours"])
    for found in (places[name], places[DIFFERENCE]):
        assert (found.clip.name, found.frame) == ("b", FRAME)
        assert found.x <= x < found.x + 64 and found.y <= y < found.y + 48
    write_sheet(tmp_path / "sheet.png", comparison)
    sheet = read_image(tmp_path / "sheet.png")
    place = places[name]
    crop = picture[place.y : place.y + 48, place.x : place.x + 64]
    assert shows(sheet, crop)
    original = soft_scene(shift=20 * FRAME + 5)[place.y : place.y + 48, place.x : place.x + 64]
    assert shows(sheet, original)


def test_only_the_first_model_chooses_the_places_of_faults(tmp_path: Path) -> None:
    comparison = stored(tmp_path, {}, rows=("clean", "other"))
    folder = comparison.frame_folders["other", comparison.clips[0].key]
    picture, _ = PLANTED["row_lines"](soft_scene())
    write_png(folder / (FRAME_NAME % 0), picture)
    places = worst_places(comparison, ["clean", "other"])
    assert set(places) == {DIFFERENCE}
    assert (places[DIFFERENCE].clip.name, places[DIFFERENCE].frame) == ("a", 0)
    write_sheet(tmp_path / "sheet.png", comparison)
    assert read_image(tmp_path / "sheet.png").shape[1] > 4 * 256


def test_a_sheet_needs_a_model(tmp_path: Path) -> None:
    comparison = stored(tmp_path, {}, rows=("ours",))
    comparison.variants.pop()
    with pytest.raises(InputError, match="no model beside bicubic was scored"):
        write_sheet(tmp_path / "sheet.png", comparison)


def test_command(material: Path, small: Path, tmp_path: Path) -> None:
    arguments = ["compare", "--clip-root", material / "bench" / "hr_CRF35", "--gt-root", material / "hr", "-d", "cpu"]
    arguments += ["--models", small, "--out-dir", tmp_path / "out", "--frames", 2]

    def run(*more: object) -> str:
        done = CliRunner().invoke(cli, [*map(str, arguments), *map(str, more)])
        assert done.exit_code == 0, done.stderr
        return done.stdout

    run()
    folder = tmp_path / "out" / "cells"
    assert not any(path.is_dir() for path in folder.iterdir()), "frames are stored for a sheet only"
    run("--sheet", tmp_path / "sheet.png")
    folders = [path for path in folder.iterdir() if path.is_dir()]
    assert len(folders) == 4 and all(len(list(path.glob("*.png"))) == 2 for path in folders)
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    run("--sheet", tmp_path / "again.png")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == written
    assert (read_image(tmp_path / "sheet.png") == read_image(tmp_path / "again.png")).all()
    refused = CliRunner().invoke(cli, [*map(str, arguments), "--sheet", str(tmp_path / "sheet.png")])
    assert refused.exit_code == 1 and "exists already" in refused.stderr
    wrong = CliRunner().invoke(cli, [*map(str, arguments), "--sheet", str(tmp_path / "sheet.jpg")])
    assert wrong.exit_code == 2 and "ends in .png" in wrong.stderr
