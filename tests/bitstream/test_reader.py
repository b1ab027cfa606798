"""Reading real encoded streams: order, types, times, refusals and damage, with both readers."""

from __future__ import annotations

import gc
import hashlib
import inspect
from collections import deque
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from codecvsr import native_libraries
from codecvsr.bitstream import h264
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import UnsupportedInputError
from tests.bitstream.backends import FRAMES, HEIGHT, PYRAMID, WIDTH, both
from tests.streams import encode, remux


def digest(frames):
    """What must be the same in every run."""
    return [
        (f.decode_index, f.pts_seconds, f.type, hashlib.sha256(f.vectors.tobytes() + f.qp.tobytes()).hexdigest(),
         hashlib.sha256(f.luma.tobytes()).hexdigest())
        for f in frames
    ]  # fmt: skip


@both
def test_decode_order_types_and_references_are_those_x264_was_told(pyramid, clip, backend):
    frames = list(read_video(pyramid, backend=backend))
    assert [f.index for f in frames] == list(range(FRAMES))
    assert sorted(f.decode_index for f in frames) == list(range(FRAMES))
    # A closed GOP of 12: I0 P4 P8 P11, three B between anchors (two in the last group), IDR at 0 and 12.
    assert "".join(f.type for f in frames) == "IBBBPBBBPBBP" * 2
    assert [f.index for f in frames if f.is_idr] == [0, 12]
    # The middle one of three B frames, and of two the first.
    assert [f.index for f in frames if f.is_reference and f.type == "B"] == [2, 6, 9, 14, 18, 21]
    assert all(f.is_reference for f in frames if f.type != "B")
    order = [f.index for f in sorted(frames, key=lambda f: f.decode_index)]
    assert order[:9] == [0, 4, 2, 1, 3, 8, 6, 5, 7]
    assert order[12:21] == [12, 16, 14, 13, 15, 20, 18, 17, 19]
    for frame, original in zip(frames, clip, strict=True):  # display order is that of the pictures
        assert np.abs(frame.rgb.astype(int) - original).mean() < 8
        assert frame.rgb.shape == (HEIGHT, WIDTH, 3) and frame.luma.shape == (HEIGHT, WIDTH)
        assert frame.qp.shape == (4, 6) and 1 <= frame.qp.min() <= frame.qp.max() <= 51
        assert (len(frame.vectors) == 0) == (frame.type == "I")
        assert (frame.vectors["source"] > 0).any() <= (frame.type == "B")


@both
def test_ipp_is_decoded_as_it_is_shown(tmp_path, clip, backend):
    path = encode(tmp_path / "ipp.mkv", clip[:8], options={"x264-params": "bframes=0:ref=1:keyint=5:scenecut=0"})
    frames = list(read_video(path, backend=backend))
    assert [f.decode_index for f in frames] == list(range(8))
    assert "".join(f.type for f in frames) == "IPPPPIPP"


def test_flags_are_read_from_both_framings(pyramid, tmp_path):
    """avcC lengths in MP4, Annex B start codes in a raw stream: the same flags, those of the frames."""
    raw = remux(pyramid, tmp_path / "raw.h264")
    flags = {}
    for path in (pyramid, raw):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            size = h264.length_prefix_size(stream.codec_context.extradata)
            packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
        assert size == (4 if path is pyramid else None)
        flags[path] = [h264.picture_flags(packet, size) for packet in packets]
    frames = sorted(read_video(pyramid, backend="pyav"), key=lambda f: f.decode_index)
    assert flags[pyramid] == flags[raw] == [(f.is_reference, f.is_idr) for f in frames]


