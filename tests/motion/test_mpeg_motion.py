"""Motion from the vectors of MPEG-1, MPEG-2 and MPEG-4 Part 2: a pan of known speed, and against no motion."""

from __future__ import annotations

import numpy as np
import pytest

from codecvsr.bitstream.reader import read_video
from codecvsr.metrics.alignment import neighbour_psnr
from codecvsr.motion import MotionOptions, estimate_motion
from tests.streams import encode, moving_texture

DX, DY = 5, -2
STREAMS = {
    "MPEG-1": ("mpeg1video", "a.mpg", {"bf": "2"}),
    "MPEG-2": ("mpeg2video", "a.ts", {"bf": "2"}),
    "MPEG-2 in open GOPs": ("mpeg2video", "a.mpg", {"bf": "2", "g": "6"}),
    "MPEG-4": ("mpeg4", "a.avi", {}),
    "MPEG-4 with B-frames": ("mpeg4", "a.mp4", {"bf": "2"}),
    "MPEG-4 in quarter-pels": ("mpeg4", "a.mkv", {"flags": "+qpel+mv4"}),
}
pytestmark = pytest.mark.parametrize("kind", STREAMS)


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    """The frames of each stream, decoded once."""
    pan = moving_texture(10, 96, 128, DX, DY)
    folder, decoded = tmp_path_factory.mktemp("mpeg"), {}

    def get(kind):
        if kind not in decoded:
            codec, name, options = STREAMS[kind]
            options = {"g": "30", "qmin": "3", "qmax": "3", **options}
            decoded[kind] = list(read_video(encode(folder / name, pan, codec=codec, options=options, fps=25)))
        return decoded[kind]

    return get


def inner(fields):
    """Fields without the cells where the pan brings something new into the picture."""
    return fields[..., 4:-4, 4:-4]


def test_fields_are_the_pan(streams, kind):
    motion = estimate_motion(streams(kind))
    for fields, sign in ((motion.to_prev[1:], -1), (motion.to_next[:-1], +1)):
        off = np.abs(inner(fields) - np.array([sign * DX, sign * DY])[:, None, None])
        assert np.median(off, axis=(1, 2, 3)).max() < 0.25
        assert np.percentile(off, 90) < 0.25


def test_the_vectors_alone_are_the_pan(streams, kind):
    """Divided by the distance of their reference, without any search or refinement."""
    motion = estimate_motion(streams(kind), MotionOptions(invert=False, refine=False))
    checked = 0
    for fields, sign in ((motion.to_prev, -1), (motion.to_next, +1)):
        for moves in inner(fields):
            known = moves[:, (moves != 0).any(axis=0)]
            if known.shape[1] > 64:  # cells: four macroblocks
                assert np.median(known, axis=1).tolist() == pytest.approx([sign * DX, sign * DY], abs=0.25)
                checked += 1
    assert checked >= 2


def test_codec_motion_beats_none(streams, kind):
    frames = streams(kind)
    motion = estimate_motion(frames)
    lumas = [frame.luma for frame in frames]
    for direction in ("to_prev", "to_next"):
        fields = getattr(motion, direction)
        gain = np.nanmean(neighbour_psnr(lumas, fields, direction) - neighbour_psnr(lumas, 0 * fields, direction))
        assert gain > 8
