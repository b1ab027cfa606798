"""The native motion functions against their numpy twins.

"Equal" is: matching errors and prepared pictures to the last bit, vectors within 1e-3 pixels.
"""

import cv2
import numpy as np
import pytest

from codecvsr import native_libraries
from codecvsr.bitstream.reader import read_video
from codecvsr.motion import (
    MotionOptions,
    block_search,
    drift,
    estimate_motion,
    references,
    refine,
    static_smoothing,
    temporal_filter,
)
from codecvsr.motion.ops import native, reference
from codecvsr.motion.ops.frame_arrays import address
from codecvsr.motion.ops.native import Candidate
from tests.streams import encode, moving_texture

STEP = 1e-3  # luma steps, and pixels
GRIDS = [(1, 1), (1, 6), (9, 2), (23, 40)]  # rows and columns of cells


@pytest.fixture(scope="module")
def library():
    found = native_libraries.field_library()
    if found is None:
        pytest.skip("the native field library is not built")
    return found


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


def of_job(function, library, inputs, *also):
    """What one job of a function that takes many makes of its inputs; None for what is not given."""
    made = np.empty_like(inputs[-1])
    at = [0 if array is None else array if isinstance(array, int) else address(array) for array in inputs[:-1]]
    function(library, [(*at, address(made))], *also, made.shape[1:])
    return made


def same(a, b, tolerance=STEP):
    """Empty (NaN, infinite) in the same places, close in the others."""
    np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
    np.testing.assert_allclose(a[np.isfinite(a)], b[np.isfinite(b)], rtol=1e-6, atol=tolerance)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("size", "quarter_pels"), [(0.3, True), (3, True), (3, False), (60, False)])
def test_the_twins_agree(library, grid, size, quarter_pels):
    rng = np.random.default_rng(5)
    current, other, third = (picture(rng, *grid) for _ in range(3))
    vectors = field(rng, *grid, size, quarter_pels=quarter_pels)
    priority = rng.integers(0, 5, grid).astype(np.float32)  # with ties
    error = native.matching_error(library, current, other, vectors)
    np.testing.assert_array_equal(error, reference.matching_error_numpy(current, other, vectors))
    landed = native.splat(library, vectors, -1.0, priority)
    np.testing.assert_array_equal(landed, reference.splat_numpy(vectors, -1.0, priority))
    same(native.fill_holes(library, vectors), reference.fill_holes_numpy(vectors))
    np.testing.assert_array_equal(native.prepare(library, current), refine.prepare_numpy(current))

    planes = ([other, third, current], [1, 2, 4], vectors)
    velocity, error = native.best_reference(library, current, *planes, 0.92)
    expected, expected_error = references.best_reference_numpy(current, *planes)
    np.testing.assert_array_equal(error, expected_error)
    same(velocity, expected)

    candidates = [Candidate(vectors), Candidate(third[None, ::4, ::4].repeat(2, 0) / np.float32(50), -1, priority)]
    candidates += [Candidate(vectors, -1), Candidate(vectors), Candidate(None)]
    chosen, error = native.best_candidate(library, current, other, candidates, grid)
    expected, expected_error = references.best_candidate_numpy(current, other, candidates, grid)
    same(error, expected_error)
    same(chosen, expected)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("qp", [20.0, 33.0, 45.0])
def test_refinement_agrees_with_its_twin(library, grid, qp):
    rng = np.random.default_rng(6)
    current, other = refine.prepare(picture(rng, *grid)), refine.prepare(picture(rng, *grid))
    how = refine.settings(qp)
    for size in (0.2, 2, 30):
        vectors = field(rng, *grid, size, holes=0, quarter_pels=False)
        refined = native.refine(library, current, other, vectors, how)
        same(refined, refine.refine_numpy(current, other, vectors, how))
        assert np.abs(refined - vectors).max() > 0.01  # it did something


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("size", [0.2, 3, 60])
def test_composition_and_its_refinement_agree_with_their_twins(library, grid, size):
    rng = np.random.default_rng(9)
    first, second = (field(rng, *grid, size, holes=0, quarter_pels=False) for _ in range(2))
    composed = of_job(native.compose, library, [first, second, first])
    same(composed, drift.compose_numpy(first, second))
    current, other = refine.prepare(picture(rng, *grid)), refine.prepare(picture(rng, *grid))
    how = drift.settings(33.0)
    refined = native.refine(library, current, other, composed, how)
    same(refined, refine.refine_numpy(current, other, composed, how))
    assert 0.01 < np.linalg.norm(refined - composed, axis=0).max() <= how.longest_step * 1.001
    correction = of_job(native.correct, library, [current, other, first, second, how.at, first])
    np.testing.assert_array_equal(correction, refined - composed)
    same(correction, drift.correction_numpy(current, other, first, second, how))
    parts = [second, correction, composed, first]
    for count in (1, 2, 3, 4):
        spread = of_job(native.spread, library, [first, *parts[:count], *[None] * (4 - count), first], 0.4)
        np.testing.assert_array_equal(spread, drift.spread_numpy(first, parts[:count], 0.4))


