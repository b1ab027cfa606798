"""Block search for cells that no vector leads to."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from codecvsr.bitstream.reader import read_video
from codecvsr.constants import CELL
from codecvsr.motion import block_search, estimate_motion, ops
from codecvsr.motion.ops import reference
from tests.streams import encode

CELLS = (30, 44)
QP = 24.0
SIZE = (CELLS[0] * CELL, CELLS[1] * CELL)


@pytest.fixture(params=["native", "numpy"], autouse=True)
def _both_tables(request, monkeypatch):
    if request.param == "numpy":
        monkeypatch.setattr(ops, "table", lambda: reference)
    elif ops.table() is reference:
        pytest.skip("the native field library is not built")


def texture(rng, height, width, blur):
    noise = cv2.GaussianBlur(rng.random((height, width)).astype(np.float32), (0, 0), blur)
    return np.clip((noise - noise.mean()) / noise.std() * 45 + 128, 0, 255).astype(np.uint8)


def disc_moved(by):
    """A smooth ground, a textured disc of 28 pixels on it in two places, and the cells within it."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    ground = (90 + 20 * np.sin(x / 40) + 10 * np.cos(y / 30)).astype(np.uint8)
    pattern = texture(rng, 400, 400, blur=3)
    pictures = []
    for at_x, at_y in ((70, 56), (70 + by[0], 56 + by[1])):
        inside = (x - at_x) ** 2 + (y - at_y) ** 2 < 28**2
        pictures.append(np.where(inside, pattern[(y - at_y) % 400, (x - at_x) % 400], ground).astype(np.uint8))
    centres = np.stack([x, y])[:, CELL // 2 :: CELL, CELL // 2 :: CELL]
    return (*pictures, (centres[0] - 70) ** 2 + (centres[1] - 56) ** 2 < 20**2)


@pytest.mark.parametrize("by", [(21, -9), (-30, 17), (0, 26), (5, 3)])
def test_what_moved_far_is_found(by):
    current, other, inside = disc_moved(by)
    nothing = np.zeros((2, *CELLS), np.float32)
    before = ops.table().matching_error(current, other, nothing)
    field, error = block_search.search(current, other, nothing, before, QP)
    np.testing.assert_array_equal(field[:, inside].T, np.tile(np.float32(by), (inside.sum(), 1)))
    assert error[inside].max() < 0.5
    assert before[inside].mean() > 10
    np.testing.assert_array_equal(error, ops.table().matching_error(current, other, field))
    far = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9))) == 0
    assert not (field[:, far].any(axis=0) & (before[far] < block_search.BAD_ERROR)).any()


def test_what_matches_is_left_alone():
    current, other, _ = disc_moved((6, 4))
    field = np.full((2, *CELLS), 0.25, np.float32)
    error = np.full(CELLS, block_search.BAD_ERROR, np.float32)
    found = block_search.search(current, other, field, error, QP)
    assert found[0] is field
    assert found[1] is error


def test_fine_texture_with_a_small_displacement_is_not_searched_for():
    """The difference is large, but no larger than that of neighbouring pixels."""
    pattern = texture(np.random.default_rng(6), SIZE[0] + 40, SIZE[1] + 40, blur=0.6)
    current, other = pattern[20:-20, 20:-20], np.roll(pattern, (9, 12), (0, 1))[20:-20, 20:-20]
    right = np.tile(np.float32([[[12.0]], [[9.0]]]), (1, *CELLS))
    field = right + np.float32(0.4)
    error = ops.table().matching_error(current, other, field)
    assert (error > 2 * block_search.BAD_ERROR).mean() > 0.9
    inside = (slice(None), slice(5, -5), slice(5, -5))
    np.testing.assert_array_equal(block_search.search(current, other, field, error, QP)[0][inside], field[inside])


def test_a_lonely_cell_does_not_bend_the_field_around_it():
    """A match for a single cell amid static ones would be mixed into theirs, so it is rejected."""
    rng = np.random.default_rng(7)
    current = texture(rng, *SIZE, blur=3)
    other = current.copy()
    current = current.copy()
    current[40:44, 60:64] = other[80:84, 100:104]
    nothing = np.zeros((2, *CELLS), np.float32)
    error = ops.table().matching_error(current, other, nothing)
    assert error[10, 15] > block_search.BAD_ERROR
    assert block_search.search(current, other, nothing, error, QP)[0] is nothing


def test_large_pictures_are_searched_farther():
    """Of more than 96 cells along both axes: eight samples of a smaller picture are many of its pixels."""
    rng = np.random.default_rng(8)
    pattern = texture(rng, 600, 700, blur=6)
    current, other = pattern[80:496, 90:522], pattern[134:550, 40:472]
    rows, columns = 104, 108
    nothing = np.zeros((2, rows, columns), np.float32)
    error = ops.table().matching_error(current, other, nothing)
    field, after = block_search.search(current, other, nothing, error, QP)
    searched = error > 12
    assert searched.sum() > 1000
    right = (field == np.float32([[[50.0]], [[-54.0]]])).all(axis=0)
    assert right[16:-16, 16:-16][searched[16:-16, 16:-16]].mean() > 0.95
    assert after.mean() < 0.5 * error.mean()


def test_a_stream_of_key_frames_gets_it_too(tmp_path):
    """It has no vectors at all."""
    pictures = np.stack([disc_moved((12 * t, -5 * t))[1] for t in range(4)])
    path = encode(tmp_path / "keys.mp4", pictures[..., None].repeat(3, axis=3), options={"g": "1", "crf": "12"})
    motion = estimate_motion(read_video(path))
    assert np.isnan(motion.past).all()
    moved = np.roll(disc_moved((0, 0))[2], (-10 // CELL, 24 // CELL), (0, 1))
    np.testing.assert_allclose(np.median(motion.to_prev[2][:, moved], axis=1), [-12, 5], atol=0.3)
    np.testing.assert_allclose(np.median(motion.to_next[2][:, moved], axis=1), [12, -5], atol=0.3)
