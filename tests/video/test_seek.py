"""Stretches of a video: found by seeking where that is safe, and always the same frames."""

from __future__ import annotations

import numpy as np
import pytest

from codecvsr.errors import InputError
from codecvsr.motion import estimate_motion
from codecvsr.video import seek
from codecvsr.video.probe import Media
from codecvsr.video.scan import scan
from codecvsr.video.seek import Decoder
from tests.interlaced import encode_fields, weave
from tests.streams import encode, moving_texture, remux
from tests.videos import make_video, noisy_frames

FRAMES = 43  # so many that a video of uneven times ends with regular ones: a gap there would be taken for damage


@pytest.fixture(autouse=True)
def seek_early(monkeypatch):
    monkeypatch.setattr(seek, "_WORTH_SEEKING", 3)


def make(folder, kind):
    if kind == "pictures":
        return noisy_frames(folder / "frames", FRAMES, 16, 16)
    if kind in ("mkv", "mp4", "ts"):
        return make_video(folder / f"f.{kind}", FRAMES, extras=False, parameters="bframes=2:keyint=8:b-adapt=0")
    if kind == "open":
        return make_video(folder / "o.mkv", FRAMES, extras=False, parameters="bframes=2:keyint=8:open-gop=1:b-adapt=0")
    texture = moving_texture(FRAMES, 32, 48, 1, 1)
    if kind == "raw":
        return remux(encode(folder / "s.mp4", texture, options={"g": "8"}), folder / "s.h264")
    codec, options = {
        "hevc": ("libx265", {"x265-params": "keyint=8:min-keyint=8:log-level=none", "preset": "ultrafast"}),
        "vp9": ("libvpx-vp9", {"g": "8", "deadline": "realtime", "cpu-used": "8"}),
        "mpeg2": ("mpeg2video", {"g": "8", "bf": "2"}),
    }[kind]
    return encode(folder / f"{kind}.mkv", texture if kind != "hevc" else moving_texture(FRAMES, 64, 64, 1, 1), codec=codec,
                  options=options)  # fmt: skip


@pytest.mark.parametrize("kind", ["mkv", "mp4", "ts", "open", "raw", "hevc", "vp9", "mpeg2", "pictures"])
def test_every_stretch_is_what_reading_from_the_start_gives(tmp_path, kind):
    media = Media.open(make(tmp_path, kind))
    found = scan(media)
    assert len(found) == FRAMES
    every = [(f.rgb, f.vectors, f.qp, f.is_reference, f.is_idr) for f in media.frames()]
    sought = []
    real = Media.frames_from

    class Watched(Media):
        def frames_from(self, index, pts):
            sought.append(index)
            return real(self, index, pts)

    media = Watched(media.path, media.kind, media.codec, media.time_base, media.rate, media.pictures)
    decoder = Decoder(media, found)
    for start, stop in ((17, 27), (21, 30), (36, 40), (0, 5), (3, 9), (30, 31)):
        frames = [frame for frame in decoder.frames(start, stop) if frame is not None]
        assert len(frames) == stop - start
        for frame, (rgb, vectors, qp, is_reference, is_idr) in zip(frames, every[start:stop], strict=True):
            assert np.array_equal(frame.rgb, rgb) and np.array_equal(frame.vectors, vectors)
            assert (frame.qp is None) == (qp is None) and (qp is None or np.array_equal(frame.qp, qp))
            assert (frame.is_reference, frame.is_idr) == (is_reference, is_idr)
    if kind not in ("open", "raw"):  # the one has a single IDR picture, the other no times
        assert len(sought) >= 3, sought


@pytest.mark.parametrize("mode", ["auto", "field"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_every_stretch_of_interlaced_video_is_too(tmp_path, codec, mode):
    """A de-interlaced frame depends on the one before it, so that decoding begins earlier."""
    path = encode_fields(tmp_path / "f.mkv", weave(moving_texture(2 * FRAMES, 32, 48, 2, 1)), codec)
    media = Media.open(path, deinterlace=mode)
    found = scan(media)
    assert len(found) == found.deinterlaced == FRAMES * (2 if mode == "field" else 1)
    every = [(f.rgb, f.pts_seconds) for f in media.frames()]
    decoder = Decoder(media, found)
    for start, stop in ((11, 13), (21, 24), (30, 33), (0, 2), (5, 7), (40, 43)):
        frames = [frame for frame in decoder.frames(start, stop) if frame is not None]
        for frame, (rgb, seconds) in zip(frames, every[start:stop], strict=True):
            assert np.array_equal(frame.rgb, rgb) and frame.pts_seconds == seconds
    assert decoder._can_seek


def test_motion_of_a_stretch_that_was_sought_is_the_same(tmp_path):
    media = Media.open(make(tmp_path, "mkv"))
    found = scan(media)
    sought = [frame for frame in Decoder(media, found).frames(19, 31) if frame is not None]
    read = list(media.frames())[19:31]
    a, b = estimate_motion(sought, threads=1), estimate_motion(read, threads=1)
    assert np.array_equal(a.to_prev, b.to_prev) and np.array_equal(a.to_next, b.to_next)


def test_a_part_of_a_film_counts_from_its_own_beginning(tmp_path):
    media = Media.open(make(tmp_path, "mkv"))
    part = scan(media, start=0.7)
    assert 10 < part.first < 30
    every = [frame.rgb for frame in media.frames()]
    got = [frame.rgb for frame in Decoder(media, part).frames(4, 8) if frame is not None]
    assert all(np.array_equal(a, b) for a, b in zip(got, every[part.first + 4 :], strict=False)) and len(got) == 4


def test_an_input_that_became_shorter_is_said(tmp_path):
    media = Media.open(make(tmp_path, "mp4"))
    found = scan(media)
    make_video(media.path, 10, extras=False)
    with pytest.raises(InputError, match="has fewer frames than at first"):
        list(Decoder(media, found).frames(0, FRAMES))
