"""Shift-and-add: samples land where the motion says, and only those that can be trusted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from codecvsr.models.layers.shift_add import luma, shift_and_add
from codecvsr.models.layers.warp import warp

SIZE = 24


def scene(dx: float = 0.0, dy: float = 0.0) -> Tensor:
    """(1, 1, H, W): a scene with more detail than the pixels can show, sampled ``dx``, ``dy`` pixels further."""
    x, y = torch.arange(SIZE) + dx, torch.arange(SIZE)[:, None] + dy
    return (0.5 + 0.006 * torch.sin(4.1 * x + 0.7 * y) + 0.006 * torch.sin(3.7 * y - 0.4 * x))[None, None]


def shifted(dx: float, dy: float) -> tuple[Tensor, Tensor, Tensor]:
    flow = torch.tensor([-dx, -dy]).view(1, 2, 1, 1).expand(1, 2, SIZE, SIZE)
    return scene(dx, dy), flow, torch.ones(1, 1, 1, 1)


@pytest.mark.parametrize(("column", "row"), [(0, 0), (3, 0), (1, 2), (2, 3)])
def test_a_sample_corrects_interpolation_where_it_lies(column: int, row: int) -> None:
    dx, dy = (column - 1.5) / 4, (row - 1.5) / 4
    samples, shares = shift_and_add(scene(), [shifted(dx, dy)]).chunk(2, dim=1)
    point = 4 * row + column
    there = torch.tensor([dx, dy]).view(1, 2, 1, 1).expand(1, 2, SIZE, SIZE)
    interpolated = warp(scene(), there, mode="bicubic")
    corrected = interpolated[:, 0] + samples[:, point] * 1.3
    inside = (slice(None), slice(4, -4), slice(4, -4))
    error, before = (
        (picture - scene(dx, dy)[:, 0])[inside].abs().mean() for picture in (corrected, interpolated[:, 0])
    )
    assert before > 0.003
    assert error < 0.2 * before
    assert shares[:, point][inside].min() > 0.6
    others = [k for k in range(16) if abs(k % 4 - column) > 1 or abs(k // 4 - row) > 1]
    assert shares[:, others].abs().max() < 1e-5


def test_whole_pixels_of_motion_make_no_difference() -> None:
    near, far = (shift_and_add(scene(), [shifted(dx, 0.125)]) for dx in (0.375, 5.375))
    torch.testing.assert_close(near[..., 4:-4, 8:-8], far[..., 4:-4, 8:-8], atol=1e-5, rtol=1e-3)


def test_several_neighbours_are_averaged() -> None:
    one, two = shifted(0.125, 0.125), shifted(-0.375, 0.125)
    both = shift_and_add(scene(), [one, two])
    alone = [shift_and_add(scene(), [n]) for n in (one, two)]
    torch.testing.assert_close(both, alone[0] + alone[1], atol=1e-6, rtol=1e-4)  # they land on different points
    twice = shift_and_add(scene(), [one, one])
    point = 10
    torch.testing.assert_close(twice[:, point] * 2.3 / 2, alone[0][:, point] * 1.3, atol=2e-4, rtol=0.1)


def test_what_cannot_be_trusted_is_left_out() -> None:
    picture, flow, gate = shifted(0.125, 0.125)
    assert shift_and_add(scene(), []).abs().max() == 0
    assert shift_and_add(scene(), [(picture, flow, gate * 0)]).abs().max() == 0
    assert shift_and_add(scene(), [(picture + 0.3, flow, gate)]).abs().max() < 1e-6
    beyond = shift_and_add(scene(), [(picture, flow - SIZE, gate)])
    assert beyond.abs().max() == 0


def test_gradients_reach_the_flow() -> None:
    picture, flow, gate = shifted(0.2, 0.05)
    flow = flow.clone().requires_grad_()
    shift_and_add(scene(), [(picture, flow, gate)])[:, :16].square().sum().backward()
    assert flow.grad is not None
    assert flow.grad.isfinite().all()
    assert flow.grad.abs().max() > 0


def test_luma() -> None:
    frames = torch.rand(2, 3, 3, 4, 5)
    assert luma(frames).shape == (2, 3, 1, 4, 5)
    torch.testing.assert_close(luma(torch.ones(3, 4, 4)), torch.ones(1, 4, 4))
