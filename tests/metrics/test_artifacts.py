"""Each fault is planted, and found by its own measure and by no other."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.files import write_png
from codecvsr.metrics.artifacts import Artifacts, mean, measure

SIZE = 256


@pytest.fixture(scope="module")
def scene():
    """Flat on the left, fine texture on the right, a bright bar between them: as soft as a picture from a lens."""
    rng = np.random.default_rng(3)
    picture = np.full((SIZE, SIZE), 90.0)
    picture += np.linspace(0, 12, SIZE)[:, None]
    picture[:, 150:] += cv2.GaussianBlur(rng.normal(0, 60, (SIZE, SIZE - 150)), (0, 0), 1.5)
    picture[:, 140:150] = 230
    picture = cv2.GaussianBlur(picture, (0, 0), 1.0)
    return np.repeat(np.rint(picture).clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def add(scene, pattern):
    return np.rint(scene + np.asarray(pattern, float)).clip(0, 255).astype(np.uint8)


def ruled(scene):
    pattern = np.zeros(scene.shape)
    pattern[40:200:7, 10:130] = 4
    return add(scene, pattern)


def ruled_upright(scene):
    return ruled(scene.swapaxes(0, 1)).swapaxes(0, 1)


def grainy(scene):
    pattern = np.zeros(scene.shape)
    pattern[:, :130] = np.random.default_rng(1).normal(0, 3, (SIZE, 130, 1))
    return add(scene, pattern)


def dotted(scene):
    pattern = np.zeros(scene.shape)
    pattern[::4, 148:152] = 40
    return add(scene, pattern)


def specked(scene):
    pattern = np.zeros(scene.shape)
    places = np.random.default_rng(2).integers(0, SIZE, (2, 200))
    pattern[(*places,)] = (-60, 24, 20)  # cyan, of nearly the same luma
    return add(scene, pattern)


def tinted(scene):
    return add(scene, np.broadcast_to((3.0, 0.0, -2.0), scene.shape))


def test_the_original_itself_has_none(scene):
    found, own = measure(scene, scene)
    assert found == own
    assert found.chroma_specks == found.colour_shift == 0
    assert found.invented_detail < 0.5 and found.row_lines < 0.5


@pytest.mark.parametrize(
    ("plant", "measure_name", "factor"),
    [
        (grainy, "invented_detail", 4),
        (ruled, "row_lines", 4),
        (ruled_upright, "column_lines", 4),
        (dotted, "lattice", 3),
        (specked, "chroma_specks", 4),
        (tinted, "colour_shift", 4),
    ],
)
def test_a_planted_fault_is_found_by_its_measure(scene, plant, measure_name, factor):
    original = scene.swapaxes(0, 1) if plant is ruled_upright else scene
    faulty = ruled(scene).swapaxes(0, 1) if plant is ruled_upright else plant(scene)
    found, own = measure(faulty, original)
    assert getattr(found, measure_name) > factor * max(getattr(own, measure_name), 0.5)


def test_lines_of_one_direction_are_not_those_of_the_other(scene):
    found, own = measure(ruled(scene), scene)
    assert found.row_lines > 5 * found.column_lines
    assert found.lattice < own.lattice + 1.5
    assert found.chroma_specks < 1


def test_a_shift_of_colour_is_the_mean_error_of_the_worst_channel_and_nothing_else(scene):
    found, own = measure(tinted(scene), scene)
    assert found.colour_shift == pytest.approx(3, abs=0.05)
    for name in ("invented_detail", "row_lines", "column_lines", "lattice"):
        assert getattr(found, name) == pytest.approx(getattr(own, name), abs=0.1)
    assert found.chroma_specks < 1
    assert measure(specked(scene), scene)[0].colour_shift < 0.5


def test_dots_along_an_edge_are_no_detail_of_flat_areas(scene):
    found, own = measure(dotted(scene), scene)
    assert found.invented_detail == pytest.approx(own.invented_detail, abs=0.1)


def test_blur_lowers_no_value_below_the_originals_by_much(scene):
    soft = cv2.GaussianBlur(scene, (0, 0), 1.5)
    found, own = measure(soft, scene)
    assert found.lattice <= own.lattice + 1
    assert found.invented_detail <= own.invented_detail + 0.1


def test_without_a_flat_area_or_an_edge_there_is_no_value():
    noise = np.random.default_rng(4).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    assert np.isnan(measure(noise, noise)[0].invented_detail)
    grey = np.full((96, 96, 3), 128, np.uint8)
    found, _ = measure(grey, grey)
    assert np.isnan(found.lattice)
    assert found.invented_detail == pytest.approx(0, abs=1e-3)
    assert found.to_json()["lattice"] is None


def test_means_pass_over_frames_without_a_value():
    one = Artifacts(1.0, 2.0, 3.0, float("nan"), 4.0, 0.5)
    two = Artifacts(3.0, 2.0, 3.0, 5.0, 6.0, 1.5)
    assert mean([one, two]) == Artifacts(2.0, 2.0, 3.0, 5.0, 5.0, 1.0)


def test_a_border_may_be_left_out(scene):
    faulty = scene.copy()
    faulty[:8] = 255 - faulty[:8]
    assert measure(faulty, scene, crop_border=32)[0].chroma_specks == 0


def test_pictures_of_two_sizes_are_refused(scene):
    with pytest.raises(ValueError, match="of one shape"):
        measure(scene, scene[:-4])


def test_eval_prints_them_beside_the_originals(scene, tmp_path):
    runner, folders = CliRunner(), {name: tmp_path / name for name in ("sr", "gt")}
    for folder, picture in ((folders["sr"], grainy(scene)), (folders["gt"], scene)):
        folder.mkdir()
        write_png(folder / "00000000.png", picture)
    arguments = ["eval", "--sr-dir", str(folders["sr"]), "--gt-dir", str(folders["gt"]), "--artifacts"]
    values = json.loads(runner.invoke(cli, [*arguments, "--json"]).stdout)["artifacts"]
    assert set(values) == {"pictures", "originals"}
    assert values["pictures"]["invented_detail"] > 4 * values["originals"]["invented_detail"]
    table = runner.invoke(cli, arguments).stdout
    assert "invented detail" in table and f"{values['pictures']['lattice']:.2f}" in table
    assert "artifacts" not in json.loads(runner.invoke(cli, [*arguments[:-1], "--json"]).stdout)
