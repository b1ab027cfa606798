"""De-interlacing: the right moments in the right order at the right times, and nothing else touched."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from codecvsr.bitstream import h264
from codecvsr.bitstream.deinterlace import Deinterlaced, describe_deinterlacing
from codecvsr.bitstream.frame import NO_VECTORS, CodedFrame
from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.bitstream.reader import decode_frames, read_video
from codecvsr.errors import InterlacedInputError
from tests.interlaced import CODECS, encode_fields, flagged, weave
from tests.streams import encode, moving_texture

FRAMES, HEIGHT, WIDTH = 6, 48, 64
BASE = Fraction(1, 100)
STEP = 4


@pytest.fixture(scope="module")
def moments():
    """Twice as many pictures as frames: each field is of another moment."""
    return moving_texture(2 * FRAMES, HEIGHT, WIDTH, 2, 1)


def coded(frames, flags, *, times=None, durations=None, pixel_format="yuv420p"):
    """Frames as a decoder gives them."""
    times = [STEP * i for i in range(len(frames))] if times is None else times
    result = []
    for index, picture in enumerate(flagged(frames, pixel_format, flags, range(len(frames)), BASE)):
        picture.duration = STEP if durations is None else durations[index]
        seconds = None if times[index] is None else float(times[index] * BASE)
        result.append(CodedFrame(index, index, seconds, "P", True, index == 0, NO_VECTORS, None, picture))
    return result


def error(frame, picture):
    return float(np.abs(frame.rgb[4:-4, 4:-4].astype(int) - picture[4:-4, 4:-4]).mean())


def times(frames):
    return [None if frame.pts_seconds is None else round(frame.pts_seconds / float(BASE), 3) for frame in frames]


@pytest.mark.parametrize("top_first", [True, False])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv411p", "yuv422p10le"])
def test_every_field_becomes_the_picture_of_its_moment(moments, top_first, pixel_format):
    woven = coded(weave(moments, top_first=top_first), "tff" if top_first else "bff", pixel_format=pixel_format)
    single = list(Deinterlaced(woven))
    double = list(Deinterlaced(woven, "field", BASE))
    assert [f.index for f in single] == list(range(FRAMES)) and [f.index for f in double] == list(range(2 * FRAMES))
    for frames, shown in ((single, moments[::2]), (double, moments)):
        for t, frame in enumerate(frames):
            errors = [error(frame, picture) for picture in shown]
            assert int(np.argmin(errors)) == t
            assert frame.is_deinterlaced and not frame.is_interlaced and frame.picture.format.name == pixel_format
    assert np.mean([error(a, b) for a, b in zip(single, moments[::2], strict=True)]) < 0.6 * np.mean(
        [error(a, b) for a, b in zip(woven, moments[::2], strict=True)]
    )
    assert times(single) == [STEP * t for t in range(FRAMES)]
    assert times(double) == [STEP / 2 * t for t in range(2 * FRAMES)]
    assert [f.is_idr for f in double] == [True] + [False] * (2 * FRAMES - 1)


def test_uneven_times_are_halved_and_the_last_field_ends_with_its_frame(moments):
    frames = coded(weave(moments)[:4], "tff", times=[10, 14, 30, 32], durations=[4, 16, 2, 8])
    made = list(Deinterlaced(frames, "field", BASE))
    assert times(made) == [10, 12, 14, 22, 30, 31, 32, 36]
    assert [f.picture.duration for f in made][-1] == 8  # of a field, in half the unit: 4
    unknown = coded(weave(moments)[:3], "tff", times=[10, None, 18], durations=[0, 0, 0])
    assert times(Deinterlaced(unknown, "field", BASE)) == [10, None, None, None, 18, None]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("mode", ["auto", "frame", "field"])
def test_the_shortest_videos(moments, count, mode):
    made = list(Deinterlaced(coded(weave(moments)[:count], "tff"), mode, BASE))
    assert len(made) == count * (2 if mode == "field" else 1) and all(f.is_deinterlaced for f in made)


def test_only_flagged_frames_change(moments):
    flags = ["prog", "prog", "tff", "tff", "prog", "tff"]
    frames = coded(weave(moments), flags)
    made = list(Deinterlaced(frames))
    assert [f.is_deinterlaced for f in made] == [flag == "tff" for flag in flags]
    assert all(a is b for a, b, flag in zip(made, frames, flags, strict=True) if flag == "prog")
    whole = list(Deinterlaced(coded(weave(moments), "tff")))
    assert np.array_equal(made[2].luma, whole[2].luma)  # the frame before it counts, though it is progressive
    assert list(Deinterlaced(frames, "off")) == frames
    assert all(f.is_deinterlaced for f in Deinterlaced(frames, "frame"))
    assert describe_deinterlacing(3, 6, "auto") == "6 frames, 3 of them de-interlaced with bwdif, one per frame"
    assert describe_deinterlacing(0, 6, "auto") == ""


def test_a_size_that_changes_begins_again(moments):
    small = moving_texture(6, 32, 48, 2, 1)
    frames = coded(weave(moments)[:3], "tff") + coded(weave(small), "tff")
    for mode, each in (("auto", 1), ("field", 2)):
        made = list(Deinterlaced(frames, mode, BASE))
        assert [f.height for f in made] == [HEIGHT] * 3 * each + [32] * 3 * each
        assert [f.index for f in made] == list(range(6 * each))


@pytest.mark.parametrize("codec", CODECS)
def test_streams_are_flagged_by_their_decoders(tmp_path, moments, codec):
    path = encode_fields(tmp_path / "fields.mkv", weave(moments), codec)
    frames = list(VideoPictures(path).coded())
    assert all(f.is_interlaced and f.is_field_coded for f in frames)
    for frame, woven, picture in zip(Deinterlaced(frames), frames, moments[::2], strict=True):
        assert error(frame, picture) < error(woven, picture)


def test_progressive_pictures_with_field_tools_stay_as_they_are(tmp_path, moments):
    """Blu-ray codes progressive pictures so that fields are possible; other encoders code macroblocks as fields."""
    fake = encode(tmp_path / "fake.mkv", moments, options={"x264-params": "fake-interlaced=1"})
    frames = list(decode_frames(fake))
    assert all(a is b for a, b in zip(Deinterlaced(frames), frames, strict=True))
    assert sum(len(frame.vectors) for frame in frames) and not any(f.is_field_coded for f in frames)
    for backend in ("auto", "pyav"):  # its rows of macroblocks come in pairs, one of them below the picture
        assert [f.qp.shape for f in read_video(fake, backend=backend)] == [(3, 4)] * len(moments)

    mbaff = encode(tmp_path / "mbaff.h264", moments, options={"x264-params": "tff=1"})
    data = mbaff.read_bytes()  # a picture timing message: type 1, length 1, pic_struct 3 (two fields) in 4 bits
    assert data.count(b"\x06\x01\x01\x32") == len(moments)
    mbaff.write_bytes(data.replace(b"\x06\x01\x01\x32", b"\x06\x01\x01\x02"))
    frames = list(decode_frames(mbaff))
    assert h264.sequence_facts(data).is_mbaff and not any(frame.is_interlaced for frame in frames)
    assert all(frame.is_field_coded and not len(frame.vectors) for frame in frames)
    assert all(a is b for a, b in zip(Deinterlaced(frames), frames, strict=True))
    with pytest.raises(InterlacedInputError, match="'codecvsr upscale' and 'codecvsr infer' de-interlace it"):
        list(read_video(mbaff))


@pytest.mark.parametrize("begin", range(1, FRAMES - 1))
def test_a_frame_depends_on_its_neighbours_alone(moments, begin):
    """So that a part of a video gives the same frames as the whole."""
    for flags in ("tff", ["prog", "prog", "tff", "tff", "prog", "tff"]):
        frames = coded(weave(moments), flags)
        whole, part = list(Deinterlaced(frames)), list(Deinterlaced(frames[begin - 1 :]))
        assert [f.index for f in part] == list(range(begin - 1, FRAMES))
        for a, b in zip(whole[begin:], part[1:], strict=True):
            assert np.array_equal(a.rgb, b.rgb) and a.is_deinterlaced == b.is_deinterlaced
