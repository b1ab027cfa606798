"""Reading and writing files."""

import pytest

from codecvsr.errors import OutputError
from codecvsr.files import FRAME_NAME, is_empty_folder, refuse_existing


def test_refuse_existing(tmp_path):
    there = tmp_path / "there.csv"
    there.write_text("old")
    refuse_existing(None, tmp_path / "new.csv", overwrite=False)
    refuse_existing(there, overwrite=True)
    with pytest.raises(OutputError, match=r"there\.csv: exists already; use -y/--overwrite .* another output\."):
        refuse_existing(None, there, overwrite=False)
    with pytest.raises(OutputError, match=r"choose another --name\."):
        refuse_existing(there, overwrite=False, choose="another --name")


def test_is_empty_folder(tmp_path):
    assert is_empty_folder(tmp_path)
    assert not is_empty_folder(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    assert not is_empty_folder(tmp_path) and not is_empty_folder(tmp_path / "file")


def test_frames_have_eight_digits():
    assert [FRAME_NAME % i for i in (0, 12345678)] == ["00000000.png", "12345678.png"]
