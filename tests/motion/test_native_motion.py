"""The native motion functions against their numpy twins.

"Equal" is: matching errors and prepared pictures to the last bit, vectors within 1e-3 pixels.
"""

import cv2
import numpy as np
import pytest

from codecvsr import native_libraries
from codecvsr.bitstream.reader import read_video
from codecvsr.motion import MotionOptions, drift, estimate_motion, ops, refine
from codecvsr.motion.ops import native, reference
from codecvsr.motion.ops.native.batches import ranges
from codecvsr.motion.ops.records import Candidate, ComposedMatch, TemporalWindow, gaussian_taps
from tests.streams import encode, moving_texture

pytestmark = pytest.mark.skipif(
    native_libraries.field_library() is None, reason="the native field library is not built, or off"
)
STEP = 1e-3  # luma steps, and pixels
GRIDS = [(1, 1), (1, 6), (9, 2), (23, 40)]  # rows and columns of cells


def picture(rng, rows, columns):
    noise = rng.random((rows * 4, columns * 4)).astype(np.float32) * 255
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 1.5) * 3 - 255, 0, 255).astype(np.uint8)


def field(rng, rows, columns, size, holes=0.1, quarter_pels=True):
    """Vectors in groups of 2x2 cells, as blocks have them."""
    vectors = rng.standard_normal((2, rows // 2 + 1, columns // 2 + 1)).astype(np.float32) * size
    vectors = vectors.repeat(2, axis=1).repeat(2, axis=2)[:, :rows, :columns].copy()
    if quarter_pels:
        vectors = np.round(vectors * 4) / 4
    vectors[:, rng.random((rows, columns)) < holes] = np.nan
    return vectors


def same(a, b, tolerance=STEP):
    """Empty (NaN, infinite) in the same places, close in the others."""
    np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
    np.testing.assert_allclose(a[np.isfinite(a)], b[np.isfinite(b)], rtol=1e-6, atol=tolerance)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("size", "quarter_pels"), [(0.3, True), (3, True), (3, False), (60, False)])
def test_the_twins_agree(grid, size, quarter_pels):
    rng = np.random.default_rng(5)
    current, other, third = (picture(rng, *grid) for _ in range(3))
    vectors = field(rng, *grid, size, quarter_pels=quarter_pels)
    priority = rng.integers(0, 5, grid).astype(np.float32)  # with ties
    error = native.matching_error(current, other, vectors)
    np.testing.assert_array_equal(error, reference.matching_error(current, other, vectors))
    landed = native.splat(vectors, -1.0, priority)
    np.testing.assert_array_equal(landed, reference.splat(vectors, -1.0, priority))
    same(native.fill_holes(vectors), reference.fill_holes(vectors))
    np.testing.assert_array_equal(native.prepare(current), reference.prepare(current))

    planes = ([other, third, current], [1, 2, 4], vectors)
    velocity, error = native.best_reference(current, *planes, 0.92)
    expected, expected_error = reference.best_reference(current, *planes, 0.92)
    np.testing.assert_array_equal(error, expected_error)
    same(velocity, expected)

    candidates = [Candidate(vectors), Candidate(third[None, ::4, ::4].repeat(2, 0) / np.float32(50), -1, priority)]
    candidates += [Candidate(vectors, -1), Candidate(vectors), Candidate(None)]
    chosen, error, sums = native.best_candidate(current, other, candidates, grid)
    expected, expected_error, expected_sums = reference.best_candidate(current, other, candidates, grid)
    np.testing.assert_array_equal(sums, expected_sums)
    same(error, expected_error)
    same(chosen, expected)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("qp", [20.0, 33.0, 45.0])
def test_refinement_agrees_with_its_twin(grid, qp):
    rng = np.random.default_rng(6)
    current, other = native.prepare(picture(rng, *grid)), native.prepare(picture(rng, *grid))
    how = refine.settings(qp)
    for size in (0.2, 2, 30):
        vectors = field(rng, *grid, size, holes=0, quarter_pels=False)
        refined = native.refine(current, other, vectors, how)
        same(refined, reference.refine(current, other, vectors, how))
        assert np.abs(refined - vectors).max() > 0.01  # it did something


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("size", [0.2, 3, 60])
def test_composition_and_its_refinement_agree_with_their_twins(grid, size):
    rng = np.random.default_rng(9)
    first, second = (field(rng, *grid, size, holes=0, quarter_pels=False) for _ in range(2))
    (composed,) = native.compose([(first, second)])
    same(composed, reference.compose([(first, second)])[0])
    current, other = native.prepare(picture(rng, *grid)), native.prepare(picture(rng, *grid))
    how = drift.settings(33.0)
    refined = native.refine(current, other, composed, how)
    same(refined, reference.refine(current, other, composed, how))
    assert 0.01 < np.linalg.norm(refined - composed, axis=0).max() <= how.max_step * 1.001
    match = ComposedMatch(current, other, first, second, how)
    (correction,) = native.correct_composed([match])
    np.testing.assert_array_equal(correction, refined - composed)
    same(correction, reference.correct_composed([match])[0])
    parts = [second, correction, composed, first]
    sums = [(first, parts[:count]) for count in (1, 2, 3, 4)]
    for found, expected in zip(native.add_mean(sums, 0.4), reference.add_mean(sums, 0.4), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("grid", [*GRIDS, (0, 3)])
def test_averages_agree_with_their_twin(grid):
    rng = np.random.default_rng(12)
    vectors = field(rng, *grid, 0.3, holes=0.05, quarter_pels=False)
    others = [vectors + field(rng, *grid, size, quarter_pels=False) for size in (0.05, 0.3, 4)] + [-vectors]
    others[1][:, rng.random(grid) < 0.1] = np.inf
    others[2][:, rng.random(grid) < 0.1] = 3e38
    shares = [0.4, 1.0, 0.8, -1.0]
    windows = [TemporalWindow(vectors, [None, *others], 0.2), TemporalWindow(vectors, [None] * 5, 0.2)]
    averaged, alone = native.temporal_filter(windows, [9.0, *shares])
    same(averaged, reference.temporal_filter(windows, [9.0, *shares])[0], 1e-6)
    np.testing.assert_array_equal(alone, vectors)


@pytest.mark.parametrize("grid", [*GRIDS, (0, 3)])
def test_smoothed_fields_agree_with_their_twin(grid):
    rng = np.random.default_rng(13)
    vectors = field(rng, *grid, 0.05, holes=0.05, quarter_pels=False)
    share = np.where(rng.random(grid) < 0.3, 0, rng.random(grid)).astype(np.float32)
    for taps in (gaussian_taps(4.0), gaussian_taps(0.6)):
        smoothed = native.static_smoothing(vectors, share, taps, 2.5, 0.15)
        same(smoothed, reference.static_smoothing(vectors, share, taps, 2.5, 0.15), 1e-5)
        np.testing.assert_array_equal(smoothed[:, share == 0], vectors[:, share == 0])


@pytest.mark.parametrize("grid", [*GRIDS, (0, 3), (98, 101)])
@pytest.mark.parametrize("bad_error", [2.0, 20.0])
def test_the_same_cells_are_found_by_both(grid, bad_error):
    rng = np.random.default_rng(14)
    whole = cv2.GaussianBlur(picture(rng, grid[0] + 20, grid[1] + 20), (0, 0), 4)
    height, width = grid[0] * 4, grid[1] * 4
    current, other = whole[40 : 40 + height, 40 : 40 + width], whole[60 : 60 + height, 27 : 27 + width]
    vectors = field(rng, *grid, 5, holes=0.05, quarter_pels=False)
    error = native.matching_error(current, other, vectors)
    found, found_error, accepted = native.search(current, other, vectors, error, bad_error, 0.8)
    twin, twin_error, accepted_by_twin = reference.search(current, other, vectors, error, bad_error, 0.8)
    np.testing.assert_array_equal(found, twin)
    np.testing.assert_array_equal(found_error, twin_error)
    np.testing.assert_array_equal(found_error, native.matching_error(current, other, found))
    changed = ~((found == vectors) | (np.isnan(found) & np.isnan(vectors))).all(axis=0)
    assert accepted_by_twin == accepted >= changed.sum()
    assert accepted or vectors.size < 100 or bad_error > 2


@pytest.mark.parametrize("grid", [(1, 1), (1, 6), (23, 40)])
def test_known_sums_change_no_result_of_the_search(grid):
    rng = np.random.default_rng(15)
    whole = cv2.GaussianBlur(picture(rng, grid[0] + 20, grid[1] + 20), (0, 0), 4)
    height, width = grid[0] * 4, grid[1] * 4
    current, other = whole[40 : 40 + height, 40 : 40 + width], whole[52 : 52 + height, 31 : 31 + width]
    candidates = [Candidate(field(rng, *grid, 5, quarter_pels=False)), Candidate(None)]
    chosen, error, sums = native.best_candidate(current, other, candidates, grid)
    found, found_error, accepted = native.search(current, other, chosen, error, 2.0, 0.8, sums)
    expected, expected_error, expected_count = native.search(current, other, chosen, error, 2.0, 0.8)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found_error, expected_error)
    assert accepted == expected_count
    assert accepted or grid[0] == 1
    with pytest.raises(ValueError, match="of int32 were expected"):
        native.search(current, other, chosen, error, 2.0, 0.8, sums.astype(np.int64))


@pytest.mark.parametrize("size", [0.3, 4, 90])
def test_both_warps_agree(size):
    rng = np.random.default_rng(10)
    current = picture(rng, 9, 13).astype(np.float32)
    flow = (rng.standard_normal((2, *current.shape)) * size).astype(np.float32)
    flow[:, 3, 4:9] = np.nan, np.inf, -np.inf, 3e38, -1e-30
    same(native.warp(current, flow), reference.warp(current, flow))


def test_warping_is_exact_between_pixels():
    """Positions are not rounded to fractions of a pixel, as some versions of OpenCV do."""
    ramp = np.tile(np.arange(24, dtype=np.float32), (8, 1))
    flow = np.stack([np.full_like(ramp, 0.3337), np.zeros_like(ramp)])
    for warped in (reference.warp(ramp, flow), native.warp(ramp, flow)):
        np.testing.assert_allclose(warped[:, :-1], ramp[:, :-1] + np.float32(0.3337), atol=1e-5)


HOSTILE = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e9, -2147483648.0, 1e-40], np.float32)


