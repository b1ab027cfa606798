"""High-resolution clips for tests of benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from codecvsr.files import write_png

FRAMES, HEIGHT, WIDTH = 7, 144, 192


def write_clip(folder: Path, frames: np.ndarray, first: int = 0) -> Path:
    """Frames as ``00000000.png`` and so on."""
    for index, frame in enumerate(frames):
        write_png(folder / f"{first + index:08d}.png", frame)
    return folder
