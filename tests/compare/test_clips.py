"""Clip folders and their originals, found at every depth and refused for mismatched ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from codecvsr.compare.clips import find_clips
from codecvsr.errors import InputError
from tests.compare.conftest import FRAMES


def test_roots_at_every_depth(material: Path) -> None:
    bench, hr = material / "bench", material / "hr"
    everything = ["hr_CRF15/a", "hr_CRF35/a", "hr_CRF15/b", "hr_CRF35/b"]
    assert [clip.key for clip in find_clips([bench], hr)] == everything
    both = [bench / "hr_CRF35", bench / "hr_CRF15", bench / "hr_CRF15" / "a"]
    assert [clip.key for clip in find_clips(both, hr)] == everything
    (only,) = find_clips([bench / "hr_CRF35" / "b"], hr)
    assert (only.key, only.crf, only.label, only.length(), only.length(2)) == ("hr_CRF35/b", 35, "CRF35", FRAMES, 2)
    assert [clip.name for clip in find_clips([bench / "hr_CRF35"], hr, ["b"])] == ["b"]
    assert find_clips([bench / "hr_CRF35" / "b"], hr / "a")[0].original.path == hr / "a"  # the one clip there is


def test_rate_of_a_folder_without_meta(material: Path, tmp_path: Path) -> None:
    for name in ("x_CRF22.5", "x_CRFnone", "x"):
        shutil.copytree(material / "bench" / "hr_CRF15" / "a" / "lr", tmp_path / name / "a" / "lr")
    clips = find_clips([tmp_path], material / "hr")
    assert [(clip.benchmark, clip.crf, clip.label) for clip in clips] == [
        ("x", None, "CRF?"), ("x_CRFnone", None, "CRFnone"), ("x_CRF22.5", 22.5, "CRF22.5"),
    ]  # fmt: skip
    assert [clip.to_json()["crf"] for clip in clips] == [None, "none", 22.5]


def test_refusals(material: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no clip folders"):
        find_clips([tmp_path], material / "hr")
    with pytest.raises(InputError, match="No clip is called 'c'; there are a, b"):
        find_clips([material / "bench"], material / "hr", ["a", "c"])
    shutil.copytree(material / "hr" / "a", tmp_path / "hr" / "a")
    with pytest.raises(InputError, match="has no original of clip 'b'"):
        find_clips([material / "bench"], tmp_path / "hr")
    (tmp_path / "hr" / "a" / f"{FRAMES - 1:08d}.png").unlink()
    (clip,) = find_clips([material / "bench" / "hr_CRF15" / "a"], tmp_path / "hr")
    with pytest.raises(InputError, match=f"has {FRAMES - 1} frames, but .* has {FRAMES}"):
        list(clip.originals(FRAMES))


def test_fingerprint_changes_with_the_files(material: Path, tmp_path: Path) -> None:
    shutil.copytree(material / "bench" / "hr_CRF15" / "a", tmp_path / "a")
    (clip,) = find_clips([tmp_path / "a"], material / "hr")
    before = clip.fingerprint()
    assert clip.fingerprint() == before
    with (tmp_path / "a" / "clip.mp4").open("ab") as stream:
        stream.write(b"\0")
    assert clip.fingerprint() != before