@pytest.mark.parametrize("grid", [*GRIDS, (0, 0), (0, 3), (3, 0)])
def test_hostile_values_harm_nothing(grid):
    rng = np.random.default_rng(7)
    rows, columns = grid
    current, other = rng.choice(256, (2, rows * 4, columns * 4)).astype(np.uint8)
    vectors = field(rng, *grid, 3, quarter_pels=False)
    bad = rng.random((2, *grid)) < 0.3
    vectors[bad] = rng.choice(HOSTILE, bad.sum())
    error = native.matching_error(current, other, vectors)
    np.testing.assert_array_equal(np.isfinite(error), np.isfinite(vectors).all(axis=0))
    if error.size:
        np.testing.assert_array_equal(error, reference.matching_error(current, other, vectors))
        landed = native.splat(vectors, 1.0, error)
        np.testing.assert_array_equal(landed, reference.splat(vectors, 1.0, error))
    candidates = [Candidate(vectors), Candidate(vectors, -1, error), Candidate(None)]
    chosen, chosen_error, _ = native.best_candidate(current, other, candidates, grid)
    assert np.isfinite(chosen).all()
    assert np.isfinite(chosen_error).all()
    found, _, accepted = native.search(current, other, vectors, error, 3.0, 0.7)
    np.testing.assert_array_equal(found, reference.search(current, other, vectors, error, 3.0, 0.7)[0])
    assert 0 <= accepted <= error.size
    for how in (refine.settings(30.0), drift.settings(20.0)):
        prepared = native.prepare(current), native.prepare(other)
        assert native.refine(*prepared, vectors, how).shape == vectors.shape
    (composed,) = native.compose([(vectors, chosen)])
    if composed.size:
        with np.errstate(over="ignore"):
            same(composed, reference.compose([(vectors, chosen)])[0])


