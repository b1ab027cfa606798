"""Both readers, and the clip that tests read with them."""

from __future__ import annotations

import pytest

from codecvsr import native_libraries

BACKENDS = ["pyav", pytest.param("native", marks=pytest.mark.skipif(
    native_libraries.reader_library() is None, reason="native reader library: not built, or off"))]  # fmt: skip
PYRAMID = "bframes=3:b-pyramid=normal:ref=3:keyint=12:min-keyint=12:scenecut=0:b-adapt=0:open-gop=0"
HEIGHT, WIDTH, FRAMES = 64, 96, 24
both = pytest.mark.parametrize("backend", BACKENDS)
