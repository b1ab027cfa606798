"""A soft scene, and faults planted at a known place of it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
HEIGHT, WIDTH = 192, 256


def soft_scene(shift: int = 0) -> Rgb:
    """Flat on the left, fine texture on the right, a bright bar between them, as soft as a picture from a lens."""
    rng = np.random.default_rng(3)
    picture = np.full((HEIGHT, WIDTH), 90.0)
    picture += np.linspace(0, 12, HEIGHT)[:, None] + shift
    picture[:, 150:] += cv2.GaussianBlur(rng.normal(0, 60, (HEIGHT, WIDTH - 150)), (0, 0), 1.5)
    picture[:, 140:150] = 230
    picture = cv2.GaussianBlur(picture, (0, 0), 1.0)
    return np.repeat(np.rint(picture).clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def _added(scene: Rgb, pattern: npt.NDArray[np.floating]) -> Rgb:
    return np.rint(scene + pattern).clip(0, 255).astype(np.uint8)


def _grain(scene: Rgb) -> tuple[Rgb, tuple[int, int]]:
    pattern = np.zeros(scene.shape)
    pattern[100:124, 40:72] = np.random.default_rng(1).normal(0, 5, (24, 32, 1))
    return _added(scene, pattern), (56, 112)


def _rows(scene: Rgb) -> tuple[Rgb, tuple[int, int]]:
    pattern = np.zeros(scene.shape)
    pattern[120:150:6, 16:80] = 5
    return _added(scene, pattern), (48, 132)


def _columns(scene: Rgb) -> tuple[Rgb, tuple[int, int]]:
    pattern = np.zeros(scene.shape)
    pattern[32:80, 60:100:6] = 5
    return _added(scene, pattern), (78, 56)


def _dots(scene: Rgb) -> tuple[Rgb, tuple[int, int]]:
    pattern = np.zeros(scene.shape)
    pattern[96:128:4, 148:152] = 60
    return _added(scene, pattern), (150, 112)


def _specks(scene: Rgb) -> tuple[Rgb, tuple[int, int]]:
    pattern = np.zeros(scene.shape)
    ys, xs = np.random.default_rng(2).integers((24, 190), (48, 220), (20, 2)).T
    pattern[ys, xs] = (-60, 24, 20)  # cyan, of nearly the same luma
    return _added(scene, pattern), (205, 36)


def _tint(scene: Rgb) -> tuple[Rgb, tuple[int, int]]:
    pattern = np.zeros(scene.shape)
    pattern[64:128, 160:224] = (12, 0, -12)
    return _added(scene, cv2.GaussianBlur(pattern, (0, 0), 8)), (192, 96)


#: By measure: plants its fault in a scene; returns the picture, and x and y of the fault's middle.
PLANTED: dict[str, Callable[[Rgb], tuple[Rgb, tuple[int, int]]]] = {
    "invented_detail": _grain,
    "row_lines": _rows,
    "column_lines": _columns,
    "lattice": _dots,
    "chroma_specks": _specks,
    "colour_shift": _tint,
}