def test_wrong_shapes_are_refused():
    pixels, vectors = np.zeros((8, 12), np.uint8), np.zeros((2, 2, 3), np.float32)
    with pytest.raises(ValueError, match=r"a picture \(8, 12\) of uint8 was expected, got \(8, 8\) of uint8"):
        native.matching_error(pixels, pixels[:, :8], vectors)
    with pytest.raises(ValueError, match="got \\(8, 12\\) of float32"):
        native.matching_error(pixels, pixels.astype(np.float32), vectors)
    with pytest.raises(ValueError, match=r"prepared picture \(56, 2, 3\) was expected"):
        native.refine(native.prepare(pixels), pixels, vectors, refine.settings(30.0))
    with pytest.raises(ValueError, match=r"expected shape \(2, 3\), got shape = \(2, 4\)"):
        native.splat(vectors, 1.0, np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match=r"expected shape \(2, 2, 3\)"):
        native.compose([(vectors, np.zeros((2, 3, 3), np.float32))])
    with pytest.raises(ValueError, match=r"at most 4 fields"):
        native.add_mean([(vectors, [vectors] * 5)], 1.0)
    with pytest.raises(ValueError, match=r"\(2, h, w\) was expected"):
        native.fill_holes(pixels)
    with pytest.raises(ValueError, match="larger than the motion library supports"):
        native.best_candidate(pixels, pixels, [Candidate(vectors)] * 17, (2, 3))


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """A real stream with B-frames, of a size that is no multiple of a cell, with noise so that fields are not trivial."""
    rng = np.random.default_rng(8)
    moving = moving_texture(12, 90, 134, 3, -1) + rng.integers(0, 12, (12, 90, 134, 3)).astype(np.uint8)
    path = encode(tmp_path_factory.mktemp("motion") / "clip.mp4", moving, options={"crf": "20", "x264-params": "ref=3"})
    return list(read_video(path))


