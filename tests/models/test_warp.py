"""The one warp: sign, units, borders, precision, and that its two ways agree."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from codecvsr.models.layers.warp import warp


def _features(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _smooth_flow(count: int, height: int, width: int, pixels: float) -> torch.Tensor:
    coarse = _features(count, 2, 4, 4, seed=1) * pixels
    return F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=True)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pulls_from_position_plus_flow_x_first(layout: torch.memory_format) -> None:
    features = _features(1, 5, 20, 30).contiguous(memory_format=layout)
    flow = torch.zeros(1, 2, 20, 30)
    flow[:, 0], flow[:, 1] = 3.0, -2.0
    output = warp(features, flow)
    torch.testing.assert_close(output[..., 2:, :-3], features[..., :-2, 3:], atol=2e-5, rtol=0)


def test_fractions_are_bilinear() -> None:
    features = _features(1, 1, 4, 6)
    flow = torch.zeros(1, 2, 4, 6)
    flow[:, 0] = 0.25
    expected = 0.75 * features[..., :-1] + 0.25 * features[..., 1:]
    torch.testing.assert_close(warp(features, flow)[..., :-1], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_outside_is_the_border_or_zero(layout: torch.memory_format) -> None:
    features = (_features(1, 3, 8, 9) + 10).contiguous(memory_format=layout)
    flow = torch.zeros(1, 2, 8, 9)
    flow[:, 0] = 100.0
    border = warp(features, flow, padding="border")
    torch.testing.assert_close(border, features[..., -1:].expand_as(border), atol=2e-5, rtol=0)
    assert warp(features, flow, padding="zeros").abs().max() == 0
    flow[:, 0] = 0.5  # the last column lies 0.5 pixels outside
    edge = warp(features, flow, padding="zeros")[..., -1]
    torch.testing.assert_close(edge, features[..., -1] / 2, atol=2e-5, rtol=0)


@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("size", [(17, 23), (1, 9), (9, 1), (2, 2)])
def test_channels_last_gather_equals_grid_sample(padding: str, size: tuple[int, int]) -> None:
    plain = _features(2, 8, *size).requires_grad_()
    last = plain.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    flow = _smooth_flow(2, *size, pixels=4.0)
    flows = [flow.clone().requires_grad_() for _ in range(2)]
    expected, output = warp(plain, flows[0], padding=padding), warp(last, flows[1], padding=padding)
    torch.testing.assert_close(output, expected, atol=5e-5, rtol=0)
    weights = _features(*expected.shape, seed=2)
    (expected * weights).sum().backward()
    (output * weights).sum().backward()
    torch.testing.assert_close(last.grad, plain.grad, atol=2e-4, rtol=1e-4)
    if min(size) > 2:  # on narrower pictures most positions are on a kink, where either slope is right
        torch.testing.assert_close(flows[1].grad, flows[0].grad, atol=2e-3, rtol=1e-3)


def test_gradient_of_a_zero_flow_is_a_true_slope() -> None:
    """On whole positions the weights have a kink: the gather has the slope to the right, never the mean of both."""
    features = _features(1, 4, 7, 8).contiguous(memory_format=torch.channels_last)
    flow = torch.zeros(1, 2, 7, 8, requires_grad=True)
    warp(features, flow).sum().backward()
    slope_x = (features[..., 1:] - features[..., :-1]).sum(1)
    slope_y = (features[..., 1:, :] - features[..., :-1, :]).sum(1)
    torch.testing.assert_close(flow.grad[:, 0, :, :-1], slope_x, atol=1e-4, rtol=0)
    torch.testing.assert_close(flow.grad[:, 1, :-1], slope_y, atol=1e-4, rtol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_positions_stay_float32_in_low_precision(layout: torch.memory_format) -> None:
    """At column 1000 bfloat16 coordinates are 4 pixels apart."""
    features = torch.arange(1200.0).div(1200).expand(1, 2, 3, 1200).contiguous(memory_format=layout)
    flow = torch.full((1, 2, 3, 1200), 0.0)
    flow[:, 0] = 1.5
    expected = warp(features, flow).bfloat16()
    output = warp(features.bfloat16(), flow)
    assert output.dtype == torch.bfloat16
    assert (output.float() - expected.float()).abs().max() <= 2**-8
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(warp(features, flow), warp(features, flow.float()), atol=0, rtol=0)
        assert warp(features, flow).dtype == torch.float32


def test_shapes_that_do_not_belong_together_are_named() -> None:
    with pytest.raises(ValueError, match=r"flow\.shape = \(1, 2, 4, 5\)"):
        warp(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 5))
