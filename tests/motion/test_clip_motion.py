"""Fields of whole clips: sign, centre, scale, scene cuts and what each part of the repair does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codecvsr import native_libraries
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import InputError
from codecvsr.motion import ClipMotion, MotionOptions, drift, estimate_motion, motion_fields, ops
from codecvsr.motion.grid import pad_to_cells, to_cells, to_pixels
from codecvsr.motion.ops import reference
from codecvsr.motion.ops.reference import refinement
from codecvsr.motion.refine import refine
from tests.streams import encode, moving_texture, texture

PYRAMID = "bframes=3:b-pyramid=normal:ref=3:b-adapt=0:scenecut=0"
INSIDE = (slice(5, -5), slice(6, -6))  # cells that the motion below never brings in from outside


def psnr(a, b):
    return 10 * np.log10(255**2 / max(float(((a.astype(float) - b) ** 2).mean()), 1e-9))


def moving(tmp_path, dx, dy, *, frames=8, height=96, width=128, name="clip.mp4", **options):
    clip = moving_texture(frames, height, width, dx, dy, seed=abs(dx) + 3)
    return encode(tmp_path / name, clip, options={"crf": "16", "x264-params": PYRAMID, **options})


# --- sign, scale and centre -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (-2, 1), (0, -3), (1, 2), (4, -4)])
def test_a_clip_shifted_by_known_integers_warps_back(tmp_path, dx, dy):
    path = moving(tmp_path, dx, dy)
    lumas = [pad_to_cells(frame.luma).astype(np.float32) for frame in read_video(path)]
    motion = motion_fields(path)
    for t in range(8):
        for field, n, wanted in ((motion.to_prev[t], t - 1, (-dx, -dy)), (motion.to_next[t], t + 1, (dx, dy))):
            if not 0 <= n < 8:
                assert not field.any()
                continue
            error = abs(field - np.array(wanted, np.float32)[:, None, None])[:, *INSIDE]
            assert error.mean() < 0.1 and np.median(error) < 0.05, (t, n)
            pulled = ops.table().warp(lumas[n], to_pixels(field, smooth=True))[20:-20, 24:-24]
            assert psnr(pulled, lumas[t][20:-20, 24:-24]) > psnr(lumas[n][20:-20, 24:-24], lumas[t][20:-20, 24:-24]) + 8
            assert psnr(pulled, lumas[t][20:-20, 24:-24]) > 34
    assert motion.confidence[1:-1][:, :, *INSIDE].min() > 0.3
    assert not motion.is_cut.any()


def foreground(frames=6, height=96, width=128):
    """A block of 32x32 pixels that moves (4, 2) a frame over a background that does not; returns clip and its corners."""
    back, front = texture(height, width, 1), texture(64, 64, 9)[16:48, 16:48]
    clip, corners = [], []
    for t in range(frames):
        x, y = 16 + 4 * t, 16 + 2 * t
        picture = back.copy()
        picture[y : y + 32, x : x + 32] = front
        clip.append(picture)
        corners.append((x, y))
    return np.stack(clip), corners


def test_vectors_lie_where_their_blocks_are(tmp_path):
    """A shift of 0.5 blocks to the right and down, as if dst were a corner, is worse."""
    clip, corners = foreground()
    path = encode(tmp_path / "block.mp4", clip, options={"crf": "14", "x264-params": "bframes=0:ref=1:scenecut=0"})
    lumas = [pad_to_cells(frame.luma).astype(np.float32) for frame in read_video(path)]
    raw = motion_fields(path, MotionOptions(resolve=False)).to_prev  # the repair would undo a shift
    right = wrong = 0.0
    off_centre = []
    for t in range(1, 6):
        shifted = np.roll(raw[t], (2, 2), (1, 2))  # 8 pixels
        right += psnr(ops.table().warp(lumas[t - 1], to_pixels(raw[t], smooth=False)), lumas[t]) / 5
        wrong += psnr(ops.table().warp(lumas[t - 1], to_pixels(shifted, smooth=False)), lumas[t]) / 5
        moved = np.argwhere(abs(raw[t] - np.array([-4, -2], np.float32)[:, None, None]).max(axis=0) < 0.6)
        assert len(moved) > 40  # of 64 cells
        off_centre.append((moved.mean(axis=0) + 0.5) * 4 - (corners[t][1] + 16, corners[t][0] + 16))
    assert abs(np.mean(off_centre, axis=0)).max() < 2.5  # pixels
    assert right > wrong + 3


def test_sizes_that_are_no_multiple_of_anything(tmp_path):
    path = moving(tmp_path, 2, 1, height=94, width=126, frames=5)
    motion = motion_fields(path)
    assert motion.to_prev.shape == motion.to_next.shape == motion.past.shape == (5, 2, 24, 32)
    assert motion.confidence.shape == motion.error.shape == (5, 2, 24, 32)
    assert motion.partition.shape == (5, 24, 32) and motion.qp.shape == (5, 6, 8)
    for name in ("types", "is_reference", "is_idr", "decode_order", "is_cut"):
        assert getattr(motion, name).shape == (5,)
    assert abs(motion.to_prev[2][0, *INSIDE] + 2).mean() < 0.1
    assert {motion.to_prev.dtype, motion.to_next.dtype, motion.confidence.dtype} == {np.dtype(np.float32)}
    for name in ("to_prev", "to_next", "confidence", "error"):
        assert np.isfinite(getattr(motion, name)).all()


# --- frames without vectors -------------------------------------------------------------------------------------------


def test_an_i_frame_in_mid_shot_gets_a_field(tmp_path):
    options = "bframes=0:ref=1:keyint=4:min-keyint=4:scenecut=0"
    path = moving(tmp_path, 3, 1, **{"x264-params": options})
    motion = motion_fields(path)
    assert motion.types.tolist() == [1, 2, 2, 2, 1, 2, 2, 2]
    assert np.isnan(motion.past[4]).all() and not motion.is_cut.any()
    for wanted, field in ((-3, motion.to_prev[4][0]), (3, motion.to_next[4][0]), (3, motion.to_next[3][0])):
        assert abs(field[INSIDE] - wanted).mean() < 0.1
    assert motion.confidence[4, :, *INSIDE].min() > 0.3


def test_without_inversion_a_missing_direction_stays_empty(tmp_path):
    path = moving(tmp_path, 3, 1, **{"x264-params": "bframes=0:ref=1"})
    whole = motion_fields(path, MotionOptions(refine=False))
    empty = motion_fields(path, MotionOptions(invert=False, refine=False))
    assert abs(whole.to_next[:-1, 0, *INSIDE] - 3).mean() < 0.2
    assert not empty.to_next.any()
    assert abs(empty.to_prev[1:, 0, *INSIDE] + 3).mean() < 0.2
    assert not motion_fields(path, MotionOptions(invert=False, resolve=False)).to_next.any()


def test_without_resolving_vectors_are_raw(tmp_path):
    path = moving(tmp_path, 2, 0)
    raw = motion_fields(path, MotionOptions(resolve=False))
    np.testing.assert_array_equal(raw.to_prev[1:], np.nan_to_num(raw.past[1:], nan=0.0))
    p4 = 4
    assert raw.types[p4] == 2
    assert np.median(raw.to_prev[p4, 0][INSIDE]) == pytest.approx(-8, abs=0.3)  # four frames away, not divided
    assert np.median(motion_fields(path).to_prev[p4, 0][INSIDE]) == pytest.approx(-2, abs=0.1)
    assert raw.error[p4, 0][INSIDE].mean() > 3 * motion_fields(path).error[p4, 0][INSIDE].mean()


# --- refinement -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("off_x", "off_y"), [(0.5, 0), (0, -0.5), (-0.4, 0.4)])
def test_refinement_finds_the_fraction_a_field_lacks(off_x, off_y):
    big = texture(128, 160, 4)[..., 1]
    flow = np.zeros((2, 128, 160), np.float32)
    flow[0], flow[1] = 2 + off_x, 1 + off_y
    current = np.rint(ops.table().warp(big.astype(np.float32), flow)).astype(np.uint8)
    field = np.zeros((2, 32, 40), np.float32)
    field[0], field[1] = 2, 1
    refined = refine(ops.table().prepare(current), ops.table().prepare(big), field, qp=20.0)
    before = abs(field - to_cells_of(flow))[:, *INSIDE].mean()
    after = abs(refined - to_cells_of(flow))[:, *INSIDE].mean()
    assert after < 0.65 * before  # two damped steps
    converged = refine(ops.table().prepare(current), ops.table().prepare(big), field, qp=20.0, steps=12)
    assert abs(converged - to_cells_of(flow))[:, *INSIDE].mean() < 0.3 * before
    assert refined.dtype == np.float32 and refined.shape == field.shape
    improved = ops.table().matching_error(current, big, refined)[INSIDE].mean()
    assert improved < 0.6 * ops.table().matching_error(current, big, field)[INSIDE].mean()


def to_cells_of(flow):
    return np.stack([to_cells(np.ascontiguousarray(part)) for part in flow])


def test_refinement_leaves_a_right_field_alone_and_never_goes_far():
    luma = np.ascontiguousarray(texture(64, 96, 2)[..., 1])
    zero = np.zeros((2, 16, 24), np.float32)
    assert abs(refine(ops.table().prepare(luma), ops.table().prepare(luma), zero, qp=25.0)).max() < 1e-3
    noise = np.random.default_rng(0).integers(0, 255, (64, 96)).astype(np.uint8)
    refined = refine(ops.table().prepare(luma), ops.table().prepare(noise), zero, qp=25.0)
    assert np.isfinite(refined).all() and abs(refined).max() <= 2.01  # two steps of a pixel at most


def test_a_change_of_light_is_little_motion(monkeypatch):
    """Without the subtraction of local means it is a pixel and more."""
    luma = (texture(120, 160, 3)[..., 1] * 0.6 + 40).astype(np.uint8)
    brighter = (luma + 6 + np.arange(160) // 32).astype(np.uint8)
    zero = np.zeros((2, 30, 40), np.float32)
    moved = abs(refine(ops.table().prepare(luma), ops.table().prepare(brighter), zero, qp=20.0)).mean()
    assert moved < 0.7
    monkeypatch.setattr(refinement, "_MEAN_SHARE", 0)
    pictures = reference.prepare(luma), reference.prepare(brighter)
    assert moved < 0.6 * abs(refine(*pictures, zero, qp=20.0)).mean()


def test_matches_over_four_frames_are_part_of_the_refinement_and_of_nothing_else(tmp_path, monkeypatch):
    path = moving(tmp_path, 3, 1)
    whole, repaired = motion_fields(path), motion_fields(path, MotionOptions(refine=False))
    monkeypatch.setattr(drift, "_GAIN", 0.0)
    single = motion_fields(path)
    for name in ("to_prev", "to_next", "error"):
        changed = abs(getattr(whole, name) - getattr(single, name))
        assert changed.max() > 0.001
        assert name == "error" or changed.max() < 0.5  # two rounds of up to 0.225, and what they lead to
        without = getattr(motion_fields(path, MotionOptions(refine=False)), name)
        np.testing.assert_array_equal(without, getattr(repaired, name))


# --- scene cuts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut_at", [4, 5])
def test_a_cut_is_found_where_it_is_and_nothing_crosses_it(tmp_path, cut_at):
    clip = moving_texture(10, 96, 128, 2, 1, seed=1)
    clip[cut_at:] = moving_texture(10, 96, 128, -1, 2, seed=50)[cut_at:]
    motion = motion_fields(encode(tmp_path / "cut.mp4", clip, options={"crf": "18"}))
    assert np.flatnonzero(motion.is_cut).tolist() == [cut_at]
    assert not motion.to_prev[cut_at].any() and not motion.to_next[cut_at - 1].any()
    assert not motion.confidence[cut_at, 0].any() and not motion.confidence[cut_at - 1, 1].any()
    assert abs(motion.to_prev[cut_at - 1][0, *INSIDE] + 2).mean() < 0.2
    assert abs(motion.to_next[cut_at][1, *INSIDE] - 2).mean() < 0.2


@pytest.mark.parametrize("cut_at", [5, 6, 7])
def test_a_cut_shown_first_by_a_b_frame_from_the_future_is_found(tmp_path, cut_at):
    clip = moving_texture(13, 96, 128, 2, 1, seed=1)
    clip[cut_at:] = moving_texture(13, 96, 128, -1, 2, seed=50)[cut_at:]
    motion = motion_fields(encode(tmp_path / "cut.mp4", clip, options={"crf": "18", "x264-params": PYRAMID}))
    assert motion.types[cut_at] == 3 and (motion.partition[cut_at] == 0).mean() < 0.5
    assert np.flatnonzero(motion.is_cut).tolist() == [cut_at]
    assert not motion.to_prev[cut_at].any() and not motion.to_next[cut_at - 1].any()
    assert abs(motion.to_next[cut_at][1, *INSIDE] - 2).mean() < 0.3


@pytest.mark.parametrize(("dx", "keyint"), [(6, 250), (3, 4)])
def test_a_pan_has_no_cuts(tmp_path, dx, keyint):
    path = moving(tmp_path, dx, 0, frames=10, **{"x264-params": f"keyint={keyint}:min-keyint=1"})
    assert not motion_fields(path).is_cut.any()


# --- the clip ---------------------------------------------------------------------------------------------------------


def test_two_runs_and_both_backends_are_equal_bit_by_bit(tmp_path):
    path = moving(tmp_path, 3, -2)
    first = motion_fields(path, backend="pyav")
    backends = ["pyav"] + (["native"] if native_libraries.reader_library() is not None else [])
    for backend in backends:
        again = motion_fields(path, backend=backend)
        for part in dataclasses.fields(ClipMotion):
            assert getattr(again, part.name).tobytes() == getattr(first, part.name).tobytes(), part.name


def test_facts_of_the_stream_and_a_part_of_the_clip(tmp_path):
    path = moving(tmp_path, 2, 1)
    frames = list(read_video(path))
    motion = estimate_motion(frames)
    assert len(motion) == 8
    assert motion.decode_order.tolist() == [frame.decode_index for frame in frames]
    assert motion.is_reference.tolist() == [frame.is_reference for frame in frames]
    assert motion.is_idr.tolist() == [True] + [False] * 7
    np.testing.assert_array_equal(motion.qp, np.stack([frame.qp for frame in frames]))
    part = motion.cut(2, 5)
    assert len(part) == 3
    np.testing.assert_array_equal(part.to_prev, motion.to_prev[2:5])
    with pytest.raises(ValueError, match="expected shape"):
        dataclasses.replace(motion, past=motion.past[:, :, 1:])
    with pytest.raises(ValueError, match="types: expected 8 frames, got 7"):
        dataclasses.replace(motion, types=motion.types[1:])


def test_one_frame_has_no_motion_and_none_is_an_error(tmp_path):
    path = encode(tmp_path / "one.mp4", moving_texture(1, 32, 48, 1, 1))
    motion = motion_fields(path)
    assert motion.to_prev.shape == (1, 2, 8, 12)
    assert not motion.to_prev.any() and not motion.to_next.any() and not motion.confidence.any()
    with pytest.raises(InputError, match="has no frames"):
        estimate_motion([])
