"""Pictures blended with bicubic interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.errors import InputError
from codecvsr.files import read_image
from codecvsr.inference.infer import infer
from codecvsr.upscaling.api import upscale
from codecvsr.upscaling.options import UpscaleOptions
from codecvsr.video.probe import Media
from tests.inference.frames import run


def test_one_is_the_network_and_zero_is_bicubic(clip, tmp_path, small):
    _, network = run(clip, tmp_path / "network", small)
    _, bicubic = run(clip, tmp_path / "bicubic", "bicubic")
    made = {}
    for strength in (1.0, 0.25, 0.0):
        report = infer(clip, tmp_path / str(strength), model=small, strength=strength)
        made[strength] = np.stack([read_image(path) for path in sorted((tmp_path / str(strength)).iterdir())])
        assert report.frames == len(made[strength])
    assert np.array_equal(made[1.0], network) and np.array_equal(made[0.0], bicubic)
    quarter = made[0.25]
    expected = 0.25 * network.astype(float) + 0.75 * bicubic
    assert abs(quarter - expected).max() <= 1 and not np.array_equal(quarter, bicubic)


def test_upscale_blends_too(clip, tmp_path, small):
    video = clip / "clip.mp4"
    for name, options in (("network", {"model": small}), ("bicubic", {"model": "bicubic"})):
        upscale(video, tmp_path / f"{name}.mkv", codec="ffv1", **options)
    upscale(video, tmp_path / "half.mkv", codec="ffv1", model=small, strength=0.5)
    network, bicubic, half = (
        np.stack([frame.rgb for frame in Media.open(tmp_path / f"{name}.mkv").frames()]).astype(float)
        for name in ("network", "bicubic", "half")
    )
    assert abs(half - (network + bicubic) / 2).max() <= 1
    assert abs(network - bicubic).max() > 4


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_other_strengths_are_refused_before_any_work(clip, tmp_path, strength):
    for call in (
        lambda: UpscaleOptions(strength=strength),
        lambda: infer(clip, tmp_path / "out", model="bicubic", strength=strength),
    ):
        with pytest.raises(InputError, match="strength"):
            call()
    asked = CliRunner().invoke(cli, ["infer", "--clip-root", str(clip), "--out-dir", "o", "--strength", str(strength)])
    assert asked.exit_code == 2 and "--strength" in asked.stderr
    assert not (tmp_path / "out").exists()