def test_the_twins_agree_on_a_real_stream(frames, monkeypatch):
    """One cell chosen differently at a tie spreads to others through the fields carried on, so a few may differ."""
    for options in (MotionOptions(), MotionOptions(refine=False), MotionOptions(invert=False)):
        monkeypatch.setattr(ops, "table", lambda: native)
        fast = estimate_motion(frames, options, threads=1)
        monkeypatch.setattr(ops, "table", lambda: reference)
        readable = estimate_motion(frames, options, threads=1)
        np.testing.assert_array_equal(fast.is_cut, readable.is_cut)
        for name in ("to_prev", "to_next"):
            apart = np.abs(getattr(fast, name) - getattr(readable, name)).max(axis=1) > STEP
            assert apart.mean() < 0.01, (options, name)
        assert (np.abs(fast.error - readable.error) > STEP).mean() < 0.005


def test_calls_cover_every_job_once():
    """Whatever the size of the fields."""
    for count in (0, 1, 9):
        for cells in ((0, 3), (45, 80), (270, 480)):
            assert [i for begin, end in ranges(count, cells) for i in range(begin, end)] == list(range(count))


def test_twenty_runs_give_the_same_bits(frames):
    runs = [estimate_motion(frames[:7], threads=4) for _ in range(20)]
    for name in ("to_prev", "to_next", "error"):
        assert len({getattr(run, name).tobytes() for run in runs}) == 1, name


def test_any_number_of_threads_gives_the_same_bits(frames):
    once = estimate_motion(frames, threads=1)
    for threads in (1, 2, 8, None):
        again = estimate_motion(frames, threads=threads)
        for name in ("to_prev", "to_next", "error", "confidence"):
            assert getattr(again, name).tobytes() == getattr(once, name).tobytes(), (threads, name)
