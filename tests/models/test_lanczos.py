"""The Lanczos network against the kernel written out as a matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codecvsr.models.lanczos import Lanczos
from codecvsr.models.zoo import load_model


def lanczos_matrix(size: int) -> np.ndarray:
    """(4 * size, size), by numpy's sinc; the picture goes on as its mirror image."""
    matrix = np.zeros((4 * size, size))
    mirror = [*range(size), *reversed(range(size))]
    for row in range(4 * size):
        centre = (row + 0.5) / 4 - 0.5
        taps = np.arange(int(np.floor(centre)) - 3, int(np.floor(centre)) + 5)
        weights = np.sinc(taps - centre) * np.sinc((taps - centre) / 3) * (abs(taps - centre) < 3)
        for tap, weight in zip(taps, weights / weights.sum(), strict=True):
            matrix[row, mirror[tap % (2 * size)]] += weight
    return matrix


@pytest.mark.parametrize(("height", "width"), [(13, 10), (1, 1), (2, 5)])
def test_equals_the_kernel(height: int, width: int) -> None:
    x = np.random.default_rng(0).random((1, 2, 3, height, width))
    expected = lanczos_matrix(height) @ x @ lanczos_matrix(width).T
    made = Lanczos()(torch.from_numpy(x).float())
    assert made.shape == (1, 2, 3, 4 * height, 4 * width)
    assert np.abs(made.numpy() - expected).max() < 1e-5


def test_it_needs_nothing() -> None:
    model = load_model("lanczos")
    assert (model.parameters, model.motion, model.path, model.training, model.scale) == (0, (), None, "none", 4)
    low = torch.rand(1, 1, 3, 8, 8).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model.network(low), Lanczos()(low.float()).bfloat16())
