"""PSNR and SSIM against scikit-image and against values worked out by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from codecvsr.metrics.planes import luma
from codecvsr.metrics.psnr import psnr
from codecvsr.metrics.ssim import C1, C2, ssim
from tests.streams import texture

ORACLE = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}


def noisy(picture: np.ndarray, strength: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-strength, strength + 1, picture.shape)
    return np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pictures with one side longer than a band of rows, in the regimes where float32 could go wrong."""
    picture = texture(211, 123, seed=3)
    bright, dark = np.full((40, 50, 3), 250, np.uint8), np.full((40, 50, 3), 2, np.uint8)
    return {
        "noise": (picture, noisy(picture, 9)),
        "blur": (picture, cv2.GaussianBlur(picture, (0, 0), 2.0)),
        "inverted": (picture, 255 - picture),
        "unrelated": (picture, texture(211, 123, seed=4)),
        "flat and bright": (bright, noisy(bright, 1)),
        "flat and dark": (dark, noisy(dark, 1)),
        "one off": (bright, bright - 1),
    }


@pytest.mark.parametrize("name", pairs())
@pytest.mark.parametrize("border", [0, 4])
def test_agrees_with_scikit_image(name, border):
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    a, b = pairs()[name]
    inside = (slice(border, a.shape[0] - border), slice(border, a.shape[1] - border))
    x, y = a[inside], b[inside]
    assert psnr(a, b, crop_border=border) == pytest.approx(peak_signal_noise_ratio(x, y, data_range=255), abs=1e-9)
    assert psnr(a, b, channel="y", crop_border=border) == pytest.approx(
        peak_signal_noise_ratio(luma(x), luma(y), data_range=255), abs=1e-9
    )
    assert ssim(a, b, crop_border=border) == pytest.approx(
        structural_similarity(x, y, channel_axis=2, **ORACLE), abs=1e-6
    )
    assert ssim(a, b, channel="y", crop_border=border) == pytest.approx(
        structural_similarity(luma(x), luma(y), **ORACLE), abs=1e-6
    )
    assert ssim(a[..., 1], b[..., 1], crop_border=border) == pytest.approx(
        structural_similarity(x[..., 1], y[..., 1], **ORACLE), abs=1e-6
    )


def test_luma_is_bt601_of_16_to_235():
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [51, 102, 204]]], np.uint8)
    by_hand = 0.2 * 65.481 + 0.4 * 128.553 + 0.8 * 24.966 + 16
    np.testing.assert_allclose(luma(colours)[0], [16, 235, 81.481, 144.553, 40.966, by_hand], atol=1e-9)


def test_psnr_by_hand():
    a = np.zeros((2, 2, 3), np.uint8)
    b = a.copy()
    b[0, 0] = (3, 0, 0)  # squared error 9 in one of twelve values
    assert psnr(a, b) == pytest.approx(10 * math.log10(255**2 * 12 / 9), abs=1e-12)
    y_error = 3 * 65.481 / 255
    assert psnr(a, b, channel="y") == pytest.approx(10 * math.log10(255**2 * 4 / y_error**2), abs=1e-9)
    assert psnr(a, np.full_like(a, 255)) == pytest.approx(0.0, abs=1e-12)
    assert psnr(b[..., 0], a[..., 0]) == pytest.approx(10 * math.log10(255**2 * 4 / 9), abs=1e-12)


def test_ssim_by_hand_of_flat_and_of_two_valued_pictures():
    a, b = np.full((20, 20), 100, np.uint8), np.full((20, 20), 120, np.uint8)
    assert ssim(a, b) == pytest.approx((2 * 100 * 120 + C1) / (100**2 + 120**2 + C1), abs=1e-6)
    # 11x11: the window fits once, so means and variances are sums over the one window.
    weights = np.outer(*[np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))] * 2)
    weights /= weights.sum()
    x = np.zeros((11, 11), np.uint8)
    y = x.copy()
    x[5, 5], y[5, 5], y[5, 6] = 200, 150, 80
    mean_x, mean_y = 200 * weights[5, 5], 150 * weights[5, 5] + 80 * weights[5, 6]
    var_x = 200**2 * weights[5, 5] - mean_x**2
    var_y = 150**2 * weights[5, 5] + 80**2 * weights[5, 6] - mean_y**2
    cov = 200 * 150 * weights[5, 5] - mean_x * mean_y
    expected = (2 * mean_x * mean_y + C1) * (2 * cov + C2) / ((mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2))
    assert ssim(x, y) == pytest.approx(expected, abs=1e-6)


def test_identical_pictures():
    a = texture(32, 40)
    for channel in ("rgb", "y"):
        assert psnr(a, a.copy(), channel=channel) == math.inf
        assert ssim(a, a.copy(), channel=channel) == 1.0


def test_the_border_is_left_out_on_all_four_sides():
    a = texture(48, 64)
    b = a.copy()
    b[:4], b[-4:], b[:, :4], b[:, -4:] = 0, 255, 128, 7
    assert psnr(a, b) < 30 and ssim(a, b) < 0.99
    assert psnr(a, b, crop_border=4) == math.inf and ssim(a, b, crop_border=4) == 1.0
    assert psnr(a, b, crop_border=3) < 60


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_what_cannot_be_compared_is_refused(metric):
    a = texture(32, 40)
    with pytest.raises(ValueError, match=r"\(32, 40, 3\) and \(32, 39, 3\)"):
        metric(a, a[:, :-1])
    with pytest.raises(ValueError, match="uint8.*float64"):
        metric(a, a / 255.0)
    with pytest.raises(ValueError, match="leaves nothing of a 40x32"):
        metric(a, a, crop_border=16)
    with pytest.raises(ValueError, match="crop_border = -1"):
        metric(a, a, crop_border=-1)
    with pytest.raises(ValueError, match="needs RGB"):
        metric(a[..., 0], a[..., 0], channel="y")
    with pytest.raises(ValueError, match="'luma'"):
        metric(a, a, channel="luma")


def test_ssim_refuses_less_than_its_window():
    a = texture(12, 40)
    assert ssim(a, a) == 1.0
    with pytest.raises(ValueError, match="11x11.*38x10"):
        ssim(a, a, crop_border=1)
