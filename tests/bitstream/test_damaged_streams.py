"""What is cut, overwritten or missing: both readers return the same sound frames."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import DamagedInputError
from tests.bitstream.backends import FRAMES, both
from tests.streams import remux


@pytest.fixture(scope="module")
def containers(pyramid, tmp_path_factory):
    """The same packets in four kinds of file."""
    folder = tmp_path_factory.mktemp("containers")
    return {
        "mp4": remux(pyramid, folder / "a.mp4", options={"movflags": "faststart"}),
        **{kind: remux(pyramid, folder / f"a.{kind}") for kind in ("mkv", "ts", "h264")},
    }


@both
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "h264"])
def test_the_frames_of_a_cut_file_are_the_first_of_the_whole(tmp_path, containers, kind, backend, caplog):
    """At every place of the cut: never a gap, never a picture that differs, and the number of frames is said."""
    whole = [frame.luma for frame in read_video(containers[kind], backend=backend)]
    assert len(whole) == FRAMES
    data = containers[kind].read_bytes()
    counts, refused = [], 0
    for share in np.linspace(0.3, 0.98, 15):
        cut = tmp_path / f"cut.{kind}"
        cut.write_bytes(data[: int(len(data) * share)])
        caplog.clear()
        try:
            read_back = [frame.luma for frame in read_video(cut, backend=backend, allow_damaged=True)]
        except DamagedInputError as error:
            assert "use a whole file" in str(error) and "--allow-damaged" not in str(error)
            continue
        counts.append(len(read_back))
        if kind != "h264" or caplog.records:  # a raw stream has no times: a cut between two pictures cannot be seen
            assert all(np.array_equal(a, b) for a, b in zip(read_back, whole, strict=False))
        assert len(read_back) < FRAMES or kind not in ("mp4", "mkv")
        try:
            strict = [frame.luma for frame in read_video(cut, backend=backend)]
            assert kind in ("ts", "h264") and not caplog.records  # cut after a picture that is the last of all before
            assert len(strict) == len(read_back)
        except DamagedInputError as error:
            refused += 1
            assert f"damaged after {len(read_back)} sound frames" in str(error) and "--allow-damaged" in str(error)
            said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
            assert len(said) == 1 and said[0].endswith(f"its {len(read_back)} sound frames are used.")
    assert counts == sorted(counts)
    assert len(set(counts)) > 4 and counts[-1] >= FRAMES - 6
    assert refused == len(counts) if kind in ("mp4", "mkv") else refused > 0


@both
def test_both_ways_of_reading_agree_on_a_cut_file(tmp_path, containers, backend):
    """``VideoPictures`` and ``read_video`` have one rule for what is sound."""
    data = containers["mkv"].read_bytes()
    for share in (0.6, 0.7, 0.8, 0.9):
        cut = tmp_path / "cut.mkv"
        cut.write_bytes(data[: int(len(data) * share)])
        coded = [frame.rgb for frame in read_video(cut, backend=backend, allow_damaged=True)]
        pictures = VideoPictures(cut, allow_damaged=True)
        plain = list(pictures)
        assert pictures.damage.endswith("bytes are there") or "packet" in pictures.damage
        assert len(coded) == len(plain) > 0
        assert all(np.array_equal(a, b) for a, b in zip(coded, plain, strict=True))


@both
def test_bytes_that_were_overwritten(tmp_path, containers, backend):
    """Zeros in the middle of a picture: whatever is handed out before the error is as it was."""
    whole = [frame.luma for frame in read_video(containers["mp4"], backend=backend)]
    data = bytearray(containers["mp4"].read_bytes())
    middle = len(data) * 6 // 10
    data[middle : middle + 200] = bytes(200)
    hurt = tmp_path / "hurt.mp4"
    hurt.write_bytes(data)
    read_back = [frame.luma for frame in read_video(hurt, backend=backend, allow_damaged=True)]
    assert 0 < len(read_back) < FRAMES
    assert all(np.array_equal(a, b) for a, b in zip(read_back, whole, strict=False))
    with pytest.raises(DamagedInputError, match=f"damaged after {len(read_back)} sound frames"):
        list(read_video(hurt, backend=backend))


@both
def test_nothing_sound_at_all(tmp_path, containers, backend):
    data = bytearray(containers["mp4"].read_bytes())
    start = data.find(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    hurt = tmp_path / "hurt.mp4"
    hurt.write_bytes(data)
    with pytest.raises(DamagedInputError, match="no picture of it can be decoded.*use a whole file") as caught:
        list(read_video(hurt, backend=backend, allow_damaged=True))
    assert "--allow-damaged" not in str(caught.value)


@both
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "h264"])
def test_a_stream_that_begins_without_a_key_frame(tmp_path, containers, kind, backend, caplog):
    """Pictures that cannot be decoded at the beginning are skipped with a warning; all others are unchanged."""
    whole = list(read_video(containers["mp4"], backend=backend))
    path = remux(containers["mp4"], tmp_path / f"late.{kind}", skip=1, options={"avoid_negative_ts": "make_zero"})
    frames = list(read_video(path, backend=backend))
    assert [frame.type for frame in frames] == [frame.type for frame in whole[12:]]
    assert [frame.decode_index for frame in frames] == [frame.decode_index - 1 for frame in whole[12:]]
    for frame, same in zip(frames, whole[12:], strict=True):
        assert np.array_equal(frame.luma, same.luma) and np.array_equal(frame.vectors, same.vectors)
    assert "its first 11 pictures are skipped" in caplog.text


@both
def test_an_edit_list_is_no_damage(tmp_path, containers, backend):
    """The index of an MP4 file may count more pictures than are meant to be shown."""
    data = bytearray(containers["mp4"].read_bytes())
    entry = data.find(b"elst") + 12
    data[entry : entry + 4] = (int.from_bytes(data[entry : entry + 4], "big") // 2).to_bytes(4, "big")
    path = tmp_path / "edited.mp4"
    path.write_bytes(data)
    assert len(list(read_video(path, backend=backend))) == FRAMES // 2
