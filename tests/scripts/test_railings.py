"""scripts/training/railings.py: clips of bars before photographs."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
from training import railings


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    slope = np.linspace(40, 200, 600, dtype=np.float32)
    cv2.imwrite(str(folder / "slope.png"), np.repeat(np.tile(slope, (400, 1))[..., None], 3, axis=2).astype(np.uint8))
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def _run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["railings.py", *map(str, arguments)])
    railings.main()


def test_bars_stand_before_the_photograph(tmp_path, photos, monkeypatch):
    _run(monkeypatch, photos, tmp_path / "out", "--clips", 3)
    for clip in sorted((tmp_path / "out").iterdir()):
        frames = [cv2.imread(str(path)) for path in sorted(clip.iterdir())]
        assert len(frames) == railings.FRAMES
        assert all(frame.shape == (railings.HEIGHT, railings.WIDTH, 3) for frame in frames)
        grey = frames[0].mean(2)
        steep = [np.abs(np.diff(grey, axis=axis)).max() for axis in (0, 1)]
        assert max(steep) > 5  # the slope alone has less than one step a pixel


def test_the_seed_fixes_the_clips(photos):
    photo = cv2.imread(str(photos / "slope.png"))
    first, again, other = (railings.draw(photo, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_folder_without_photographs_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit):
        _run(monkeypatch, tmp_path / "empty", tmp_path / "out")
    assert "has no JPEG or PNG photographs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path, photos, monkeypatch, capsys):
    (tmp_path / "out").mkdir()
    with pytest.raises(SystemExit):
        _run(monkeypatch, photos, tmp_path / "out")
    assert "is there already" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())
