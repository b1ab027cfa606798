"""The compiled libraries against numpy and PyAV: equal value by value, on real streams and on hostile input."""

import subprocess
import sys

import av
import numpy as np
import pytest

from codecvsr import native_libraries
from codecvsr.bitstream import native_reader
from codecvsr.bitstream.frame import VECTOR_DTYPE
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import CodecVSRError, DamagedInputError, InputError, UnsupportedInputError
from codecvsr.motion.ops import native, reference
from tests.streams import encode, moving_texture

needs_fields = pytest.mark.skipif(
    native_libraries.field_library() is None, reason="native field library: not built, or off"
)


needs_reader = pytest.mark.skipif(
    native_libraries.reader_library() is None, reason="native reader library: not built, or off"
)


B_PYRAMID = "bframes=3:b-pyramid=normal:ref=3:keyint=12:scenecut=0:b-adapt=0"


STREAMS = {
    "b-pyramid.mp4": {"size": (96, 128), "options": {"x264-params": B_PYRAMID}},
    "slices.mp4": {"size": (128, 160), "options": {"x264-params": f"{B_PYRAMID}:slices=4"}},
    "odd.mkv": {"size": (94, 126), "options": {"x264-params": B_PYRAMID}},
    "odd2.mp4": {"size": (98, 130), "options": {"x264-params": "bframes=0:ref=1"}},
    "audio-first.mp4": {"size": (96, 128), "options": {"x264-params": B_PYRAMID}, "audio_first": True},
    "raw.h264": {"size": (98, 130), "options": {"x264-params": B_PYRAMID}},
    "transport.ts": {"size": (94, 126), "options": {"x264-params": B_PYRAMID}, "audio_first": True},
    "bt709.mkv": {"size": (96, 128), "options": {"x264-params": "colormatrix=bt709:range=pc:bframes=1"}},
    "444.mp4": {"size": (96, 128), "options": {"x264-params": "bframes=2"}, "pixel_format": "yuv444p"},
    "10-bit.mkv": {"size": (96, 128), "options": {"x264-params": "bframes=2"}, "pixel_format": "yuv420p10le"},
}


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    """Encode the streams of ``STREAMS`` as they are asked for, once each."""
    folder, made = tmp_path_factory.mktemp("streams"), {}

    def get(name):
        if name not in made:
            settings = dict(STREAMS[name])
            height, width = settings.pop("size")
            frames = moving_texture(22, height, width, 3, -2, seed=len(name))
            frames[13:] = frames[13:, ::-1]  # a cut, so that some frames have intra blocks and holes
            made[name] = encode(folder / name, frames, **settings)
        return made[name]

    return get


def extract_mvs_program():
    name = "extract_mvs.exe" if sys.platform == "win32" else "extract_mvs"
    return next((folder / name for folder in native_libraries.folders() if (folder / name).is_file()), None)


def hostile_vectors(rng, count):
    """Vectors of random bits; about 60 % of them lie near a small picture."""
    vectors = np.frombuffer(rng.bytes(count * VECTOR_DTYPE.itemsize), VECTOR_DTYPE).copy()
    near = rng.random(count) < 0.6
    vectors["dst_x"][near] = rng.integers(-40, 140, near.sum())
    vectors["dst_y"][near] = rng.integers(-40, 120, near.sum())
    vectors["w"][near] = rng.choice([0, 1, 7, 8, 16, 255], near.sum())
    vectors["motion_scale"][rng.random(count) < 0.3] = 0
    return vectors


def assert_same_field(vectors, height, width):
    found, expected = native.rasterise(vectors, height, width), reference.rasterise(vectors, height, width)
    for name in ("past", "future", "partition"):
        got, wanted = getattr(found, name), getattr(expected, name)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


@needs_fields
def test_rasterise_equals_numpy_on_hostile_vectors():
    rng = np.random.default_rng(5)
    for height, width in ((96, 128), (94, 126), (1, 1), (0, 0), (0, 16), (3, 90), (65, 17)):
        for count in (0, 1, 40, 300):
            assert_same_field(hostile_vectors(rng, count), height, width)


@needs_fields
def test_a_vector_longer_than_any_stream_may_hold_is_none():
    vectors = np.zeros(2, VECTOR_DTYPE)
    vectors["source"], vectors["w"], vectors["h"], vectors["motion_scale"] = -1, 8, 8, 4
    vectors["dst_x"], vectors["dst_y"], vectors["motion_y"] = [4, 12], 4, [4 * 4096, 4 * 4096 + 1]
    assert_same_field(vectors, 8, 16)
    past = reference.rasterise(vectors, 8, 16).past
    np.testing.assert_array_equal(past[1, 0], [4096, 4096, np.nan, np.nan])
    assert np.isnan(past[0, :, 2:]).all()


