"""The loss: Charbonnier, and the weight of flat places."""

from __future__ import annotations

import pytest
import torch

from codecvsr.train.loss import charbonnier, flat_weights


def picture() -> torch.Tensor:
    """Left half flat, right half a fine texture; (1, 1, 3, 32, 64)."""
    torch.manual_seed(1)
    values = torch.full((1, 1, 3, 32, 64), 0.5)
    values[..., 32:] += 0.2 * (torch.rand(32, 32) - 0.5)
    return values


def test_flat_places_weigh_more_and_texture_does_not() -> None:
    weights = flat_weights(picture(), 3.0)
    assert weights.shape == (1, 1, 1, 32, 64)
    assert weights[..., :24].allclose(torch.tensor(4.0)) and weights[..., 40:].max() < 1.01


def test_a_gradient_is_flat_and_a_line_is_not() -> None:
    ramp = torch.linspace(0.2, 0.8, 64).expand(1, 1, 3, 32, 64).contiguous()
    assert flat_weights(ramp, 1.0)[..., 2:-2].min() > 1.8
    ramp[..., 16, :] += 0.2
    assert flat_weights(ramp, 1.0)[..., 16, :].max() < 1.1


def test_lines_in_the_flat_half_cost_more_than_in_the_texture() -> None:
    target, epsilon = picture(), 0.03
    weights = flat_weights(target, 3.0)
    flat, texture = target.clone(), target.clone()
    flat[..., ::4, 4:24] += 0.012
    texture[..., ::4, 40:60] += 0.012
    plain = charbonnier(flat, target, epsilon)
    assert plain.item() == pytest.approx(charbonnier(texture, target, epsilon).item(), rel=1e-4)
    assert charbonnier(flat, target, epsilon, weights) > 3.9 * charbonnier(texture, target, epsilon, weights)
