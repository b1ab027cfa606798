"""A stream in parts: the same motion as of the whole, and memory for a window of frames."""

from __future__ import annotations

import dataclasses
import threading
import tracemalloc

import numpy as np
import pytest

from codecvsr.bitstream.reader import read_video
from codecvsr.motion import ClipMotion, MotionOptions, estimate_motion, stream_motion
from codecvsr.motion.estimate import RESTART
from codecvsr.motion.motion_stream import MotionStream
from codecvsr.motion.types import join
from tests.streams import encode, moving_texture

PYRAMID = "bframes=3:b-pyramid=normal:ref=3:keyint=30:scenecut=0:b-adapt=0"


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Seventy frames with two changes of scene, of a size that is no multiple of a cell."""
    scenes = [moving_texture(n, 62, 78, dx, 1, seed=n) for n, dx in ((21, 2), (9, -1), (40, 1))]
    path = encode(tmp_path_factory.mktemp("stream") / "c.mp4", np.concatenate(scenes), options={"x264-params": PYRAMID})
    return list(read_video(path))


def assert_equal(a, b):
    for part in dataclasses.fields(ClipMotion):
        assert getattr(a, part.name).tobytes() == getattr(b, part.name).tobytes(), part.name


@pytest.mark.parametrize(
    "options", [MotionOptions(), MotionOptions(resolve=False), MotionOptions(refine=False, invert=False)]
)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_parts_are_the_whole(frames, options, threads):
    parts = list(stream_motion(iter(frames), options, threads=threads))
    assert len(parts) > 3
    assert [frame.index for stored, _ in parts for frame in stored] == list(range(70))
    assert all(len(stored) == len(motion) for stored, motion in parts)
    whole = estimate_motion(frames, options, restart=RESTART, threads=2)
    assert_equal(join([motion for _, motion in parts]), whole)
    assert np.flatnonzero(whole.is_cut).tolist() == (
        [21, 30] if options.resolve else np.flatnonzero(whole.is_cut).tolist()
    )


def test_frames_are_read_by_one_thread_at_most_one_batch_ahead(frames):
    read: list[int] = []
    threads = set()

    def stream():
        for frame in frames:
            threads.add(threading.get_ident())
            read.append(frame.index)
            yield frame

    returned = 0
    for stored, _ in stream_motion(stream(), threads=2):
        returned += len(stored)
        assert len(read) - returned <= 60
    assert read == list(range(70)) and returned == 70
    assert len(threads) == 1 and threads != {threading.get_ident()}


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_of_the_frames_is_raised_and_leaving_early_ends_their_thread(frames, threads):
    def broken():
        yield from frames[:60]
        raise OSError("the file has ended")

    before = threading.active_count()
    with pytest.raises(OSError, match="the file has ended"):
        estimate_motion(broken(), threads=threads)
    parts = stream_motion(iter(frames), threads=threads)
    assert next(parts)[0][0].index == 0
    parts.close()
    assert threading.active_count() == before


def test_restarts_change_little_and_without_refinement_only_what_runs_backwards(frames):
    repaired = MotionOptions(refine=False)
    whole, restarted = estimate_motion(frames, repaired), estimate_motion(frames, repaired, restart=RESTART)
    np.testing.assert_array_equal(whole.to_prev, restarted.to_prev)
    assert not np.array_equal(whole.to_next, restarted.to_next)
    whole, restarted = estimate_motion(frames), estimate_motion(frames, restart=RESTART)
    np.testing.assert_array_equal(whole.is_cut, restarted.is_cut)
    for name, most in (("to_prev", 0.02), ("to_next", 0.05)):
        assert (abs(getattr(whole, name) - getattr(restarted, name)).max(axis=1) > 0.1).mean() < most, name


@pytest.mark.parametrize("count", [1, 2, 5, 17])
def test_short_streams(frames, count):
    parts = list(stream_motion(frames[:count], threads=1))
    assert_equal(join([motion for _, motion in parts]), estimate_motion(frames[:count], restart=RESTART))


def test_no_frames_yield_nothing():
    assert list(stream_motion([])) == []


def test_memory_does_not_grow_with_the_stream(frames):
    """The same ten frames again and again, as if each began with an IDR picture of its own."""

    def endless(rounds):
        for k in range(rounds):
            for frame in frames[:10]:
                where = {"index": 10 * k + frame.index, "decode_index": 10 * k + frame.decode_index}
                yield dataclasses.replace(frame, **where)

    def peak(rounds):
        tracemalloc.start()
        for _ in stream_motion(endless(rounds), threads=1):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(40) < 1.1 * peak(12)


def test_missing_references_harm_nothing(frames):
    """After a seek, or in a stream that begins without a key frame, the references are missing."""
    motion = estimate_motion(frames[5:15])
    for name in ("to_prev", "to_next", "confidence", "error"):
        assert np.isfinite(getattr(motion, name)).all(), name
    inside = (slice(None), slice(4, -4), slice(4, -4))
    assert abs(motion.to_prev[4][inside] - np.array([-2, -1])[:, None, None]).mean() < 0.3


def test_vectors_that_point_out_of_the_picture_harm_nothing(frames):
    def thrown(frame):
        vectors = frame.vectors.copy()
        vectors["motion_x"][::3] = 2**31 - 1
        vectors["motion_y"][1::3] = -(2**31)
        vectors["dst_x"][::5] = 32767
        vectors["dst_y"][::7] = -32768
        return dataclasses.replace(frame, vectors=vectors)

    motion = estimate_motion([thrown(frame) for frame in frames[:8]])
    for name in ("to_prev", "to_next", "confidence", "error"):
        assert np.isfinite(getattr(motion, name)).all(), name
    assert (
        abs(motion.to_prev).max() < 100 and abs(motion.to_next).max() < 100
    )  # vectors out of the picture were rejected


def bounded(frames, made, look_ahead):
    """The motion of a stream in windows: ``made`` frames each, with ``look_ahead`` more known."""
    stream, parts, done = MotionStream(MotionOptions(), None), [], 0
    for count, frame in enumerate(frames, 1):
        stream.add(frame)
        if count - done >= made + look_ahead:
            part = stream.advance(ended=True, final=done + made)
            assert len(part) == count - done
            parts.append(part.cut(0, made))
            done += made
    if done < len(frames):
        parts.append(stream.advance(ended=True, final=len(frames)))
    return join(parts), stream


def test_with_much_look_ahead_the_motion_is_that_of_the_whole(frames):
    motion, _ = bounded(frames, 6, 34)
    assert_equal(motion, estimate_motion(frames))


@pytest.mark.parametrize(("made", "look_ahead", "most"), [(1, 0, 0.1), (4, 2, 0.02), (8, 8, 0.002)])
def test_little_look_ahead_changes_little(frames, made, look_ahead, most):
    motion, whole = bounded(frames, made, look_ahead)[0], estimate_motion(frames)
    assert len(motion) == len(whole)
    assert abs(motion.to_prev - whole.to_prev).mean() < most
    if look_ahead:
        assert abs(motion.to_next[:-1] - whole.to_next[:-1]).mean() < 2 * most


def test_without_look_ahead_the_motion_depends_on_the_past_alone(frames):
    short, _ = bounded(frames[:12], 1, 0)
    motion, _ = bounded(frames, 1, 0)
    np.testing.assert_array_equal(motion.to_prev[:12], short.to_prev)


def test_a_stream_in_windows_stores_few_frames(frames):
    sizes = []
    for count in (40, 70):
        _, stream = bounded(frames[:count], 2, 2)
        layers = stream._finishing._layers
        sizes.append([len(stream._velocities), len(stream._prepared), *(len(layer[0]) for layer in layers)])
    assert max(map(max, sizes)) < 16 and len(stream._coded.lumas.decoded) < 50