@needs_fields
@pytest.mark.parametrize("name", ["b-pyramid.mp4", "slices.mp4", "odd.mkv"])
def test_rasterise_equals_numpy_on_real_streams(streams, name):
    painted = 0
    for frame in read_video(streams(name), backend="pyav"):
        assert_same_field(frame.vectors, frame.height, frame.width)
        assert_same_field(frame.vectors[::2], frame.height, frame.width)  # not contiguous
        painted += len(frame.vectors)
    assert painted > 1000


@needs_fields
def test_rasterise_refuses_what_would_read_or_write_elsewhere():
    with pytest.raises(TypeError, match="a 1-d array"):
        native.rasterise(np.zeros(3, np.uint8), 16, 16)
    with pytest.raises(ValueError, match="negative"):
        native.rasterise(np.zeros(3, VECTOR_DTYPE), -16, 16)


@needs_reader
@pytest.mark.parametrize("name", STREAMS)
def test_reader_equals_pyav(streams, name):
    path = streams(name)
    expected, got = list(read_video(path, backend="pyav")), list(read_video(path, backend="native"))
    assert len(got) == len(expected) == 22
    assert {frame.type for frame in expected} >= {"I", "P"}
    for a, b in zip(expected, got, strict=True):
        for field in ("index", "decode_index", "pts_seconds", "type", "is_reference", "is_idr", "height", "width"):
            assert (field, getattr(b, field)) == (field, getattr(a, field))
        assert b.picture.format.name == a.picture.format.name
        for field in ("colorspace", "color_range", "color_primaries", "color_trc"):
            assert (field, int(getattr(b.picture, field))) == (field, int(getattr(a.picture, field)))
        assert b.vectors.dtype == VECTOR_DTYPE
        np.testing.assert_array_equal(b.vectors, a.vectors)
        assert a.qp is not None and b.qp is not None
        assert b.qp.dtype == np.int8
        np.testing.assert_array_equal(b.qp, a.qp)
        np.testing.assert_array_equal(b.picture.to_ndarray(), a.picture.to_ndarray())
        np.testing.assert_array_equal(b.luma, a.luma)
        np.testing.assert_array_equal(b.rgb, a.rgb)
    if name.startswith(("b-", "slices", "odd.", "raw", "audio", "transport")):
        assert [frame.decode_index for frame in got] != list(range(22))
        assert any(frame.type == "B" and frame.is_reference for frame in got)
        assert any(frame.type == "B" and not frame.is_reference for frame in got)


@needs_reader
def test_frames_outlive_the_reader(streams):
    """What a frame holds is its own: later frames and the closed file change nothing in it."""
    path = streams("b-pyramid.mp4")
    walk = read_video(path, backend="native")
    read_back = [next(walk) for _ in range(3)]
    before = [(frame.luma.copy(), frame.vectors.copy(), frame.qp.copy()) for frame in read_back]
    list(walk)
    for frame, (luma, vectors, qp) in zip(read_back, before, strict=True):
        np.testing.assert_array_equal(frame.picture.to_ndarray()[: frame.height], luma)
        np.testing.assert_array_equal(frame.vectors, vectors)
        np.testing.assert_array_equal(frame.qp, qp)


@needs_reader
def test_ten_runs_are_identical(streams):
    path = streams("slices.mp4")

    def digest():
        return [
            (f.decode_index, f.vectors.tobytes(), f.qp.tobytes(), f.luma.tobytes())
            for f in read_video(path, backend="native")
        ]

    first = digest()
    assert all(digest() == first for _ in range(9))


def outcome(path, backend, allow_damaged):
    """The error a reader ends with, if any, and the luma of the frames before it."""
    frames = []
    try:
        for frame in read_video(path, backend=backend, allow_damaged=allow_damaged):
            frames.append(frame.luma.tobytes())
    except CodecVSRError as error:
        return type(error), frames
    return None, frames


