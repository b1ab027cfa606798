"""Clip folders: those of the seed project, and those that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.errors import InputError
from codecvsr.files import write_png
from codecvsr.inference.clip_folder import ClipFolder
from tests.datasets.hr_clips import write_clip
from tests.streams import moving_texture


def test_clip_folder_of_the_seed(tmp_path: Path) -> None:
    frames = moving_texture(5, 36, 48, 1, 0)
    write_clip(tmp_path / "clip" / "lr", frames)
    clip = ClipFolder.open(tmp_path / "clip")
    assert (clip.stream, clip.meta, clip.has_motion) == (None, {}, False)
    assert np.array_equal(clip.load_frames(), frames)
    with pytest.raises(InputError, match=r"codec\.npz: no such file"):
        clip.load_motion()
    encode_h264(frames, tmp_path / "clip" / "clip.mp4", EncodeSettings(25))
    assert ClipFolder.open(tmp_path / "clip").stream == tmp_path / "clip" / "clip.mp4"


def test_bad_clip_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a clip folder"):
        ClipFolder.open(tmp_path)
    folder = tmp_path / "clip" / "lr"
    write_clip(folder, moving_texture(4, 36, 48, 1, 0))
    write_png(folder / "00000003.png", np.zeros((40, 48, 3), np.uint8))
    with pytest.raises(InputError, match=r"00000003\.png: is 48x40, but 00000000\.png is 48x36"):
        ClipFolder.open(tmp_path / "clip").load_frames()
    (folder / "00000001.png").unlink()
    with pytest.raises(InputError, match=r"lr: frame 00000001\.png is missing"):
        ClipFolder.open(tmp_path / "clip")
    (folder / "00000003.png").rename(folder / "cover.png")
    with pytest.raises(InputError, match=r"cover\.png: has no number"):
        ClipFolder.open(tmp_path / "clip")
