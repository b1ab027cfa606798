"""Vectors, types, references and QPs of MPEG-1, MPEG-2, MPEG-4 Part 2 and its relatives."""

from __future__ import annotations

import av
import numpy as np
import pytest

from codecvsr.bitstream import mpeg
from codecvsr.bitstream.decode import VideoDecoder
from codecvsr.bitstream.reader import decode_frames, read_video
from codecvsr.motion.coded_frames import CodedFrames
from codecvsr.motion.references import usable_references
from codecvsr.motion.types import FUTURE, PAST
from tests.bitstream.backends import both
from tests.streams import encode, moving_texture

HEIGHT, WIDTH, FRAMES = 96, 128, 10
DX, DY = 3, 1
GOOD = {"g": "30", "qmin": "3", "qmax": "3"}


@pytest.fixture(scope="module")
def pan():
    """A texture that moves right and down."""
    return moving_texture(FRAMES, HEIGHT, WIDTH, DX, DY)


def median(frame, source):
    """The median vector of one list in pixels, None where the frame has none."""
    own = frame.vectors[frame.vectors["source"] == source]
    if not len(own):
        return None
    scale = own["motion_scale"]
    return float(np.median(own["motion_x"] / scale)), float(np.median(own["motion_y"] / scale))


@both
@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
def test_half_pel_vectors_of_both_lists(tmp_path, pan, codec, backend):
    path = encode(tmp_path / "a.mpg", pan, codec=codec, options={**GOOD, "bf": "2"}, fps=25)
    frames = list(read_video(path, backend=backend))
    assert "".join(frame.type for frame in frames) == "IBBPBBPBBP"
    assert [frame.decode_index for frame in frames] == [0, 2, 3, 1, 5, 6, 4, 8, 9, 7]
    assert [frame.is_reference for frame in frames] == [frame.type != "B" for frame in frames]
    assert [frame.is_idr for frame in frames] == [True] + 9 * [False]
    for t, frame in enumerate(frames):
        since = {"I": None, "P": 3, "B": t % 3}[frame.type]
        assert median(frame, -1) == (None if since is None else (-DX * since, -DY * since))
        assert median(frame, +1) == ((DX * (3 - since), DY * (3 - since)) if frame.type == "B" else None)
        assert not len(frame.vectors) or set(frame.vectors["motion_scale"].tolist()) == {2}


@both
@pytest.mark.parametrize(("flags", "scale"), [("+mv4", 2), ("+mv4+qpel", 4)])
def test_mpeg4_vectors_are_scaled_right(tmp_path, pan, flags, scale, backend):
    path = encode(tmp_path / "a.avi", pan, codec="mpeg4", options={**GOOD, "flags": flags}, fps=25)
    frames = list(read_video(path, backend=backend))
    assert "".join(frame.type for frame in frames) == "I" + 9 * "P"
    assert median(frames[0], -1) is None
    for frame in frames[1:]:
        assert median(frame, -1) == (-DX, -DY)
        assert set(frame.vectors["motion_scale"].tolist()) == {scale}


def test_leftovers_of_mpeg4_b_frames_are_not_read(tmp_path, pan):
    path = encode(tmp_path / "a.mp4", pan, codec="mpeg4", options={**GOOD, "bf": "2"}, fps=25)
    frames = list(read_video(path))
    assert "".join(frame.type for frame in frames) == "IBBPBBPBBP"
    assert [len(frame.vectors) > 0 for frame in frames] == [frame.type == "P" for frame in frames]
    for frame in frames[3::3]:
        assert median(frame, -1) == (-3 * DX, -3 * DY)


@pytest.mark.parametrize(
    ("codec", "name"), [("flv", "a.flv"), ("wmv2", "a.avi"), ("h263p", "a.avi"), ("msmpeg4v2", "a.avi")]
)
def test_relatives_of_h263(tmp_path, pan, codec, name):
    if codec not in av.codecs_available:
        pytest.skip(f"{codec}: this PyAV does not have it")
    frames = list(read_video(encode(tmp_path / name, pan, codec=codec, options=GOOD, fps=25)))
    assert [median(frame, -1) for frame in frames] == [None] + 9 * [(-DX, -DY)]


@pytest.mark.parametrize(("codec", "name"), [("mpeg1video", "a.mpg"), ("mpeg2video", "a.ts"), ("mpeg4", "a.avi")])
def test_qps_have_the_steps_of_the_quantiser(tmp_path, pan, codec, name):
    for scale, expected in ((2, 16), (4, 22), (16, 34)):  # steps of 4, 8 and 32 in H.264: 0.625 * 2^(QP / 6)
        options = {"g": "30", "qmin": str(scale), "qmax": str(scale)}
        frames = list(read_video(encode(tmp_path / name, pan[:5], codec=codec, options=options, fps=25)))
        assert all((frame.qp == expected).all() and frame.qp.shape == (6, 8) for frame in frames)
        assert 0.625 * 2 ** (expected / 6) == pytest.approx(2 * scale, rel=0.06)
    assert mpeg.qp_of_steps(np.array([0, 1, 2, 62, 112])).tolist() == [4, 4, 10, 40, 45]


def test_references_are_the_anchors_around(tmp_path, pan):
    path = encode(tmp_path / "a.ts", pan, codec="mpeg2video", options={**GOOD, "bf": "2", "g": "6"}, fps=25)
    coded = CodedFrames()
    kinds = ""
    for frame in read_video(path):
        coded.add(frame)
        kinds += frame.type
    assert kinds[6] == "I" and kinds[4:6] == "BB"  # an open GOP: those refer to the I-frame too
    facts = coded.facts()
    for t, kind in enumerate(kinds):
        before = [r for r in range(t) if kinds[r] != "B"][-1:]
        after = [r for r in range(t + 1, len(kinds)) if kinds[r] != "B"][:1]
        if kind != "I":
            assert usable_references(facts, t, PAST) == before
        assert usable_references(facts, t, FUTURE) == (after if kind == "B" else [])


@pytest.mark.parametrize(("codec", "name"), [("mpeg2video", "a.mkv"), ("mpeg4", "a.mp4")])
def test_reading_from_a_key_frame_gives_the_same_frames(tmp_path, pan, codec, name):
    path = encode(tmp_path / name, pan, codec=codec, options={**GOOD, "bf": "2", "g": "6"}, fps=25)
    whole = list(read_video(path))
    start = next(t for t, frame in enumerate(whole) if t and frame.type == "I")
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
    part = list(decode_frames(path, begin=round(whole[start].pts_seconds / base)))
    assert [frame.pts_seconds for frame in part] == [frame.pts_seconds for frame in whole[start:]]
    for mine, other in zip(part, whole[start:], strict=True):
        assert np.array_equal(mine.rgb, other.rgb) and np.array_equal(mine.vectors, other.vectors)
        assert mine.type == other.type and mine.is_idr == other.is_idr


def test_a_damaged_key_frame_costs_no_other_picture(tmp_path, pan):
    """The last key packet is decoded once more at the end, to get the last picture with its vectors."""
    path = encode(tmp_path / "a.mpg", pan, codec="mpeg2video", options={**GOOD, "bf": "2"}, fps=25)
    data, rng = path.read_bytes(), np.random.default_rng(1)
    for _ in range(40):
        damaged = bytearray(data)
        for at in rng.integers(100, 4000, 8).tolist():  # within the I-frame
            damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        shown = []
        for export in (True, False):
            with VideoDecoder(path, export=export, conceal=True) as decoder:
                shown.append([picture.pts for picture in decoder])
        assert shown[0] == shown[1]
