"""Streams that cannot be read are refused, and covers are no video."""

from __future__ import annotations

import av
import numpy as np
import pytest

from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import InputError, InterlacedInputError, UnsupportedInputError
from codecvsr.video.probe import Media
from tests.bitstream.backends import HEIGHT, WIDTH, both
from tests.streams import encode, sound_track, texture


@both
@pytest.mark.parametrize(
    ("codec", "encoder", "name", "options"),
    [
        ("hevc", "libx265", "a.mp4", {"x265-params": "log-level=none"}),
        ("vp9", "libvpx-vp9", "a.webm", {"cpu-used": "8"}),
        ("av1", "libsvtav1", "a.mkv", {"preset": "12"}),
        ("ffv1", "ffv1", "a.mkv", {}),
    ],
)
def test_other_codecs_are_refused_with_a_way_out(tmp_path, clip, codec, encoder, name, options, backend):
    if encoder not in av.codecs_available:
        pytest.skip(f"{encoder}: this PyAV does not have it")
    path = encode(tmp_path / name, clip[:4], codec=encoder, options=options)
    with pytest.raises(UnsupportedInputError) as caught:
        list(read_video(path, backend=backend, allow_damaged=True))
    words = str(caught.value)
    assert words.startswith(
        f"{path}: the video is {codec}, whose motion vectors cannot be read; H.264, MPEG-1, MPEG-2 or "
    )
    assert "Convert it first: ffmpeg -i" in words and "libx264" in words


@both
def test_files_that_are_no_video(tmp_path, backend):
    with pytest.raises(InputError, match=r"absent\.mp4: no such file"):
        read_video(tmp_path / "absent.mp4", backend=backend)
    with pytest.raises(InputError, match="no such file"):
        read_video(tmp_path, backend=backend)
    for name, content in (("empty.mp4", b""), ("text.mkv", b"no video at all\n" * 99)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: (not a readable media file|has no video stream)"):
            list(read_video(tmp_path / name, backend=backend))
    with pytest.raises(InputError, match=r"sound\.mp4: has no video stream"):
        list(read_video(sound_track(tmp_path / "sound.mp4"), backend=backend))


def with_cover(path, clip, *, video=True):
    """A file whose stream 0 is a cover picture larger than the video, and whose stream 1 is the video."""
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 320, 240, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        track = container.add_stream("libx264" if video else "aac", rate=24 if video else 48000)
        if video:
            track.width, track.height, track.pix_fmt = clip.shape[2], clip.shape[1], "yuv420p"
        container.mux(cover.encode(av.VideoFrame.from_ndarray(texture(240, 320), format="rgb24")))
        container.mux(cover.encode(None))
        for rgb in clip if video else ():
            container.mux(track.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")))
        if not video:
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            silence.sample_rate = 48000
            container.mux(track.encode(silence))
        container.mux(track.encode(None))
    return path


@both
def test_a_cover_picture_is_not_the_video(tmp_path, clip, backend):
    path = with_cover(tmp_path / "cover.mp4", clip[:5])
    frames = list(read_video(path, backend=backend))
    assert [(f.width, f.height) for f in frames] == [(WIDTH, HEIGHT)] * 5
    with pytest.raises(InputError, match="has no video stream"):
        list(read_video(with_cover(tmp_path / "music.mp4", clip, video=False), backend=backend))


@both
@pytest.mark.parametrize("options", [{"x264-params": "interlaced=1"}, {"x264-params": "tff=1"}, {"flags": "+ildct"}])
def test_interlaced_streams_are_refused(tmp_path, clip, options, backend):
    path = encode(tmp_path / "fields.mp4", clip[:5], options=options)
    with pytest.raises(UnsupportedInputError, match=r"fields\.mp4: the stream is interlaced.*De-interlace it first"):
        list(read_video(path, backend=backend))


def test_hevc_of_single_fields_is_refused(tmp_path, clip):
    """Every picture is one field: FFmpeg returns them one by one, which would be upscaled as frames of half the height."""
    options = {"preset": "ultrafast", "x265-params": "interlace=tff:log-level=none"}
    path = encode(tmp_path / "fields.mkv", clip[:6], codec="libx265", options=options)
    whole = encode(
        tmp_path / "whole.mkv", clip[:6], codec="libx265", options={**options, "x265-params": "log-level=none"}
    )
    assert len(list(VideoPictures(whole).coded())) == 6
    words = r"fields\.mkv: is HEVC whose pictures are single fields; .*: ffmpeg -i fields\.mkv -vf weave,bwdif"
    for mode in ("auto", "frame", "field"):
        for damage in ("refuse", "conceal"):
            with pytest.raises(InterlacedInputError, match=words):
                list(Media.open(path, deinterlace=mode).frames(damage))
    frames = list(Media.open(path, deinterlace="off").frames())
    assert len(frames) == 6 and (frames[0].width, frames[0].height) == (WIDTH, HEIGHT)


@both
def test_a_size_that_changes_is_refused(tmp_path, clip, backend):
    parts = encode(tmp_path / "a.h264", clip[:6]), encode(tmp_path / "b.h264", clip[:6, :48])
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(UnsupportedInputError, match="changes from 96x64 to 96x48 at frame 6"):
        list(read_video(joined, backend=backend))
    joined.write_bytes(parts[0].read_bytes() * 2)  # of one size: no reason to refuse
    assert len(list(read_video(joined, backend=backend))) == 12