@pytest.mark.parametrize("grid", [*GRIDS, (0, 3)])
def test_averages_agree_with_their_twin(library, grid):
    rng = np.random.default_rng(12)
    vectors = field(rng, *grid, 0.3, holes=0.05, quarter_pels=False)
    others = [vectors + field(rng, *grid, size, quarter_pels=False) for size in (0.05, 0.3, 4)] + [-vectors]
    others[1][:, rng.random(grid) < 0.1] = np.inf
    others[2][:, rng.random(grid) < 0.1] = 3e38
    shares = [0.4, 1.0, 0.8, -1.0]
    given = [vectors, None, *others, *[None] * 4, vectors]
    averaged = of_job(native.steady, library, given, [9.0, *shares], [0.2])
    same(averaged, temporal_filter.temporal_filter_numpy(vectors, others, shares, 0.2), 1e-6)
    np.testing.assert_array_equal(of_job(native.steady, library, [vectors, *[None] * 9, vectors], [], [0.2]), vectors)


@pytest.mark.parametrize("grid", [*GRIDS, (0, 3)])
def test_evened_fields_agree_with_their_twin(library, grid):
    rng = np.random.default_rng(13)
    vectors = field(rng, *grid, 0.05, holes=0.05, quarter_pels=False)
    share = np.where(rng.random(grid) < 0.3, 0, rng.random(grid)).astype(np.float32)
    for taps in (reference.gaussian_taps(4.0), reference.gaussian_taps(0.6)):
        evened = native.even(library, vectors, share, taps, 2.5, 0.15)
        same(evened, static_smoothing.static_smoothing_numpy(vectors, share, taps, 2.5, 0.15), 1e-5)
        np.testing.assert_array_equal(evened[:, share == 0], vectors[:, share == 0])


@pytest.mark.parametrize("grid", [*GRIDS, (0, 3), (98, 101)])
@pytest.mark.parametrize("bad_error", [2.0, 20.0])
def test_the_same_cells_are_found_by_both(library, grid, bad_error):
    rng = np.random.default_rng(14)
    whole = cv2.GaussianBlur(picture(rng, grid[0] + 20, grid[1] + 20), (0, 0), 4)
    height, width = grid[0] * 4, grid[1] * 4
    current, other = whole[40 : 40 + height, 40 : 40 + width], whole[60 : 60 + height, 27 : 27 + width]
    vectors = field(rng, *grid, 5, holes=0.05, quarter_pels=False)
    error = native.matching_error(library, current, other, vectors)
    found, taken = native.search(library, current, other, vectors, error, bad_error, 0.8)
    twin, taken_by_twin = block_search.search_numpy(current, other, vectors, error, bad_error, 0.8)
    np.testing.assert_array_equal(found, twin)
    changed = ~((found == vectors) | (np.isnan(found) & np.isnan(vectors))).all(axis=0)
    assert taken_by_twin == taken >= changed.sum()
    assert taken or vectors.size < 100 or bad_error > 2


@pytest.mark.parametrize("size", [0.3, 4, 90])
def test_both_warps_agree(library, size):
    rng = np.random.default_rng(10)
    current = picture(rng, 9, 13).astype(np.float32)
    flow = (rng.standard_normal((2, *current.shape)) * size).astype(np.float32)
    flow[:, 3, 4:9] = np.nan, np.inf, -np.inf, 3e38, -1e-30
    same(native.warp(library, current, flow), reference.warp_numpy(current, flow))


def test_warping_is_exact_between_pixels(library):
    """Positions are not rounded to fractions of a pixel, as some versions of OpenCV do."""
    ramp = np.tile(np.arange(24, dtype=np.float32), (8, 1))
    flow = np.stack([np.full_like(ramp, 0.3337), np.zeros_like(ramp)])
    for warped in (reference.warp_numpy(ramp, flow), native.warp(library, ramp, flow)):
        np.testing.assert_allclose(warped[:, :-1], ramp[:, :-1] + np.float32(0.3337), atol=1e-5)


HOSTILE = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e9, -2147483648.0, 1e-40], np.float32)


