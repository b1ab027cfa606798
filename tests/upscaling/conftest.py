"""Short videos with everything a source may have, and a small network."""

import pytest

from tests.upscaling.short_videos import FRAMES
from tests.videos import make_video, small_network


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return small_network(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return {suffix: make_video(folder / f"video.{suffix}", FRAMES) for suffix in ("mkv", "mp4", "ts")}