@pytest.mark.parametrize(
    ("packet", "length_size", "expected"),
    [
        (b"", 4, (False, False)),
        (b"\x00\x00\x01", None, (False, False)),
        (b"\x00\x00\x00\x01\x09\xf0\x00\x00\x00\x01\x67ab\x00\x00\x01\x65xyz", None, (True, True)),  # AUD, SPS, IDR
        (b"\x00\x00\x01\x06ab\x00\x00\x01\x01xyz", None, (False, False)),  # SEI, a slice nothing refers to
        (b"\x00\x00\x00\x02\x06a\x00\x00\x00\x03\x41xy", 4, (True, False)),
        (b"\x00\x02\x06a\x00\x03\x01xy", 2, (False, False)),
        (b"\x02\x06a\x03\x25xy", 1, (True, True)),
        (b"\xff\xff\xff\xff\x06a", 4, (False, False)),  # a length beyond the packet
    ],
)
def test_flags_of_packets_made_by_hand(packet, length_size, expected):
    assert h264.picture_flags(packet, length_size) == expected


@both
@pytest.mark.parametrize(
    ("options", "most"),
    [("bframes=0:ref=1", 1), ("bframes=2:ref=1:b-pyramid=none", 2), ("bframes=0:ref=5:cqm=jvt", 5), (PYRAMID, 4)],
)
def test_how_many_references_a_stream_keeps(tmp_path, clip, options, most, backend):
    path = encode(tmp_path / "a.mp4", clip[:8], options={"x264-params": options})
    for file in (path, remux(path, tmp_path / "a.h264"), remux(path, tmp_path / "a.ts")):
        assert {frame.max_references for frame in read_video(file, backend=backend)} == {most}, file.suffix


@pytest.mark.parametrize(("options", "is_mbaff"), [("tff=1", True), ("fake-interlaced=1", False), ("ref=2", False)])
def test_mbaff_is_told_by_the_parameter_set(tmp_path, clip, options, is_mbaff):
    """Not every encoder marks such pictures as interlaced, which is all that the decoder tells."""
    path = encode(tmp_path / "a.mp4", clip[:4], options={"x264-params": options})
    with av.open(str(path)) as container:
        extradata = container.streams.video[0].codec_context.extradata
    assert h264.sequence_facts(extradata).is_mbaff == is_mbaff


@both
def test_mbaff_that_nothing_else_tells_is_refused(tmp_path, clip, backend, monkeypatch):
    path = encode(tmp_path / "mbaff.mp4", clip[:4])
    monkeypatch.setattr(h264, "sequence_facts", lambda extradata: h264.SequenceFacts(4, is_mbaff=True))
    with pytest.raises(UnsupportedInputError, match=r"the stream is interlaced.*ffmpeg -i mbaff\.mp4 -vf bwdif"):
        list(read_video(path, backend=backend))


def test_headers_that_make_no_sense(tmp_path, clip):
    path = encode(tmp_path / "a.mp4", clip[:4], options={"x264-params": "cqm=jvt"})
    with av.open(str(path)) as container:
        sound = container.streams.video[0].codec_context.extradata
    assert h264.sequence_facts(sound).max_references
    for nothing in (None, b"", b"\x01", bytes(9), b"\x00\x00\x01", b"\x00\x00\x01\x67", sound[:12]):
        assert h264.sequence_facts(nothing) == h264.UNKNOWN
    rng = np.random.default_rng(5)
    for _ in range(300):
        damaged = np.frombuffer(sound, np.uint8).copy()
        damaged[rng.integers(0, len(damaged), 6)] = rng.integers(0, 256, 6)
        most = h264.sequence_facts(damaged[: rng.integers(1, len(damaged))].tobytes()).max_references
        assert most is None or 0 <= most <= 16


def test_length_prefixes():
    assert h264.length_prefix_size(None) is None
    assert h264.length_prefix_size(b"\x00\x00\x00\x01\x67") is None
    assert [h264.length_prefix_size(bytes([1, 100, 0, 30, 0xFC | n])) for n in (0, 1, 3)] == [1, 2, 4]


