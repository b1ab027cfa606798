"""The library's front door: what README's Python section shows works, and importing it is quick."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import codecvsr
from tests.streams import encode, moving_texture


def test_importing_loads_nothing_heavy() -> None:
    check = "import sys, codecvsr; sys.exit(bool({'torch', 'av', 'cv2', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="upscayl"):
        _ = codecvsr.upscayl


def test_the_way_from_a_file_to_pictures(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", moving_texture(5, 48, 64, 2, 1))
    frames = list(codecvsr.read_video(clip))
    assert [frame.index for frame in frames] == list(range(5))
    assert frames[0].rgb.shape == (48, 64, 3)
    motion = codecvsr.motion_fields(clip)
    assert motion.to_prev.shape == motion.to_next.shape == (5, 2, 12, 16)
    report = codecvsr.infer(clip, tmp_path / "sr", model="codecvsr:random")
    assert report.frames == len(list((tmp_path / "sr").glob("*.png"))) == 5
    assert codecvsr.load_model("bicubic").parameters == 0


def test_metrics() -> None:
    picture = np.full((16, 16, 3), 100, np.uint8)
    assert codecvsr.psnr(picture, picture + 1) == pytest.approx(48.1308, abs=1e-4)
    assert codecvsr.ssim(picture, picture) == pytest.approx(1)