@pytest.mark.parametrize("grid", [*GRIDS, (0, 0), (0, 3), (3, 0)])
def test_hostile_values_harm_nothing(library, grid):
    rng = np.random.default_rng(7)
    rows, columns = grid
    current, other = rng.choice(256, (2, rows * 4, columns * 4)).astype(np.uint8)
    vectors = field(rng, *grid, 3, quarter_pels=False)
    bad = rng.random((2, *grid)) < 0.3
    vectors[bad] = rng.choice(HOSTILE, bad.sum())
    error = native.matching_error(library, current, other, vectors)
    np.testing.assert_array_equal(np.isfinite(error), np.isfinite(vectors).all(axis=0))
    if error.size:
        np.testing.assert_array_equal(error, reference.matching_error_numpy(current, other, vectors))
        landed = native.splat(library, vectors, 1.0, error)
        np.testing.assert_array_equal(landed, reference.splat_numpy(vectors, 1.0, error))
    candidates = [Candidate(vectors), Candidate(vectors, -1, error), Candidate(None)]
    chosen, chosen_error = native.best_candidate(library, current, other, candidates, grid)
    assert np.isfinite(chosen).all()
    assert np.isfinite(chosen_error).all()
    found, taken = native.search(library, current, other, vectors, error, 3.0, 0.7)
    np.testing.assert_array_equal(found, block_search.search_numpy(current, other, vectors, error, 3.0, 0.7)[0])
    assert 0 <= taken <= error.size
    for how in (refine.settings(30.0), drift.settings(20.0)):
        prepared = native.prepare(library, current), native.prepare(library, other)
        assert native.refine(library, *prepared, vectors, how).shape == vectors.shape
    composed = of_job(native.compose, library, [vectors, chosen, chosen])
    if composed.size:
        with np.errstate(over="ignore"):
            same(composed, drift.compose_numpy(vectors, chosen))


def test_wrong_shapes_are_refused(library):
    pixels, vectors = np.zeros((8, 12), np.uint8), np.zeros((2, 2, 3), np.float32)
    with pytest.raises(ValueError, match=r"a picture \(8, 12\) of uint8 was expected, got \(8, 8\) of uint8"):
        native.matching_error(library, pixels, pixels[:, :8], vectors)
    with pytest.raises(ValueError, match="got \\(8, 12\\) of float32"):
        native.matching_error(library, pixels, pixels.astype(np.float32), vectors)
    with pytest.raises(ValueError, match=r"prepared picture \(56, 2, 3\) was expected"):
        native.refine(library, native.prepare(library, pixels), pixels, vectors, refine.settings(30.0))
    with pytest.raises(ValueError, match=r"\(2, h, w\) was expected"):
        native.fill_holes(library, pixels)
    with pytest.raises(ValueError, match="more than the motion library supports"):
        native.best_candidate(library, pixels, pixels, [Candidate(vectors)] * 17, (2, 3))


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """A real stream with B-frames, of a size that is no multiple of a cell, with noise so that fields are not trivial."""
    rng = np.random.default_rng(8)
    moving = moving_texture(12, 90, 134, 3, -1) + rng.integers(0, 12, (12, 90, 134, 3)).astype(np.uint8)
    path = encode(tmp_path_factory.mktemp("motion") / "clip.mp4", moving, options={"crf": "20", "x264-params": "ref=3"})
    return list(read_video(path))


def test_the_twins_agree_on_a_real_stream(library, frames, monkeypatch):
    """One cell chosen otherwise at a tie reaches others through the fields carried on, so a few may differ."""
    for options in (MotionOptions(), MotionOptions(refine=False), MotionOptions(invert=False)):
        monkeypatch.setattr(native_libraries, "is_enabled", lambda: True)
        fast = estimate_motion(frames, options, threads=1)
        monkeypatch.setattr(native_libraries, "is_enabled", lambda: False)
        readable = estimate_motion(frames, options, threads=1)
        np.testing.assert_array_equal(fast.is_cut, readable.is_cut)
        for name in ("to_prev", "to_next"):
            apart = np.abs(getattr(fast, name) - getattr(readable, name)).max(axis=1) > STEP
            assert apart.mean() < 0.01, (options, name)
        assert (np.abs(fast.error - readable.error) > STEP).mean() < 0.005


def test_work_in_pieces_leaves_nothing_out():
    """Whatever the size of the fields, every job is done once."""
    for count in (0, 1, 9):
        for cells in ((0, 3), (45, 80), (270, 480)):
            done = []
            native.in_pieces(lambda begin, end, done=done: done.extend(range(begin, end)), count, cells, map)
            assert done == list(range(count))


def test_twenty_runs_give_the_same_bits(library, frames):
    runs = [estimate_motion(frames[:7], threads=4) for _ in range(20)]
    for name in ("to_prev", "to_next", "error"):
        assert len({getattr(run, name).tobytes() for run in runs}) == 1, name


def test_any_number_of_threads_gives_the_same_bits(library, frames):
    once = estimate_motion(frames, threads=1)
    for threads in (1, 2, 8, None):
        again = estimate_motion(frames, threads=threads)
        for name in ("to_prev", "to_next", "error", "confidence"):
            assert getattr(again, name).tobytes() == getattr(once, name).tobytes(), (threads, name)
