"""Resizing against a direct evaluation of its definition and against Pillow."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from codecvsr import native_libraries
from codecvsr.errors import InputError
from codecvsr.video.resize import _to_8_bits, downsample, imresize, resample, resize_weights
from tests.streams import texture


def _kernel(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def _direct(line: np.ndarray, scale: float) -> np.ndarray:
    """One line resized by the definition, sample by sample, on a line padded with its mirror image."""
    width = min(scale, 1.0)
    radius = len(line)
    padded = np.pad(line.astype(float), radius, mode="symmetric")
    out = []
    for i in range(math.ceil(len(line) * scale)):
        centre = (i + 0.5) / scale - 0.5
        weights = [_kernel((centre - j) * width) for j in range(-radius, len(line) + radius)]
        out.append(np.dot(weights, padded) / sum(weights))
    return np.array(out)


@pytest.mark.parametrize(
    "scale", [Fraction(1, 4), Fraction(1, 2), Fraction(1, 3), Fraction(2), Fraction(4), Fraction(3, 2)]
)
def test_equals_the_definition(scale: Fraction) -> None:
    frame = np.random.default_rng(3).integers(0, 256, (24, 36, 3), np.uint8)
    wanted = np.apply_along_axis(_direct, 1, np.apply_along_axis(_direct, 0, frame, float(scale)), float(scale))
    np.testing.assert_allclose(imresize(frame, scale), wanted, atol=1e-9)


def test_downsample_agrees_with_pillow_inside() -> None:
    image = pytest.importorskip("PIL.Image")
    frame = texture(144, 240, seed=5)
    theirs = np.asarray(image.fromarray(frame).resize((60, 36), image.Resampling.BICUBIC)).astype(int)
    difference = np.abs(downsample(frame, 4).astype(int) - theirs)[3:-3, 3:-3]
    assert difference.max() <= 1
    assert difference.mean() < 0.2  # Pillow rounds to 8 bits between the two directions, imresize does not


def test_enlarging_agrees_with_pillow_inside() -> None:
    image = pytest.importorskip("PIL.Image")
    frame = texture(36, 60, seed=6)
    theirs = np.asarray(image.fromarray(frame).resize((240, 144), image.Resampling.BICUBIC)).astype(int)
    difference = np.abs(resample(frame, 4 * frame.shape[0], 4 * frame.shape[1]).astype(int) - theirs)[12:-12, 12:-12]
    assert difference.max() <= 1


def test_flat_pictures_stay_flat_and_halves_round_up() -> None:
    flat = np.full((16, 24, 3), 201, np.uint8)
    assert (downsample(flat, 4) == 201).all()
    assert (resample(flat, 4 * flat.shape[0], 4 * flat.shape[1]) == 201).all()
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, 1::2] = 1  # the mean of every window is 0.5 to the bit
    assert (downsample(stripes, 2)[:, 3:-3] == 1).all()


def test_halves_round_up_whatever_the_last_bits_of_a_sum_are() -> None:
    halves = np.arange(6, dtype=np.float64).reshape(1, 2, 3) + 0.5
    for noise in (-1e-12, 0.0, 1e-12):
        assert _to_8_bits(halves + noise).ravel().tolist() == [1, 2, 3, 4, 5, 6]
    assert _to_8_bits(halves - 2.0**-24).ravel().tolist() == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]  # the least step of sums for powers of two


def test_rows_of_weights_sum_to_one() -> None:
    for size, new_size, scale in [(16, 4, Fraction(1, 4)), (5, 20, Fraction(4)), (3, 1, Fraction(1, 3))]:
        np.testing.assert_allclose(resize_weights(size, new_size, scale).sum(axis=1), 1, atol=1e-12)


def test_a_size_that_does_not_divide_is_refused() -> None:
    with pytest.raises(InputError, match=r"50x30 is not divisible by the scale 4; crop it to 48x28"):
        downsample(np.zeros((30, 50, 3), np.uint8), 4)


@pytest.mark.skipif(native_libraries.field_library() is None, reason="the native library is not built")
@pytest.mark.parametrize("size", [(36, 64), (54, 97), (144, 300), (1, 1), (72, 31)])
def test_c_makes_the_same_bytes(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (72, 128, 3), np.uint8)
    views = frame, frame[3:, 5:], np.ascontiguousarray(frame[..., :1])
    made = [(resample(view, *size), downsample(frame, 4)) for view in views]
    monkeypatch.setattr(native_libraries, "field_library", lambda: None)
    for view, (resampled, shrunk) in zip(views, made, strict=True):
        np.testing.assert_array_equal(resampled, resample(view, *size))
        np.testing.assert_array_equal(shrunk, downsample(frame, 4))
