"""Fields made smooth where the codec saw no motion."""

from __future__ import annotations

import numpy as np

from codecvsr.bitstream.reader import read_video
from codecvsr.motion import estimate_motion, motion_stream
from codecvsr.motion.ops import reference
from codecvsr.motion.ops.records import gaussian_taps
from codecvsr.motion.static_smoothing import smooth_static, static_share
from tests.streams import encode

CELLS = (30, 40)
TAPS = gaussian_taps(4.0)


def drifting(rng, noise):
    """A camera that turns slowly, and the same with the noise of refinement."""
    y, x = np.mgrid[: CELLS[0], : CELLS[1]].astype(np.float32)
    drift = np.stack([0.02 + 0.0005 * y, -0.0004 * x]).astype(np.float32)
    return drift, drift + noise * rng.standard_normal(drift.shape, dtype=np.float32)


def test_noise_on_a_slow_drift_goes_and_the_drift_stays():
    drift, noisy = drifting(np.random.default_rng(1), 0.03)
    found = smooth_static(noisy, np.ones(CELLS, np.float32))
    inside = (slice(None), slice(4, -4), slice(4, -4))
    assert np.abs(found - drift)[inside].mean() < 0.4 * np.abs(noisy - drift)[inside].mean()


def test_what_moves_by_itself_and_what_the_codec_moved_stay():
    _, noisy = drifting(np.random.default_rng(2), 0.02)
    noisy[:, 10:16, 10:16] += 0.8
    share = np.ones(CELLS, np.float32)
    share[:, 30:] = 0
    found = smooth_static(noisy, share)
    np.testing.assert_allclose(found[:, 11:15, 11:15], noisy[:, 11:15, 11:15], atol=0.03)
    np.testing.assert_array_equal(found[:, :, 30:], noisy[:, :, 30:])
    np.testing.assert_array_equal(smooth_static(noisy, np.zeros(CELLS, np.float32)), noisy)


def test_empty_and_boundless_vectors_stay_and_count_for_nothing():
    _, noisy = drifting(np.random.default_rng(3), 0.02)
    holed = noisy.copy()
    holed[:, 3, 4] = np.nan
    holed[0, 20, 20] = np.inf
    share = np.ones(CELLS, np.float32)
    without = share.copy()
    without[3, 4] = without[20, 20] = 0
    found, wanted = smooth_static(holed, share), smooth_static(noisy, without)
    np.testing.assert_array_equal(found[:, 3, 4], [np.nan, np.nan])
    assert found[0, 20, 20] == np.inf
    known = np.isfinite(holed).all(axis=0)
    np.testing.assert_allclose(found[:, known], wanted[:, known], atol=1e-6)
    np.testing.assert_allclose(reference.static_smoothing(holed, share, TAPS, 2.5, 0.15), found, atol=1e-4)


def test_cells_count_by_the_share_of_frames_in_which_they_are_static():
    static, moving = np.ones((2, 3), np.bool_), np.zeros((2, 3), np.bool_)
    share = static_share([static, moving, static, static])
    assert share is not None
    np.testing.assert_allclose(share, 0.75**2)
    assert static_share([moving, moving]) is None


def test_a_fixed_camera_drifts_less(tmp_path, monkeypatch):
    """Noise on a static scene, coded: how far composed motion wanders over all frames."""
    rng = np.random.default_rng(8)
    scene = np.kron(rng.integers(40, 210, (24, 32)), np.ones((4, 4)))[..., None].repeat(3, axis=2)
    pictures = np.stack([(scene + rng.normal(0, 8, scene.shape)).clip(0, 255).astype(np.uint8) for _ in range(14)])
    clip = encode(tmp_path / "fixed.mp4", pictures, options={"crf": "22"})

    def wandered():
        return np.abs(estimate_motion(read_video(clip)).to_prev[1:].sum(axis=0)).mean()

    found = wandered()
    monkeypatch.setattr(motion_stream, "smooth_static", lambda field, share: field)
    assert found < 0.6 * wandered()
