"""Very short videos from every encoder, whatever memory contained before."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ENCODE = """
import io, sys
from fractions import Fraction
import av, numpy as np
from codecvsr.bitstream.picture_encoder import PictureEncoder, VideoFormat

for pictures in (1, 2, 3):
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as out:
        form = VideoFormat(64, 64, Fraction(25), time_base=Fraction(1, 12800))
        options = {"x265-params": "log-level=none"} if sys.argv[1] == "libx265" else {}
        encoder = PictureEncoder(out, sys.argv[1], form, options)
        for number in range(pictures):
            encoder.add(np.full((64, 64, 3), 40 * number, np.uint8), 512 * number)
        encoder.finish()
    with av.open(io.BytesIO(file.getvalue())) as made:
        times = [frame.pts * frame.time_base for frame in made.decode(video=0)]
    print(*((time - times[0]) * 25 for time in times))
"""


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "ffv1"])
def test_few_pictures(encoder):
    """glibc fills new memory with 254: x265 makes a decoding time of what it did not initialise."""
    run = subprocess.run(
        [sys.executable, "-c", ENCODE, encoder],
        env={**os.environ, "MALLOC_PERTURB_": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.stdout.splitlines() == ["0", "0 1", "0 1 2"], run.stderr
