"""Which frame is compared with which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codecvsr.errors import DamagedInputError, InputError
from codecvsr.metrics.pairs import list_frames, pair_folders, video_frames
from tests.streams import encode, moving_texture


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).touch()
    return path


def paired(tmp_path: Path, sr: list[str], gt: list[str]):
    result = pair_folders(folder(tmp_path / "sr", *sr), folder(tmp_path / "gt", *gt))
    return result.matched_by, [(a.name, b.name) for a, b in result.pairs]


def test_equal_names_pair_whatever_their_suffix(tmp_path):
    names = [f"{i:08d}" for i in (2, 0, 1)]
    how, pairs = paired(tmp_path, [f"{n}.png" for n in names], [f"{n}.jpg" for n in names])
    assert how == "name"
    assert pairs == [(f"{n}.png", f"{n}.jpg") for n in sorted(names)]


def test_names_without_numbers_pair(tmp_path):
    how, pairs = paired(tmp_path, ["b.png", "a.png"], ["a.png", "b.png"])
    assert (how, pairs) == ("name", [("a.png", "a.png"), ("b.png", "b.png")])


def test_numbers_pair_through_other_zeros_and_prefixes(tmp_path):
    how, pairs = paired(tmp_path, ["1.png", "2.png", "10.png"], ["im00001.png", "im00002.png", "im00010.png"])
    assert (how, pairs[2]) == ("number", ("10.png", "im00010.png"))


def test_frames_sort_by_number_not_by_spelling(tmp_path):
    names = ["10.png", "9.png", "100.png", "1.png"]
    assert [p.name for p in list_frames(folder(tmp_path / "a", *names))] == ["1.png", "9.png", "10.png", "100.png"]


def test_folders_counting_from_0_and_from_1_pair_by_order(tmp_path):
    how, pairs = paired(tmp_path, [f"{i:08d}.png" for i in range(12)], [f"{i:08d}.png" for i in range(1, 13)])
    assert how == "order"
    assert (pairs[0], pairs[11]) == (("00000000.png", "00000001.png"), ("00000011.png", "00000012.png"))


def test_unlike_names_pair_by_order(tmp_path):
    how, pairs = paired(tmp_path, ["a.png", "b.png"], ["x.png", "y.png"])
    assert (how, pairs) == ("order", [("a.png", "x.png"), ("b.png", "y.png")])


@pytest.mark.parametrize(
    ("sr", "gt", "words"),
    [
        ([0, 1, 3], [0, 1, 2, 3], ["sr: is missing 00000002.png", "3 frames against 4"]),
        ([0, 1, 2, 3], [0, 1, 3], ["has 00000002.png without an original"]),
        ([0, 1, 2, 4], [0, 1, 2, 3], ["is missing 00000003.png and has 00000004.png without"]),
        ([0], list(range(10)), ["00000001.png, 00000002.png, 00000003.png, 00000004.png and 5 more"]),
    ],
)
def test_missing_and_extra_frames_are_named(tmp_path, sr, gt, words):
    with pytest.raises(InputError) as error:
        paired(tmp_path, [f"{i:08d}.png" for i in sr], [f"{i:08d}.png" for i in gt])
    assert all(word in str(error.value) for word in words), str(error.value)


def test_missing_frames_without_numbers_are_named(tmp_path):
    with pytest.raises(InputError, match=r"is missing y\.png and has z\.png without"):
        paired(tmp_path, ["x.png", "z.png"], ["x.png", "y.png"])


def test_unusable_folders_are_named(tmp_path):
    good = folder(tmp_path / "good", "0.png")
    with pytest.raises(InputError, match="nowhere: not a folder"):
        pair_folders(tmp_path / "nowhere", good)
    with pytest.raises(InputError, match="empty: holds no PNG or JPEG"):
        pair_folders(good, folder(tmp_path / "empty", "notes.txt", ".hidden.png"))
    with pytest.raises(InputError, match=r"twice: 0\.jpg and 0\.png are the same frame"):
        pair_folders(folder(tmp_path / "twice", "0.png", "0.jpg"), good)


def test_any_video_codec_is_read_in_display_order(tmp_path):
    frames = moving_texture(9, 64, 96, 4, 2)
    streams = {
        "b_frames.mp4": {"options": {"crf": "10", "bf": "3"}},
        "mpeg4.mkv": {"codec": "mpeg4", "options": {"q": "2"}},
        "sound_first.mp4": {"options": {"crf": "10"}, "audio_first": True},
    }
    for name, options in streams.items():
        decoded = np.stack(list(video_frames(encode(tmp_path / name, frames, **options))))
        errors = [[float(np.mean(np.abs(a.astype(int) - b))) for b in frames] for a in decoded]
        assert np.argmin(errors, axis=1).tolist() == list(range(9)), name


def test_a_broken_video_is_refused(tmp_path):
    whole = encode(tmp_path / "whole.mkv", moving_texture(24, 64, 96, 4, 2), options={"crf": "10", "bf": "0"})
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    (tmp_path / "hurt.mkv").write_bytes(data)
    with pytest.raises(DamagedInputError, match=r"hurt\.mkv: .*whole"):
        list(video_frames(tmp_path / "hurt.mkv"))
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(InputError, match=r"text\.mp4"):
        list(video_frames(tmp_path / "text.mp4"))
