"""Alignment figures: true shifts result in the ceiling, wrong ones do not, and every option does what it says."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from codecvsr.metrics.alignment import AlignmentTable, compose, neighbour_psnr, track_psnr
from tests.streams import moving_texture

CEILING = 10 * math.log10(255**2 * 12)  # errors below the rounding of 8 bits
DX, DY = 2, -1


def clip(frames=8, height=64, width=80):
    return [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in moving_texture(frames, height, width, DX, DY, seed=4)]


def constant(frames, shape, dx, dy):
    return np.broadcast_to(np.array([dx, dy], np.float32)[None, :, None, None], (frames, 2, *shape)).copy()


def true_motion(frames, shape=(16, 20)):
    return constant(frames, shape, -DX, -DY), constant(frames, shape, DX, DY)


@pytest.mark.parametrize("shape", [(16, 20), (64, 80)], ids=["cells", "pixels"])
def test_known_shift_reaches_the_ceiling_both_ways(shape):
    lumas = clip()
    for direction, motion, none in zip(("to_prev", "to_next"), true_motion(8, shape), (0, 7), strict=True):
        right = neighbour_psnr(lumas, motion, direction)
        assert np.flatnonzero(np.isnan(right)).tolist() == [none]
        assert np.nanmin(right) == pytest.approx(CEILING)
        assert np.nanmax(neighbour_psnr(lumas, -motion, direction)) < 30
        assert np.nanmax(neighbour_psnr(lumas, motion + np.float32(0.25), direction)) < CEILING - 5


def test_tracks_of_a_known_shift():
    lumas = clip()
    for direction, motion in zip(("to_prev", "to_next"), true_motion(8), strict=True):
        # three frames: 6 pixels, which a border of 8 keeps inside the picture
        assert track_psnr(lumas, motion, direction, length=3, stride=2) == pytest.approx([CEILING] * 3)
        off = track_psnr(lumas, motion + np.float32(0.1), direction, length=3, stride=2)
        assert (off < neighbour_psnr(lumas, motion + np.float32(0.1), direction)[1] - 3).all()  # errors add up
        assert np.allclose(compose(motion, direction, 1, 3, (64, 80)), 3 * motion[0, :, :1, :1], atol=1e-5)


def test_composition_follows_the_motion_in_order():
    """acc = f + warp(acc, f): a field is read where the later step comes from, not where it stands."""
    x = np.arange(20, dtype=np.float32) * 4
    zoom, shift = np.zeros((2, 2, 16, 20), np.float32)
    zoom[0] = 0.05 * x
    shift[0] = 8.0
    at = 40  # a pixel far from every border
    later = compose(np.stack([shift, zoom, shift]), "to_prev", 0, 2, (64, 80))  # frame 2 -> 1 -> 0
    assert later[0, 32, at] == pytest.approx(8 + 0.05 * (at + 8 - 1.5), abs=1e-3)
    earlier = compose(np.stack([zoom, shift, shift]), "to_next", 0, 2, (64, 80))  # frame 0 -> 1 -> 2
    assert earlier[0, 32, at] == pytest.approx(0.05 * (at - 1.5) + 8, abs=1e-3)


def test_fields_of_small_frames_judge_large_pictures():
    large = clip(4, 256, 320)
    motion = true_motion(4, (16, 20))[0] / 4  # in pixels of 64x80
    assert np.nanmin(neighbour_psnr(large, motion, "to_prev", scale=4, border=2)) == pytest.approx(CEILING)
    assert np.nanmax(neighbour_psnr(large, 4 * motion, "to_prev", scale=4, border=2)) < 35
    assert track_psnr(large, motion, "to_prev", length=3, scale=4, border=2) == pytest.approx([CEILING])


def test_the_border_is_left_out():
    lumas = clip(3)
    spoiled = [luma.copy() for luma in lumas]
    for luma in spoiled:
        luma[:4] = luma[:, -4:] = 0
    motion = true_motion(3)[0]
    assert np.nanmin(neighbour_psnr(spoiled, motion, "to_prev", border=8)) == pytest.approx(CEILING)
    assert np.nanmax(neighbour_psnr(spoiled, motion, "to_prev", border=2)) < 30


def test_nothing_is_measured_across_a_cut():
    lumas, is_cut = clip(), np.zeros(8, bool)
    is_cut[4] = True
    to_prev, to_next = true_motion(8)
    assert np.flatnonzero(np.isnan(neighbour_psnr(lumas, to_prev, "to_prev", is_cut=is_cut))).tolist() == [0, 4]
    assert np.flatnonzero(np.isnan(neighbour_psnr(lumas, to_next, "to_next", is_cut=is_cut))).tolist() == [3, 7]
    # of tracks 0-3, 1-4, 2-5, 3-6, 4-7 only the first and the last stay within a scene
    assert len(track_psnr(lumas, to_prev, "to_prev", length=3, stride=1, is_cut=is_cut)) == 2


def test_table_gathers_clips_by_direction_and_type():
    lumas = clip()
    table = AlignmentTable(length=3)
    methods = {"zero": (np.zeros((8, 2, 16, 20), np.float32),) * 2, "true": true_motion(8)}
    for _ in range(2):
        table.add(lumas, methods, list("IBPBPBPP"))
    report = table.to_json()
    assert report["tracks"] == 2 and report["track_frames"] == 3
    assert report["one_frame"]["true"]["to_next"] == pytest.approx({k: CEILING for k in ("P", "B", "all", "worst")})
    assert report["track"]["true"] == pytest.approx({"to_prev": CEILING, "to_next": CEILING, "mean": CEILING})
    zero = neighbour_psnr(lumas, methods["zero"][0], "to_prev")
    wanted = {
        "P": zero[[2, 4, 6, 7]].mean(),
        "B": zero[[1, 3, 5]].mean(),
        "all": zero[1:].mean(),
        "worst": zero[1:].min(),
    }
    assert report["one_frame"]["zero"]["to_prev"] == pytest.approx(wanted)
    assert report["track"]["zero"]["mean"] < report["one_frame"]["zero"]["to_prev"]["worst"]


def test_wrong_shapes_are_named():
    lumas = clip(3)
    motion = true_motion(3)[0]
    with pytest.raises(ValueError, match="3 pictures"):
        neighbour_psnr(lumas, motion[:2], "to_prev")
    with pytest.raises(ValueError, match="neither on the pixels nor on the cells"):
        neighbour_psnr(lumas, motion[:, :, :-1], "to_prev")
    with pytest.raises(ValueError, match="border = 32 leaves nothing"):
        neighbour_psnr(lumas, motion, "to_prev", border=32)
    with pytest.raises(ValueError, match="no whole multiple of 3"):
        neighbour_psnr(lumas, motion, "to_prev", scale=3)
    with pytest.raises(ValueError, match="length = 0"):
        track_psnr(lumas, motion, "to_prev", length=0)
