from __future__ import annotations

import numpy as np
import pytest

from codecvsr.upscaling.chunks import first_chunk, plan, plan_around, usual_chunk


@pytest.mark.parametrize("seed", range(20))
def test_chunks_cover_every_frame_once(seed):
    rng = np.random.default_rng(seed)
    frames, longest, overlap = (int(rng.integers(a, b)) for a, b in ((1, 300), (1, 40), (0, 10)))
    keys = rng.random(frames) < rng.choice([0, 0.05, 1])
    chunks = plan(keys.tolist(), longest, overlap)
    assert [frame for s in chunks for frame in range(s.start, s.stop)] == list(range(frames))
    assert [s.index for s in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert 1 <= chunk.stop - chunk.start <= longest
        assert chunk.context_start == max(0, chunk.start - overlap)
        assert chunk.context_stop == min(frames, chunk.stop + overlap)
        length = int(rng.integers(1, 20))
        windows = chunk.windows(length, overlap)
        indices = [chunk.context_start + i for w in windows for i in range(w.keep_start, w.keep_stop)]
        assert indices == list(range(chunk.start, chunk.stop))
        assert all(w.keep_stop - w.keep_start <= length for w in windows)
        assert all(0 <= w.start <= w.keep_start and w.keep_stop <= w.stop for w in windows)
        assert windows[-1].stop <= chunk.context_stop - chunk.context_start


def test_chunks_begin_where_a_scene_may():
    keys = [i in (0, 7, 9, 30) for i in range(40)]
    assert [s.start for s in plan(keys, 10, 2)] == [0, 9, 17, 25, 30]


def test_without_scenes_they_are_even():
    assert [s.stop - s.start for s in plan([True] + [False] * 120, 60)] == [41, 40, 40]


def test_long_videos_begin_with_a_short_chunk():
    assert first_chunk(479) == 0 and 0 < first_chunk(480) < 24
    chunks = plan([i % 50 == 0 for i in range(500)], 60, 8, first=4)
    assert [s.start for s in chunks][:3] == [0, 4, 50] and chunks[0].context_stop == 12 and chunks[1].context_start == 0
    assert [frame for s in chunks for frame in range(s.start, s.stop)] == list(range(500))
    for frames, longest in ((3, 60), (4, 60), (100, 4)):
        assert plan([True] * frames, longest, 8, first=4) == plan([True] * frames, longest, 8)


def test_nothing_and_nonsense():
    assert plan([], 10) == []
    for longest, overlap in ((0, 1), (5, -1)):
        with pytest.raises(ValueError, match="were expected"):
            plan([True], longest, overlap)


def test_large_frames_are_worked_on_few_at_a_time():
    assert usual_chunk(90, 160) == 120 and usual_chunk(1080, 1920) == 24 and 24 < usual_chunk(720, 1280) < 120


def test_breaks_separate_chunks_and_their_context():
    chunks = plan_around([5, 6], [True, *[False] * 11], 4, overlap=2)
    places = [(c.index, c.start, c.stop, c.context_start, c.context_stop) for c in chunks]
    assert places == [(0, 0, 3, 0, 5), (1, 3, 5, 1, 5), (2, 5, 6, 5, 6), (3, 6, 9, 6, 11), (4, 9, 12, 7, 12)]
    assert plan_around([], [True] * 10, 4, first=2) == plan([True] * 10, 4, first=2)
