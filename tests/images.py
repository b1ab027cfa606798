"""Small image files for the tests: colours in blocks, profiles, EXIF, transparency and animations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, MODEL = 0x0112, 0x0110  # EXIF tags


def blocks(seed: int = 0, height: int = 24, width: int = 32) -> np.ndarray:
    """Random colours in blocks of 8x8, which JPEG stores nearly as they are."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height // 8, width // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)


def photograph(path: Path, orientation: int = 6) -> Path:
    """A picture with a colour profile, and EXIF data that turn it."""
    image = Image.fromarray(blocks())
    exif = image.getexif()
    exif[ORIENTATION], exif[MODEL] = orientation, "Camera"
    image.save(path, exif=exif, icc_profile=SRGB)
    return path


def transparent(path: Path) -> Path:
    """A picture whose left half is invisible, black there, and whose right half is one colour."""
    rgba = np.zeros((24, 32, 4), np.uint8)
    rgba[:, 16:] = (200, 100, 50, 255)
    Image.fromarray(rgba).save(path)
    return path


def animation(path: Path, durations: tuple[int, ...] = (40, 100, 250), *, loop: int = 1) -> Path:
    """An animation of that many milliseconds a picture; the format follows from the name."""
    images = [Image.fromarray(blocks(seed)) for seed in range(len(durations))]
    how = {"lossless": True} if path.suffix == ".webp" else {}
    images[0].save(path, save_all=True, append_images=images[1:], duration=list(durations), loop=loop, **how)
    return path
