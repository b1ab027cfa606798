"""Small pictures of a training set: other kernels, sensor noise, and the encodes of real files."""

from __future__ import annotations

import numpy as np
import pytest

from codecvsr.errors import InputError
from codecvsr.train.degradation import KERNELS, Degradation, add_noise, degrade, draw_degradation, shrink
from codecvsr.train.prepare_plan import Preparation
from codecvsr.video.resize import downsample
from tests.streams import moving_texture

VARIED = Preparation(kernels=0.5, noise=0.5, reencoded=0.5, rate_limited=0.5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_shrinks_about_the_same_centre(kernel: str) -> None:
    ramp = np.broadcast_to(np.arange(128, dtype=np.uint8)[None, :, None] + 60, (64, 128, 3)).copy()
    small = shrink(ramp, kernel)
    assert small.shape == (16, 32, 3)
    inside = slice(4, -4)
    expected = 60 + (np.arange(32) + 0.5) * 4 - 0.5  # of pixel centres
    assert np.abs(small[8, inside, 0] - expected[inside]).max() <= 0.5
    turned = shrink(ramp.transpose(1, 0, 2).copy(), kernel)
    assert np.abs(small[8].astype(int) - turned[:, 8]).max() <= 1  # .5 is rounded either way


def test_kernels_differ_in_sharpness_as_expected() -> None:
    picture = next(iter(moving_texture(1, 128, 128, 0, 0)))
    deviation = {kernel: float(shrink(picture, kernel).std()) for kernel in (*KERNELS, "bicubic")}
    assert deviation["bilinear"] < deviation["bicubic"] < deviation["lanczos"] * 1.05
    assert np.array_equal(shrink(picture, "bicubic"), downsample(picture, 4))


def test_noise_has_the_asked_deviation_and_no_bias() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy = add_noise(grey, 2.0, np.random.default_rng(1)).astype(float)
    assert abs(noisy.std() - 2.0) < 0.1 and abs(noisy.mean() - 128) < 0.05
    dark = add_noise(np.full((200, 200, 3), 30, np.uint8), 2.0, np.random.default_rng(1)).astype(float)
    assert 0.8 < dark.std() < 1.7


def test_shares_are_drawn_and_a_standard_set_has_none() -> None:
    rng = np.random.default_rng(3)
    drawn = [draw_degradation(VARIED, rng) for _ in range(400)]
    coded = [how for how in drawn if how.crf is not None]
    assert 0.05 < 1 - len(coded) / len(drawn) < 0.16
    for name, of in (("kernel", drawn), ("noise", drawn), ("first_crf", coded), ("rate_limited", coded)):
        default = Degradation.__dataclass_fields__[name].default
        share = sum(getattr(how, name) != default for how in of) / len(of)
        assert 0.4 < share < 0.6, name
    standard = [draw_degradation(Preparation(), rng) for _ in range(50)]
    assert all(how == Degradation(how.crf, how.preset, how.gop, how.fps) for how in standard)


def test_a_second_encode_and_a_bit_rate_reach_the_stream() -> None:
    hr = list(moving_texture(12, 256, 256, 4, 2))
    rng = np.random.default_rng(5)
    once, frames = degrade(hr, Degradation(30.0, "fast", "default", 24), rng)
    assert len(frames) == 12 and frames[0].rgb.shape == (64, 64, 3)
    assert np.array_equal(once[0], shrink(hr[0], "bicubic"))
    again, _ = degrade(hr, Degradation(30.0, "fast", "default", 24, first_crf=28.0), rng)
    assert 0 < np.abs(again[0].astype(float) - once[0]).mean() < 12
    _, limited = degrade(hr, Degradation(30.0, "fast", "default", 24, rate_limited=True), rng)
    assert any(not np.array_equal(a.rgb, b.rgb) for a, b in zip(frames, limited, strict=True))
    assert max(np.abs(a.rgb.astype(float) - b.rgb).mean() for a, b in zip(frames, limited, strict=True)) < 20


def test_shares_outside_0_to_1_are_refused() -> None:
    with pytest.raises(InputError, match="noise = 1.5: a share from 0 to 1"):
        Preparation(noise=1.5)
