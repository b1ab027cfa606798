"""Every kind of network runs through upscale, and sliding-window networks make the same pictures in chunks of any length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import codecvsr
from codecvsr.files import read_image
from codecvsr.models.registry import ARCHITECTURES, constructors, temporal_radius
from tests.videos import make_video

FRAMES = 6
ONE_OF_EACH = ("basicvsr", "iconvsr", "basicvsr-pp", "mvsr-seed", "edvr-m-wotsa", "rbpn", "rate-groups")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("video") / "video.mkv", FRAMES, 16, 24, extras=False)


def run(video, target, network, **options):
    codecvsr.upscale(video, target, model=f"{network}:random", motion=options.pop("motion", None), **options)
    return np.stack([read_image(path) for path in sorted(target.iterdir())])


def test_one_of_each_is_run_here():
    architectures = {constructors()[name][0] for name in ONE_OF_EACH}
    assert architectures | {"codecvsr", "bicubic", "lanczos", "study"} == set(
        ARCHITECTURES
    )  # "study" runs as BasicVSR does


@pytest.mark.slow
@pytest.mark.parametrize("network", ONE_OF_EACH)
def test_network(video, tmp_path, network):
    motion = {"basicvsr": "codec", "iconvsr": "codec", "basicvsr-pp": "codec", "rate-groups": "dis"}.get(network)
    whole = run(video, tmp_path / "whole", network, motion=motion)
    parts = run(video, tmp_path / "parts", network, motion=motion, chunk=4, overlap=2)
    assert whole.shape == parts.shape == (FRAMES, 64, 96, 3) and whole.std() > 0
    if network in ("edvr-m-wotsa", "rbpn", "rate-groups"):
        assert np.array_equal(whole, parts)


@pytest.mark.parametrize(
    ("network", "frames"),
    [("edvr-m", 2), ("edvr-l-7", 3), ("rate-groups", 6), ("rate-groups-135", 10), ("basicvsr", 0)],
)
def test_sliding_networks_say_how_far_they_look(network, frames):
    with torch.device("meta"):
        assert temporal_radius(constructors()[network][1]()) == frames