def encode_at(path, clip, times, **options):
    """Encode frames to be shown at ``times``, in milliseconds."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=24, options={"x264-params": "bframes=2:b-adapt=0"})
        stream.width, stream.height, stream.pix_fmt = clip.shape[2], clip.shape[1], "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for rgb, time in zip(clip, times, strict=False):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@both
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_times_of_a_variable_rate_with_an_offset(tmp_path, clip, name, backend):
    times = [500, 540, 700, 710, 1500, 1530, 1600, 3000]
    path = encode_at(tmp_path / name, clip, times)
    frames = list(read_video(path, backend=backend))
    np.testing.assert_allclose([f.pts_seconds for f in frames], np.array(times) / 1000, atol=1e-3)
    assert [f.index for f in frames] == list(range(8))


@both
def test_a_raw_stream_has_no_times(pyramid, tmp_path, backend):
    frames = list(read_video(remux(pyramid, tmp_path / "raw.h264"), backend=backend))
    assert len(frames) == FRAMES
    assert {f.pts_seconds for f in frames} == {None}


def test_ten_runs_are_identical(clip, tmp_path):
    """B frames and several slices: where threads of the wrong kind would show."""
    path = encode(tmp_path / "slices.mkv", clip, options={"x264-params": f"{PYRAMID}:slices=3"})
    first = digest(read_video(path, backend="pyav"))
    assert len({entry[3] for entry in first}) > FRAMES // 2
    for _ in range(9):
        assert digest(read_video(path, backend="pyav")) == first
    if native_libraries.reader_library() is not None:
        for _ in range(10):
            assert digest(read_video(path, backend="native")) == first


def test_nobody_can_ask_for_threads(pyramid, monkeypatch):
    assert list(inspect.signature(read_video).parameters) == ["path", "backend", "allow_damaged"]
    contexts = []
    real = av.open

    def spy(*args, **options):
        container = real(*args, **options)
        contexts.append(container.streams.video[0].codec_context)
        return container

    first = digest(read_video(pyramid, backend="pyav"))
    for name in ("CODECVSR_THREADS", "AV_THREADS", "FFMPEG_THREADS", "OMP_NUM_THREADS", "THREADS"):
        monkeypatch.setenv(name, "16")
    monkeypatch.setattr(av, "open", spy)
    assert digest(read_video(pyramid, backend="pyav")) == first
    assert [(context.thread_count, context.thread_type.name) for context in contexts] == [(1, "SLICE")]


@both
def test_ten_bits_become_eight_without_a_shift(tmp_path, clip, backend):
    path = encode(tmp_path / "deep.mkv", clip[:3], pixel_format="yuv420p10le", options={"crf": "1"})
    shallow = encode(tmp_path / "shallow.mkv", clip[:3], options={"crf": "1"})
    for deep, eight in zip(read_video(path, backend=backend), read_video(shallow, backend=backend), strict=True):
        assert deep.rgb.dtype == np.uint8
        assert np.abs(deep.rgb.astype(int) - eight.rgb).mean() < 1.5


@both
def test_pictures_go_as_soon_as_nobody_holds_them(pyramid, backend):
    """Without the garbage collector, that is: libav's pictures are too large to wait for it, and it does not see their size."""
    gc.collect()
    gc.disable()
    try:
        before = sum(type(item) is av.VideoFrame for item in gc.get_objects())
        for frame in read_video(pyramid, backend=backend):
            assert frame.rgb.shape == (HEIGHT, WIDTH, 3)
        del frame
        assert sum(type(item) is av.VideoFrame for item in gc.get_objects()) == before
    finally:
        gc.enable()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="/proc/self/task: Linux only")
def test_pictures_bring_no_threads_with_them(pyramid):
    tasks = Path("/proc/self/task")
    waiting = deque(read_video(pyramid, backend="pyav"))
    assert waiting[0].rgb.any()
    before = len(list(tasks.iterdir()))
    assert all(frame.rgb.any() for frame in waiting)
    assert len(list(tasks.iterdir())) == before
