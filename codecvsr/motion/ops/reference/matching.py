"""How well one picture matches another one warped onto it, in numpy and in integers throughout."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codecvsr.constants import CELL
from codecvsr.motion.ops.records import MAX_MATCHED, SIXTEENTHS
from codecvsr.motion.types import Array, Luma, Sums


def matching_error(current: Luma, other: Luma, field: Array) -> Array:
    """See ``MotionOps.matching_error``."""
    holes = np.asarray(~np.isfinite(field).all(axis=0))
    sums = sums_of_cells(current, other, field)
    weighted = _filter_141(_filter_141(sums, holes, 1), holes, 0)
    error = weighted.astype(np.float32) * np.float32(1 / (36 * 4 * CELL * CELL))
    return np.where(holes, np.float32(np.inf), error)


def sums_of_cells(current: Luma, other: Luma, field: Array) -> Sums:
    """Returns the sum of absolute differences of each cell, (h, w), in quarters of a luma step."""
    return cell_differences(current, other, to_sixteenths(field).repeat(CELL, axis=1).repeat(CELL, axis=2))


def to_sixteenths(field: Array) -> npt.NDArray[np.int32]:
    """Returns vectors (2, h, w) rounded to sixteenths of a pixel; 0 where they are not finite."""
    known = np.where(np.isfinite(field).all(axis=0), field, np.float32(0))
    with np.errstate(over="ignore"):
        return np.rint(np.clip(known * np.float32(SIXTEENTHS), -MAX_MATCHED, MAX_MATCHED)).astype(np.int32)


def cell_differences(current: Luma, other: Luma, offsets: npt.NDArray[np.int32]) -> Sums:
    """Returns the sum of absolute differences of each cell, (h, w), in quarters of a luma step.

    ``offsets``: (2, 4h, 4w), for each pixel where in ``other`` its counterpart is, bilinear, in sixteenths of a pixel.
    """
    height, width = current.shape
    offset_x, offset_y = offsets
    x, y = np.arange(width) + (offset_x >> 4), np.arange(height)[:, None] + (offset_y >> 4)
    part_x, part_y = offset_x & 15, offset_y & 15
    lines = []
    for line in (y, y + 1):
        left, right = (other[line.clip(0, height - 1), at.clip(0, width - 1)].astype(np.int32) for at in (x, x + 1))
        lines.append(left * (SIXTEENTHS - part_x) + right * part_x)
    mixed = (lines[0] * (SIXTEENTHS - part_y) + lines[1] * part_y + 32) >> 6
    difference = abs(4 * current.astype(np.int32) - mixed)
    return difference.reshape(height // CELL, CELL, width // CELL, CELL).sum(axis=(1, 3), dtype=np.int32)


def _filter_141(sums: npt.NDArray[np.int32], holes: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.int32]:
    """Returns sums weighted 1 4 1 along an axis; a hole, or a cell outside, counts like the cell in the middle."""
    border = [(1, 1) if k == axis else (0, 0) for k in range(2)]
    around, nothing = np.pad(sums, border), np.pad(holes, border, constant_values=True)
    total = 4 * sums
    for begin in (0, 2):
        side = tuple(slice(begin, begin + sums.shape[k]) if k == axis else slice(None) for k in range(2))
        total = total + np.where(nothing[side], sums, around[side])
    return total
