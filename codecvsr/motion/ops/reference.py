"""Sampling pictures and fields on the cell grid: the few array operations the rest of ``motion`` is written in.

``NAME_numpy`` is the readable reference of ``NAME``, which the native library does where it was built.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.constants import CELL
from codecvsr.motion.ops import native
from codecvsr.native_libraries import field_library

Array = native.Array
Luma = native.Luma

MAXIMUM = 1048576.0  # pixels; vectors are cut to it, beyond there is only border
SIXTEENTHS = 16  #: of a pixel: where pictures are matched, vectors count to the nearest
LONGEST_MATCHED = 32767  #: sixteenths; H.264 has no longer vectors


def pad_to_cells(luma: Luma) -> Luma:
    """(H, W) luma with its last row and column repeated up to whole cells."""
    height, width = luma.shape
    if height % CELL or width % CELL:
        luma = np.pad(luma, ((0, -height % CELL), (0, -width % CELL)), mode="edge")
    return luma


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


def warp_numpy(picture: Array, flow: Array) -> Array:
    """Backward warp: the value at p is ``picture(p + flow(p))``, bilinear at the exact position, the border repeated.

    Args:
        picture: (H, W) or (H, W, C).
        flow: (2, H, W) in pixels, x then y.
    """
    flow = np.clip(np.where(np.isnan(flow), np.float32(0), flow), -MAXIMUM, MAXIMUM)
    whole = np.floor(flow)
    part = flow - whole  # mixed here: OpenCV's own bilinear sampling rounds positions in some versions
    if picture.ndim == 3:
        part = part[..., None]
    x = whole[0] + np.arange(picture.shape[1], dtype=np.float32)
    y = whole[1] + np.arange(picture.shape[0], dtype=np.float32)[:, None]
    lines = []
    for line in (y, y + 1):
        left, right = (
            cv2.remap(picture, column, line, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            for column in (x, x + 1)
        )
        lines.append(left + (right - left) * part[0])
    return np.asarray(lines[0] + (lines[1] - lines[0]) * part[1], np.float32)


def warp(picture: Array, flow: Array) -> Array:
    """:func:`warp_numpy` of one plane (H, W), done by the native library where it was built."""
    library = field_library()
    return warp_numpy(picture, flow) if library is None else native.warp(library, picture, flow)


@lru_cache(maxsize=64)
def gaussian_taps(sigma: float) -> Array:
    """Half of a normalised Gaussian filter, from its middle to three sigmas, at most ``native.MOST_RADIUS`` samples.

    Not to be written to: it is kept.
    """
    radius = min(max(round(3 * sigma), 1), native.MAX_RADIUS)
    taps = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    taps = (taps / (2 * taps.sum() - taps[0])).astype(np.float32)
    taps.flags.writeable = False
    return taps


def blur_numpy(picture: Array, taps: Array) -> Array:
    """A symmetric filter down and along a picture (H, W), the border repeated; ``taps`` from its middle outwards."""
    whole = np.concatenate([taps[:0:-1], taps])
    return np.asarray(cv2.sepFilter2D(picture, -1, whole, whole, borderType=cv2.BORDER_REPLICATE), np.float32)


def matching_error_numpy(current: Luma, other: Luma, field: Array) -> Array:
    """(h, w): mean absolute difference, in luma steps, around each cell between a picture and another one warped onto it.

    Worked out in whole numbers: vectors count to a sixteenth, differences to a quarter of a luma step. The mean over a cell
    is weighed with those of the cells around, 1 4 1 along and down; neighbours that do not exist or have no finite vector
    count like the cell itself. Cells whose own vector is not finite get infinity.
    """
    holes = np.asarray(~np.isfinite(field).all(axis=0))
    vectors = to_sixteenths(field)
    sums = differences_numpy(current, other, vectors.repeat(CELL, axis=1).repeat(CELL, axis=2))
    weighed = _weigh(_weigh(sums, holes, 1), holes, 0)
    error = weighed.astype(np.float32) * np.float32(1 / (36 * 4 * CELL * CELL))
    return np.where(holes, np.float32(np.inf), error)


def to_sixteenths(field: Array) -> npt.NDArray[np.int32]:
    """Vectors as they are matched, in sixteenths of a pixel; 0 where they are not finite."""
    known = np.where(np.isfinite(field).all(axis=0), field, np.float32(0))
    with np.errstate(over="ignore"):
        return np.rint(np.clip(known * np.float32(SIXTEENTHS), -LONGEST_MATCHED, LONGEST_MATCHED)).astype(np.int32)


def differences_numpy(current: Luma, other: Luma, moves: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """(h, w): the sum over each cell of what a picture differs by from another one, in quarters of a luma step.

    ``moves``: (2, 4h, 4w) where in the other picture each pixel is taken from, bilinear, in sixteenths of a pixel.
    """
    height, width = current.shape
    move_x, move_y = moves
    x, y = np.arange(width) + (move_x >> 4), np.arange(height)[:, None] + (move_y >> 4)
    part_x, part_y = move_x & 15, move_y & 15
    lines = []
    for line in (y, y + 1):
        left, right = (other[line.clip(0, height - 1), at.clip(0, width - 1)].astype(np.int32) for at in (x, x + 1))
        lines.append(left * (SIXTEENTHS - part_x) + right * part_x)
    mixed = (lines[0] * (SIXTEENTHS - part_y) + lines[1] * part_y + 32) >> 6
    apart = abs(4 * current.astype(np.int32) - mixed)
    return apart.reshape(height // CELL, CELL, width // CELL, CELL).sum(axis=(1, 3), dtype=np.int32)


def _weigh(sums: npt.NDArray[np.int32], holes: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.int32]:
    """1 4 1 along an axis; a hole or what lies outside counts like the cell in the middle."""
    border = [(1, 1) if k == axis else (0, 0) for k in range(2)]
    around, nothing = np.pad(sums, border), np.pad(holes, border, constant_values=True)
    total = 4 * sums
    for begin in (0, 2):
        side = tuple(slice(begin, begin + sums.shape[k]) if k == axis else slice(None) for k in range(2))
        total = total + np.where(nothing[side], sums, around[side])
    return total


def matching_error(current: Luma, other: Luma, field: Array) -> Array:
    """:func:`matching_error_numpy`, done by the native library where it was built."""
    library = field_library()
    if library is None:
        return matching_error_numpy(current, other, field)
    return native.matching_error(library, current, other, field)


def splat_numpy(field: Array, sign: float, priority: Array) -> Array:
    """Carry each cell's vector along itself to the frame it points at.

    Args:
        field: (2, h, w) in pixels, NaN where empty.
        sign: what the vector is multiplied with on arrival: -1 turns motion to the past into motion to the future.
        priority: (h, w), the matching error of each cell; where several arrive in one cell the smallest wins, and of
            equal ones the last.

    Returns:
        (2, h, w), NaN where nothing arrives.
    """
    _, h, w = field.shape
    landed = np.full_like(field, np.nan)
    rows, columns = np.nonzero(np.isfinite(field).all(axis=0))
    order = np.argsort(-np.nan_to_num(priority[rows, columns], nan=np.inf), kind="stable")
    rows, columns = rows[order], columns[order]
    dx, dy = field[0, rows, columns], field[1, rows, columns]
    to_x = np.rint(columns.astype(np.float32) + dx / np.float32(CELL))
    to_y = np.rint(rows.astype(np.float32) + dy / np.float32(CELL))
    inside = (to_x >= 0) & (to_x < w) & (to_y >= 0) & (to_y < h)
    target = to_y[inside].astype(np.int64), to_x[inside].astype(np.int64)
    landed[0][target] = np.float32(sign) * dx[inside]
    landed[1][target] = np.float32(sign) * dy[inside]
    return landed


def splat(field: Array, sign: float, priority: Array) -> Array:
    """:func:`splat_numpy`, done by the native library where it was built."""
    library = field_library()
    return splat_numpy(field, sign, priority) if library is None else native.splat(library, field, sign, priority)


def fill_holes_numpy(field: Array) -> Array:
    """(2, h, w): empty cells take the mean of their known neighbours, ring by ring; all zero where nothing is known."""
    known = np.asarray(np.isfinite(field).all(axis=0))
    if not known.any():
        return np.zeros_like(field)
    values: Array = np.where(known, field, np.float32(0)).transpose(1, 2, 0).copy()
    weight = known.astype(np.float32)
    while (holes := weight == 0).any():
        total = cv2.blur(weight, (3, 3), borderType=cv2.BORDER_CONSTANT)
        spread = cv2.blur(values, (3, 3), borderType=cv2.BORDER_CONSTANT)
        reached = holes & (total > 1e-6)
        values[reached] = spread[reached] / total[reached][:, None]
        weight[reached] = 1
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def fill_holes(field: Array) -> Array:
    """:func:`fill_holes_numpy`, done by the native library where it was built."""
    library = field_library()
    return fill_holes_numpy(field) if library is None else native.fill_holes(library, field)
