"""Sampling pictures and fields on the cell grid: the few array operations the rest of ``motion`` is written in."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.motion.field import CELL

Array = npt.NDArray[np.float32]


def pad_to_cells(luma: npt.NDArray[np.uint8]) -> Array:
    """(H, W) luma as float32, its last row and column repeated up to whole cells."""
    height, width = luma.shape
    padded = np.pad(luma, ((0, -height % CELL), (0, -width % CELL)), mode="edge")
    return padded.astype(np.float32)


@lru_cache(maxsize=8)
def _pixel_grid(height: int, width: int) -> tuple[Array, Array]:
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return x, y


def to_pixels(field: Array, *, smooth: bool) -> Array:
    """(2, h, w) on cells -> (2, 4h, 4w) on pixels: each cell's value repeated, or bilinear between cell centres."""
    if smooth:
        size = (field.shape[2] * CELL, field.shape[1] * CELL)
        return np.stack(
            [cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_LINEAR) for part in field]
        )
    return np.repeat(np.repeat(field, CELL, axis=1), CELL, axis=2)


def to_cells(picture: Array) -> Array:
    """(4h, 4w) -> (h, w): the mean of each cell."""
    size = (picture.shape[1] // CELL, picture.shape[0] // CELL)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def warp(picture: Array, flow: Array) -> Array:
    """Backward warp: the value at p is ``picture(p + flow(p))``, bilinear, the border repeated.

    Args:
        picture: (H, W) or (H, W, C).
        flow: (2, H, W) in pixels, x then y.
    """
    x, y = _pixel_grid(*picture.shape[:2])
    sampled = cv2.remap(picture, x + flow[0], y + flow[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)


def matching_error(current: Array, other: Array, field: Array) -> Array:
    """(h, w): mean absolute difference, in luma steps, around each cell between a picture and another one warped onto it.

    The window is a cell widened by two pixels on each side; cells whose vector is NaN get infinity.
    """
    holes = np.isnan(field[0])
    flow = to_pixels(np.where(holes, np.float32(0), field), smooth=False)
    difference = np.abs(current - warp(other, flow))
    blurred = cv2.blur(difference, (5, 5), borderType=cv2.BORDER_REPLICATE)
    error = to_cells(np.asarray(blurred, np.float32))
    error[holes] = np.inf
    return error


def splat(field: Array, sign: float, priority: Array) -> Array:
    """Carry each cell's vector along itself to the frame it points at.

    Args:
        field: (2, h, w) in pixels, NaN where empty.
        sign: what the vector is multiplied with on arrival: -1 turns motion to the past into motion to the future.
        priority: (h, w), the matching error of each cell; where several arrive in one cell the smallest wins.

    Returns:
        (2, h, w), NaN where nothing arrives.
    """
    _, h, w = field.shape
    landed = np.full_like(field, np.nan)
    rows, columns = np.nonzero(~np.isnan(field[0]))
    order = np.argsort(-priority[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    dx, dy = field[0, rows, columns], field[1, rows, columns]
    to_x = np.rint(columns + dx / CELL).astype(np.int64)
    to_y = np.rint(rows + dy / CELL).astype(np.int64)
    inside = (to_x >= 0) & (to_x < w) & (to_y >= 0) & (to_y < h)
    landed[0, to_y[inside], to_x[inside]] = sign * dx[inside]
    landed[1, to_y[inside], to_x[inside]] = sign * dy[inside]
    return landed


def fill_holes(field: Array) -> Array:
    """(2, h, w): NaN cells take the mean of their known neighbours, ring by ring; all zero where nothing is known."""
    known = ~np.isnan(field[0])
    if not known.any():
        return np.zeros_like(field)
    values = np.where(known, field, np.float32(0)).transpose(1, 2, 0).copy()
    weight = known.astype(np.float32)
    for _ in range(max(field.shape[1:])):
        holes = weight == 0
        if not holes.any():
            break
        total = cv2.blur(weight, (3, 3), borderType=cv2.BORDER_CONSTANT)
        spread = cv2.blur(values, (3, 3), borderType=cv2.BORDER_CONSTANT)
        reached = holes & (total > 1e-6)
        values[reached] = spread[reached] / total[reached][:, None]
        weight[reached] = 1
    return np.ascontiguousarray(values.transpose(2, 0, 1))
