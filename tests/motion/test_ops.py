"""The array operations on the cell grid, on arrays made by hand."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from codecvsr import native_libraries
from codecvsr.models.layers.warp import warp as torch_warp
from codecvsr.motion import ops
from codecvsr.motion.grid import pad_to_cells, to_cells, to_pixels
from codecvsr.motion.ops import native, reference
from tests.streams import texture

NAN = np.nan


def test_the_table_is_chosen_once_and_motion_is_free_of_torch():
    """In fresh processes: with the library, and with it switched off."""
    program = (
        "import sys, codecvsr.motion\n"
        "from codecvsr.motion import ops\n"
        "assert ops.table() is ops.table() and 'torch' not in sys.modules\n"
        "assert not [name for name in sys.modules if name.startswith(('codecvsr.models', 'codecvsr.engine'))]\n"
        "print(ops.table().__name__)"
    )
    for switch in ("1", "0"):
        environment = os.environ | {"CODECVSR_NATIVE": switch}
        done = subprocess.run(
            [sys.executable, "-c", program], check=False, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        is_built = switch == "1" and native_libraries._library("field") is not None
        assert done.stdout.strip() == f"codecvsr.motion.ops.{'native' if is_built else 'reference'}"


def test_both_tables_have_the_functions_of_the_protocol():
    names = [name for name in vars(ops.MotionOps) if not name.startswith("_")]
    assert len(names) == 15
    for name in names:
        expected = list(inspect.signature(getattr(ops.MotionOps, name)).parameters)[1:]
        for module in (native, reference):
            assert list(inspect.signature(getattr(module, name)).parameters) == expected, (module, name)


def field(rows, columns, value=NAN):
    return np.full((2, rows, columns), value, np.float32)


def test_padding_repeats_the_last_row_and_column():
    luma = np.arange(15, dtype=np.uint8).reshape(3, 5)
    padded = pad_to_cells(luma)
    assert padded.shape == (4, 8) and padded.dtype == np.uint8
    np.testing.assert_array_equal(padded[:3, :5], luma)
    np.testing.assert_array_equal(padded[3, :5], luma[2])
    np.testing.assert_array_equal(padded[:3, 5:], luma[:, 4:5].repeat(3, 1))
    assert pad_to_cells(np.zeros((8, 12), np.uint8)).shape == (8, 12)


def test_cells_and_pixels():
    cells = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    flat = to_pixels(cells, smooth=False)
    assert flat.shape == (2, 8, 12)
    np.testing.assert_array_equal(flat[0, :4, 4:8], np.full((4, 4), cells[0, 0, 1]))
    for part in range(2):
        np.testing.assert_allclose(to_cells(np.ascontiguousarray(flat[part])), cells[part])
    smooth = to_pixels(cells, smooth=True)
    # A cell's value stands at its centre, which lies between its second and its third pixel.
    np.testing.assert_allclose(smooth[0, 0, 5:7].mean(), cells[0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(np.diff(smooth[0, 0, 2:10]), 0.25, atol=1e-6)


def test_warp_takes_what_the_flow_points_at():
    picture = texture(12, 16)[..., 0].astype(np.float32)
    flow = np.zeros((2, 12, 16), np.float32)
    flow[0], flow[1] = 3, -2
    moved = ops.table().warp(picture, flow)
    np.testing.assert_array_equal(moved[2:, :13], picture[:10, 3:])
    np.testing.assert_array_equal(moved[2:, 13:], picture[:10, 15:].repeat(3, 1))  # the border goes on
    flow[0], flow[1] = 0.5, 0
    np.testing.assert_allclose(
        ops.table().warp(picture, flow)[:, :15], (picture[:, :15] + picture[:, 1:]) / 2, atol=1e-4
    )


@pytest.mark.parametrize("channels_last", [False, True])
def test_both_warps_agree(channels_last):
    """The ones on arrays and the one the networks use."""
    rng = np.random.default_rng(1)
    picture = texture(24, 40).astype(np.float32)
    flow = np.round(rng.normal(0, 6, (2, 24, 40)) * 32).astype(np.float32) / 32
    features = torch.from_numpy(picture.transpose(2, 0, 1)[None].copy())
    if channels_last:
        features = features.contiguous(memory_format=torch.channels_last)
    expected = torch_warp(features, torch.from_numpy(flow[None]))[0].permute(1, 2, 0).numpy()
    planes = [ops.table().warp(np.ascontiguousarray(plane), flow) for plane in picture.transpose(2, 0, 1)]
    np.testing.assert_allclose(np.stack(planes, -1), expected, atol=0.02)
    np.testing.assert_allclose(reference.warp(picture, flow), expected, atol=0.02)


def test_matching_error_is_the_difference_to_what_is_pointed_at():
    current = texture(32, 48)[..., 0] // 2
    other = np.roll(current, (4, -8), (0, 1))  # current(x, y) = other(x - 8, y + 4)
    right = field(8, 12, 0)
    right[0], right[1] = -8, 4
    error = ops.table().matching_error(current, other, right)
    assert error.shape == (8, 12)
    assert error[2:6, 3:].max() == 0
    assert ops.table().matching_error(current, other, -right)[1:6, 3:9].mean() > 5
    np.testing.assert_array_equal(ops.table().matching_error(current, current + 3, field(8, 12, 0)), 3)
    between = ops.table().matching_error(current * 0, np.tile(np.uint8([10, 20]), (32, 24)), field(8, 12, 0.5))
    np.testing.assert_array_equal(between[:, :10], 15)  # in the middle of two pixels; the border is repeated
    right[:, 2, 5] = NAN
    error = ops.table().matching_error(current, other, right)
    assert np.isinf(error[2, 5]) and np.isfinite(error).sum() == 95


def test_splat_lands_where_the_vector_points():
    start = field(4, 6)
    start[:, 1, 2] = 8, -4  # two cells to the right, one up
    landed = ops.table().splat(start, -1, np.zeros((4, 6), np.float32))
    assert landed[:, 0, 4].tolist() == [-8, 4]
    assert np.isnan(landed).sum() == 2 * 23
    assert ops.table().splat(start, 1, np.zeros((4, 6), np.float32))[:, 0, 4].tolist() == [8, -4]


def test_of_two_that_land_in_one_cell_the_better_match_stays():
    start = field(1, 5)
    start[:, 0, 0], start[:, 0, 4] = (8, 0), (-8, 0)  # both arrive in cell 2
    priority = np.array([[1, 9, 9, 9, 5]], np.float32)
    assert ops.table().splat(start, 1, priority)[:, 0, 2].tolist() == [8, 0]
    assert ops.table().splat(start, 1, priority[:, ::-1])[:, 0, 2].tolist() == [-8, 0]


def test_what_leaves_the_picture_is_gone():
    assert np.isnan(ops.table().splat(field(3, 3, 400), 1, np.zeros((3, 3), np.float32))).all()
    assert np.isnan(ops.table().splat(field(3, 3), 1, np.zeros((3, 3), np.float32))).all()


def test_holes_take_the_mean_of_their_neighbours_ring_by_ring():
    holed = field(1, 5)
    holed[:, 0, 0], holed[:, 0, 2] = (2, 20), (4, 40)
    filled = ops.table().fill_holes(holed)
    np.testing.assert_allclose(filled[0, 0], [2, 3, 4, 4, 4], atol=1e-5)
    np.testing.assert_allclose(filled[1, 0], [20, 30, 40, 40, 40], atol=1e-4)
    assert np.isnan(holed[0, 0, 1])  # the input stays


def test_filling_keeps_what_is_known_and_never_fails():
    rng = np.random.default_rng(0)
    known = rng.normal(size=(2, 9, 7)).astype(np.float32)
    holed = known.copy()
    holed[:, rng.random((9, 7)) < 0.7] = NAN
    filled = ops.table().fill_holes(holed)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~np.isnan(holed)], known[~np.isnan(holed)])
    np.testing.assert_array_equal(ops.table().fill_holes(field(3, 4)), 0)
    np.testing.assert_array_equal(ops.table().fill_holes(known), known)
    corner = field(40, 3)
    corner[:, 0, 0] = 5
    np.testing.assert_allclose(ops.table().fill_holes(corner), 5, atol=1e-4)
