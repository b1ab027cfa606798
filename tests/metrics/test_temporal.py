"""The warping error: nothing where pictures move with the field, more where they flicker."""

from __future__ import annotations

import math

import numpy as np
import pytest

from codecvsr.metrics.temporal import WarpingError
from tests.streams import moving_texture

FRAMES, HEIGHT, WIDTH, SCALE = 4, 24, 32, 4


def score(pictures: np.ndarray, originals: np.ndarray, motion: tuple[float, float], cuts: tuple[int, ...] = ()):
    field = np.zeros((FRAMES, 2, HEIGHT // 4, WIDTH // 4), np.float32)
    field[:, 0], field[:, 1] = motion
    is_cut = np.isin(np.arange(FRAMES), cuts)
    error = WarpingError(field, is_cut, (HEIGHT, WIDTH))
    for picture, original in zip(pictures, originals, strict=True):
        error.add(picture, original)
    return error.value, error.of_original


def test_what_it_measures() -> None:
    moving = moving_texture(FRAMES, SCALE * HEIGHT, SCALE * WIDTH, 8, -4)
    value, own = score(moving, moving, (-2, 1))  # 8 and 4 large pixels are 2 and 1 small ones
    assert value == own < 0.5
    flicker = moving.astype(int) + np.array([0, 12, 0, 12])[:, None, None, None]
    value, same = score(np.clip(flicker, 0, 255).astype(np.uint8), moving, (-2, 1))
    assert same == own and value == pytest.approx(12 * 219 / 255, abs=1.5)
    assert score(moving, moving, (2, -1))[1] > 4 * own  # against the motion little can be followed


def test_cuts_and_nothing_to_follow() -> None:
    static = np.repeat(moving_texture(1, SCALE * HEIGHT, SCALE * WIDTH, 0, 0), FRAMES, 0)
    pictures = static.copy()
    pictures[2:] = 255 - pictures[2:]
    assert score(pictures, static, (0, 0))[0] > 5
    assert score(pictures, static, (0, 0), cuts=(2,)) == (0, 0)
    assert math.isnan(score(pictures, static, (0, 0), cuts=(1, 2, 3))[0])
