"""Windows over a clip."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codecvsr.engine.plan import make_plan
from codecvsr.inference.native_window import usual_window
from codecvsr.inference.windows import OVERLAP, longest_window, split
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.runners import circled, mirrored


@pytest.mark.parametrize("frames", [1, 2, 7, 15, 16, 100])
@pytest.mark.parametrize("length", [1, 4, 15, 1000])
@pytest.mark.parametrize("overlap", [0, 3, OVERLAP])
def test_every_frame_is_kept_once_with_frames_around_it(frames, length, overlap):
    windows = split(frames, length, overlap)
    assert [t for w in windows for t in range(w.keep_start, w.keep_stop)] == list(range(frames))
    for w in windows:
        assert 0 < w.keep_stop - w.keep_start <= length
        assert w.start == max(0, w.keep_start - overlap) and w.stop == min(frames, w.keep_stop + overlap)
    lengths = [w.keep_stop - w.keep_start for w in windows]
    assert max(lengths) - min(lengths) <= 1
    assert len(windows) == -(-frames // length)


def test_no_frames_and_no_length():
    assert split(0, 5) == []
    with pytest.raises(ValueError, match="length = 0"):
        split(5, 0)


def longest(height, width, channels=192):
    return longest_window(height, width, channels, 3 << 30)


def test_larger_pictures_have_shorter_windows():
    assert longest(48, 64) > longest(180, 320) > longest(1080, 1920) >= 15


def test_what_stands_in_beyond_the_ends():
    assert (
        circled(0, 9, 2) == [4, 3, 0, 1, 2]
        and circled(1, 9, 2) == [4, 0, 1, 2, 3]
        and circled(8, 9, 2) == [6, 7, 8, 5, 4]
    )
    assert circled(4, 9, 2) == [2, 3, 4, 5, 6] and circled(0, 1, 2) == [0] * 5
    assert all(len(set(circled(i, 5, 2))) == 5 for i in range(5))
    assert [mirrored(i, 3) for i in range(-4, 5)] == [0, 1, 2, 1, 0, 1, 2, 1, 0]
    assert {mirrored(i, 1) for i in range(-9, 9)} == {0}


def test_wide_networks_look_at_fewer_frames():
    assert longest(180, 320, 768) < longest(180, 320) and longest(2000, 3000, 768) == 15


def test_frames_beyond_a_window_are_counted_where_features_are_known():
    held = 1 << 20
    assert longest_window(64, 64, 1, 64 * held) - longest_window(64, 64, 1, 64 * held, beyond=16) == 16
    plan = replace(make_plan("cpu", "fp32"), memory_bytes=64 * held)
    network = CodecVSR(channels=16, blocks=1)
    frames = usual_window(network, plan, 64, 64)
    assert (frames + 2 * OVERLAP) * 64 * 64 * 4 * (2 * 16 + 4) <= 64 * held or not plan.native
    assert frames > usual_window(network, replace(plan, native=False), 64, 64) or not plan.native
