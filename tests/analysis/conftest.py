"""Streams of known structure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.streams import encode, moving_texture

PYRAMID = "keyint=8:min-keyint=8:bframes=3:b-pyramid=normal:ref=3:b-adapt=0:scenecut=0:weightp=0"


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory) -> Path:
    """20 frames of 112x80 that move (3, -2) pixels, an IDR every 8 frames."""
    path = tmp_path_factory.mktemp("inspect") / "pyramid.mp4"
    return encode(path, moving_texture(20, 80, 112, 3, -2, seed=5), options={"crf": "18", "x264-params": PYRAMID})


@pytest.fixture(scope="module")
def low_delay(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("inspect") / "low_delay.mp4"
    parameters = "bframes=0:ref=1:keyint=100:scenecut=0:weightp=0"
    frames = moving_texture(9, 64, 80, 2, 0, seed=6)
    return encode(path, frames, fps=30, options={"crf": "20", "x264-params": parameters})
