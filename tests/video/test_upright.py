"""Pictures are turned and mirrored as players do it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from codecvsr.video.probe import Media
from codecvsr.video.scan import scan
from codecvsr.video.upright import upright
from tests.videos import QUARTER_TURN, make_video

ONE = 1 << 16


def matrix(a: int, b: int, c: int, d: int) -> tuple[int, ...]:
    return (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("is_quarter", [False, True])
def test_a_pixel_goes_where_the_matrix_says(signs: tuple[int, int], is_quarter: bool) -> None:
    first, second = signs
    a, b, c, d = (0, first, second, 0) if is_quarter else (first, 0, 0, second)
    picture = np.random.default_rng(0).integers(0, 255, (3, 5, 3), dtype=np.uint8)
    turned = upright(picture, matrix(a, b, c, d))
    left, top = (min(a * x + c * y for x in (0, 4) for y in (0, 2)), min(b * x + d * y for x in (0, 4) for y in (0, 2)))
    for y, x in np.ndindex(3, 5):
        assert (turned[b * x + d * y - top, a * x + c * y - left] == picture[y, x]).all()


def test_no_matrix_changes_nothing() -> None:
    picture = np.zeros((3, 5, 3), np.uint8)
    assert upright(picture, None) is picture and upright(picture, matrix(1, 0, 0, 1)).shape == (3, 5, 3)


@pytest.mark.ffmpeg
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_phone_clip_is_turned_as_ffmpeg_turns_it(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "phone.mp4", 2, extras=False)
    media = Media.open(clip)
    found = scan(media)
    assert found.rotation == QUARTER_TURN
    ours = upright(next(iter(media.frames())).rgb, found.rotation)
    command = ["ffmpeg", "-v", "error", "-i", clip, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(list(map(str, command)), capture_output=True, check=True)
    theirs = np.frombuffer(done.stdout, np.uint8).reshape(48, 32, 3)
    assert ours.shape == theirs.shape
    errors = [np.abs(ours.astype(int) - other).mean() for other in (theirs, theirs[::-1], theirs[:, ::-1])]
    assert errors[0] < 3 < min(errors[1:])
