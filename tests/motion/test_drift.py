"""Direct matches over four frames."""

from __future__ import annotations

import numpy as np
import pytest

from codecvsr.motion import drift, ops
from codecvsr.motion.ops import reference
from tests.streams import texture

INSIDE = (slice(None), slice(5, -5), slice(5, -5))
NO_CUT = np.zeros(10, np.bool_)
QP = [22.0] * 10
STEPS = (-1, +1)


def clip(dx, dy, frames=10):
    """Pictures (T, 96, 128) whose content moves by a fraction of a pixel a frame."""
    big = texture(160, 192, 4)[..., 1].astype(np.float32)
    static = np.ones((2, 160, 192), np.float32)
    moved = [
        ops.table().warp(big, static * np.array([-t * dx, -t * dy], np.float32)[:, None, None]) for t in range(frames)
    ]
    return [np.rint(picture[32:-32, 32:-32]).astype(np.uint8) for picture in moved]


def correct(field, step, prepared, qp, is_cut):
    """All frames of a clip at once, and again in two parts, with the same result."""

    def stays(t, end):
        both = range(len(field))
        return t in both and end in both and not is_cut[min(t, end) + 1 : max(t, end) + 1].any()

    frames = range(len(field))
    whole = drift.Drift(step).correct(frames, field, prepared, qp, stays)
    in_parts = drift.Drift(step)
    parts = [in_parts.correct(part, field, prepared, qp, stays) for part in (frames[:6], frames[6:])]
    assert sorted(whole) == list(frames) and len(parts[0]) + len(parts[1]) == len(frames)
    for t in frames:
        np.testing.assert_array_equal(whole[t], parts[t >= 6][t])
    return np.array([whole[t] for t in frames]).reshape(field.shape)


def constant(x, y, frames=10):
    field = np.empty((frames, 2, 24, 32), np.float32)
    field[:, 0], field[:, 1] = x, y
    return field


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("dx", "dy"), [(0.6, -0.3), (2.4, 1.7)])
def test_a_small_error_of_every_field_shrinks(step, dx, dy):
    """A tenth of a pixel, too little to see between neighbours, is four tenths over four frames."""
    prepared = [ops.table().prepare(picture) for picture in clip(dx, dy)]
    true = constant(step * dx, step * dy)
    wrong = true + np.array([0.1, -0.08], np.float32)[None, :, None, None]
    corrected = correct(wrong, step, prepared, QP, NO_CUT)
    before, after = (np.linalg.norm(f - true, axis=1)[INSIDE].mean(axis=(1, 2)) for f in (wrong, corrected))
    within = slice(4, None) if step < 0 else slice(None, -4)
    assert (after[within] < 0.6 * before[within]).all(), after
    assert np.linalg.norm(correct(true, step, prepared, QP, NO_CUT) - true, axis=1)[INSIDE].max() < 0.06


def test_a_field_never_changes_by_more_than_the_step_allows():
    rng = np.random.default_rng(3)
    noise = [ops.table().prepare(rng.integers(0, 255, (96, 128)).astype(np.uint8)) for _ in range(10)]
    field = constant(0, 0)
    changed = np.linalg.norm(correct(field, -1, noise, QP, NO_CUT), axis=1)
    assert 0.01 < changed.max() <= 0.2251


@pytest.mark.parametrize("step", STEPS)
def test_no_match_crosses_a_cut(step):
    """Whatever the other scene shows, fields stay what they are without it."""
    prepared = [ops.table().prepare(picture) for picture in clip(0.6, -0.3)]
    other = [ops.table().prepare(picture) for picture in clip(-1, 2, 5)]
    is_cut = NO_CUT.copy()
    is_cut[5] = True
    field = constant(step * 0.5, step * -0.2)
    whole = correct(field, step, prepared[:5] + other, QP, is_cut)
    alone = correct(field[:5], step, prepared[:5], QP, is_cut[:5])
    assert (alone != field[:5]).any()
    np.testing.assert_array_equal(whole[:5], alone)


def test_clips_shorter_than_a_match_stay_as_they_are():
    prepared = [ops.table().prepare(picture) for picture in clip(0.6, -0.3, 4)]
    field = constant(-0.5, 0.2, 4)
    np.testing.assert_array_equal(correct(field, -1, prepared, QP, NO_CUT[:4]), field)
    np.testing.assert_array_equal(correct(field[:0], -1, [], QP, NO_CUT[:0]), field[:0])


def test_composition_of_two_shifts_is_their_sum_and_follows_the_first():
    a, b = constant(3, -2, 1)[0], constant(-1, 5, 1)[0]
    np.testing.assert_allclose(reference.compose([(a, b)])[0], a + b)
    ramp = np.zeros_like(a)
    ramp[0] = np.arange(32, dtype=np.float32)
    (shifted,) = reference.compose([(constant(8, 0, 1)[0], ramp)])  # two cells to the right
    np.testing.assert_allclose(shifted[0, :, :-2], 8 + ramp[0, :, :-2] + 2)
