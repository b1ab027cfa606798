"""The bicubic network against imresize written out, and against torch's antialiased bicubic inside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from codecvsr.models.bicubic import Bicubic


def _imresize_matrix(size: int) -> np.ndarray:
    """imresize by 4 as MATLAB documents it, 1-based like there: (4 * size, size)."""
    matrix = np.zeros((4 * size, size))
    mirror = [*range(1, size + 1), *range(size, 0, -1)]
    for x in range(1, 4 * size + 1):
        u = x / 4 + 0.5 * (1 - 1 / 4)
        for index in range(int(np.floor(u - 2)), int(np.floor(u - 2)) + 6):
            d = abs(u - index)
            near = 1.5 * d**3 - 2.5 * d**2 + 1
            far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
            matrix[x - 1, mirror[(index - 1) % (2 * size)] - 1] += near if d <= 1 else far if d <= 2 else 0.0
    return matrix


@pytest.mark.parametrize(("height", "width"), [(13, 10), (1, 1), (2, 5), (3, 1)])
def test_equals_imresize(height: int, width: int) -> None:
    x = np.random.default_rng(0).random((1, 2, 3, height, width))
    expected = _imresize_matrix(height) @ x @ _imresize_matrix(width).T
    output = Bicubic()(torch.from_numpy(x).float())
    assert output.shape == (1, 2, 3, 4 * height, 4 * width)
    assert np.abs(output.numpy() - expected).max() < 1e-6


def test_low_precision_input_is_computed_in_float32() -> None:
    x = torch.rand(1, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = Bicubic()(x)
    assert torch.equal(output, Bicubic()(x.float()).bfloat16())


def test_kernel_is_not_opencvs() -> None:
    """a = -0.75, torch's plain bicubic, is another picture."""
    x = torch.rand(1, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    other = F.interpolate(x[0], scale_factor=4, mode="bicubic", align_corners=False)
    assert (Bicubic()(x)[0] - other).abs().max() > 0.01
