"""Fields averaged over time."""

from __future__ import annotations

import numpy as np
import pytest

from codecvsr.motion.ops.records import TemporalWindow
from codecvsr.motion.ops.reference import temporal_filter
from codecvsr.motion.temporal_filter import filter_over_time

CELLS = (6, 8)
QP = 25.0


def constant(x, y):
    return np.stack([np.full(CELLS, v, np.float32) for v in (x, y)])


def filtered(t, step, along, against, qp, stays, both=True):
    """The averaged field of one frame and one direction."""
    fields = (along, against) if step < 0 else (against, along)
    return filter_over_time([t], fields, {t: qp}, stays, both=both)[step > 0][t]


def average(field, other, share, tolerance):
    return temporal_filter([TemporalWindow(field, [other], tolerance)], [share])[0]


def scene(frames, cut=None):
    def stays(a, b):
        return 0 <= min(a, b) and max(a, b) < frames and not (cut is not None and min(a, b) < cut <= max(a, b))

    return stays


def moving(velocities):
    """Fields to the previous and to the next frame, of one more frame than there are velocities of the intervals."""
    last = len(velocities)
    along = {t: constant(-velocities[max(t - 1, 0)], 0) for t in range(last + 1)}
    against = {t: constant(velocities[min(t, last - 1)], 0) for t in range(last + 1)}
    return along, against


@pytest.mark.parametrize("step", [-1, +1])
def test_a_stutter_is_averaged_out_and_a_real_change_is_not(step):
    jerky = [0.45, 0.55] * 5
    fields = moving(jerky)[:: 1 if step < 0 else -1]
    found = [filtered(t, step, *fields, 30.0, scene(11))[0].mean() for t in range(3, 8)]
    np.testing.assert_allclose(found, step * 0.5, atol=0.02)

    jump = [0.0] * 5 + [3.0] * 5
    fields = moving(jump)[:: 1 if step < 0 else -1]
    for t in range(2, 9):
        np.testing.assert_allclose(filtered(t, step, *fields, QP, scene(11)), fields[0][t], atol=0.02)


def test_nothing_is_taken_from_another_scene_or_from_beyond_the_ends():
    along, against = moving([0.1] * 4 + [0.2] * 6)
    whole = filtered(3, -1, along, against, QP, scene(11, cut=5))
    alone = {t: f for t, f in along.items() if t < 5}, {t: f for t, f in against.items() if t < 5}
    np.testing.assert_array_equal(whole, filtered(3, -1, *alone, QP, scene(5)))
    np.testing.assert_array_equal(filtered(5, -1, along, against, QP, scene(11, cut=5)), along[5])
    np.testing.assert_array_equal(filtered(0, -1, along, against, QP, scene(11)), along[0])


def test_the_other_direction_can_be_left_out():
    along, _ = moving([0.1] * 8)
    _, against = moving([0.3] * 8)
    np.testing.assert_allclose(filtered(4, -1, along, against, QP, scene(9), both=False), along[4], atol=1e-6)
    assert (filtered(4, -1, along, against, QP, scene(9))[0] < -0.11).all()


def test_shares_fall_to_50_percent_at_the_tolerance():
    field, other = constant(0, 0), constant(0.2, 0)
    np.testing.assert_allclose(average(field, other, 1.0, 0.2)[0], 0.2 * 0.5 / 1.5, rtol=1e-5)
    np.testing.assert_allclose(average(field, -other, -1.0, 0.2)[0], 0.2 * 0.5 / 1.5, rtol=1e-5)
    other[:, 0, 0] = np.nan
    assert average(field, other, 1.0, 0.2)[0, 0, 0] == 0
