"""Streams for tests of reading."""

from __future__ import annotations

import pytest

from tests.bitstream.backends import FRAMES, HEIGHT, PYRAMID, WIDTH
from tests.streams import encode, moving_texture


@pytest.fixture(scope="module")
def clip():
    return moving_texture(FRAMES, HEIGHT, WIDTH, 2, 1)


@pytest.fixture(scope="module")
def pyramid(clip, tmp_path_factory):
    """I or P every fourth frame, the middle one of three B frames a reference; IDR frames at 0 and 12."""
    return encode(tmp_path_factory.mktemp("reader") / "pyramid.mp4", clip, options={"x264-params": PYRAMID})