@needs_reader
@pytest.mark.parametrize("allow_damaged", [False, True])
@pytest.mark.parametrize("name", ["b-pyramid.mp4", "odd.mkv", "raw.h264", "transport.ts"])
def test_a_cut_file_ends_like_pyav(streams, tmp_path, name, allow_damaged):
    content = streams(name).read_bytes()
    if name.endswith(".mp4"):  # its index is at the end: bring it to the front, so that a cut file can be opened
        content = with_index_first(streams(name), tmp_path / "faststart.mp4").read_bytes()
    errors = set()
    for part in (0.6, 0.75, 0.9):
        cut = tmp_path / f"cut-{name}"
        cut.write_bytes(content[: int(len(content) * part)])
        expected, got = outcome(cut, "pyav", allow_damaged), outcome(cut, "native", allow_damaged)
        assert got == expected
        assert 0 < len(got[1]) < 22
        errors.add(got[0])
    if name.endswith(".mp4"):
        assert errors == ({None} if allow_damaged else {DamagedInputError})


def with_index_first(source, target):
    """Copy the packets of an MP4 file into one with its index (``moov``) before its media data."""
    with av.open(str(source)) as old, av.open(str(target), "w", options={"movflags": "faststart"}) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
    return target


@needs_reader
def test_bad_files_are_refused(streams, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video at all\n" * 40)
    with pytest.raises(InputError, match="text.mp4: not a readable media file"):
        list(read_video(text, backend="native"))
    other = encode(tmp_path / "other.mkv", moving_texture(4, 96, 128, 1, 1), codec="ffv1")
    with pytest.raises(UnsupportedInputError, match="the video is ffv1"):
        list(read_video(other, backend="native"))
    interlaced = tmp_path / "interlaced.mkv"
    encode(interlaced, moving_texture(6, 96, 128, 1, 1), options={"x264-params": "tff=1", "flags": "+ildct+ilme"})
    with pytest.raises(UnsupportedInputError, match="interlaced"):
        list(read_video(interlaced, backend="native"))
    sound = tmp_path / "sound.m4a"
    with av.open(str(sound), "w") as container:
        track = container.add_stream("aac", rate=48000)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        silence.sample_rate = 48000
        container.mux(track.encode(silence))
        container.mux(track.encode(None))
    with pytest.raises(InputError, match="no video stream"):
        list(read_video(sound, backend="native"))


@needs_reader
def test_a_path_is_never_a_protocol(tmp_path, monkeypatch):
    """libav interprets names such as "concat:a|b"; the reader opens a file of that name."""
    monkeypatch.chdir(tmp_path)
    odd_name = tmp_path / "concat:a|b.mkv"
    encode(tmp_path / "plain.mkv", moving_texture(3, 32, 32, 1, 1)).rename(odd_name)
    assert len(list(native_reader.iterate(odd_name.relative_to(tmp_path)))) == 3


@needs_reader
@pytest.mark.parametrize("name", ["slices.mp4", "raw.h264", "transport.ts"])
def test_extract_mvs_prints_what_pyav_reads(streams, name):
    program = extract_mvs_program()
    assert program is not None, "the reader was built without its program"
    done = subprocess.run([program, streams(name)], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    header, *lines = done.stdout.splitlines()
    assert header == "framenum,source,blockw,blockh,srcx,srcy,dstx,dsty,flags,motion_x,motion_y,motion_scale"
    expected = []
    with av.open(str(streams(name))) as container:
        container.streams.video[0].codec_context.options = {"flags2": "+export_mvs"}
        for number, picture in enumerate(container.decode(video=0), start=1):
            table = picture.side_data.get("MOTION_VECTORS")
            for v in [] if table is None else table.to_ndarray():
                columns = ("source", "w", "h", "src_x", "src_y", "dst_x", "dst_y", "flags", "motion_x", "motion_y")
                expected.append((number, *(int(v[c]) for c in columns), int(v["motion_scale"])))
    assert [tuple(int(value, 0) for value in line.replace(" ", "").split(",")) for line in lines] == expected


@needs_reader
def test_extract_mvs_tells_what_is_wrong(tmp_path):
    program = extract_mvs_program()
    assert subprocess.run([program], check=False, capture_output=True, timeout=60).returncode == 2
    done = subprocess.run([program, tmp_path / "absent.mp4"], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "absent.mp4: not a readable media file" in done.stderr


def test_the_environment_switches_both_libraries_off(streams, monkeypatch):
    monkeypatch.setenv("CODECVSR_NATIVE", "0")
    assert native_libraries.field_library() is None and native_libraries.reader_library() is None
    with pytest.raises(InputError, match="not built"):
        list(native_reader.iterate(streams("b-pyramid.mp4")))
    assert len(list(read_video(streams("b-pyramid.mp4")))) == 22
