"""The grid of cells of 4x4 pixels: its size, and pictures and fields brought onto it and off it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.constants import CELL


def grid_shape(height: int, width: int) -> tuple[int, int]:
    """Returns rows and columns of cells of a picture of ``height`` x ``width`` pixels: (ceil(H/4), ceil(W/4))."""
    return -(-height // CELL), -(-width // CELL)


def pad_to_cells(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Returns (H, W) luma with its last row and column repeated up to whole cells."""
    height, width = luma.shape
    if height % CELL or width % CELL:
        luma = np.pad(luma, ((0, -height % CELL), (0, -width % CELL)), mode="edge")
    return luma


def to_pixels(field: npt.NDArray[np.float32], *, smooth: bool) -> npt.NDArray[np.float32]:
    """Returns a field (2, h, w) on cells as (2, 4h, 4w) on pixels.

    Args:
        field: on cells.
        smooth: bilinear between the centres of cells; otherwise the value of each cell is repeated.
    """
    if smooth:
        size = (field.shape[2] * CELL, field.shape[1] * CELL)
        return np.stack(
            [cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_LINEAR) for part in field]
        )
    return np.repeat(np.repeat(field, CELL, axis=1), CELL, axis=2)


def to_cells(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns the mean of each cell of a picture (4h, 4w): (h, w)."""
    size = (picture.shape[1] // CELL, picture.shape[0] // CELL)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)
