"""Blocks to grid: the motion vectors of one frame on cells of 4x4 pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codecvsr.motion import ops
from codecvsr.motion.types import BlockField


def rasterise(vectors: npt.NDArray[np.void], height: int, width: int) -> BlockField:
    """Returns the vectors of a frame of ``height`` x ``width`` pixels on the cells that their blocks cover.

    ``vectors``: (n,) array of ``bitstream.frame.VECTOR_DTYPE``. See ``MotionOps.rasterise``.
    """
    return ops.table().rasterise(vectors, height, width)


def painted_from_corner(field: npt.NDArray[np.float32], partition: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Returns vectors as the seed project paints them: with the centre of a block mistaken for its upper left corner.

    Every value moves down and right by the distance from corner to centre; where nothing lands the value is zero.

    Args:
        field: (T, 2, h, w), painted correctly, NaN where there is none.
        partition: (T, h, w), see :class:`codecvsr.motion.types.BlockField`.
    """
    moved = np.zeros_like(field)
    frame, row, column = np.nonzero(~np.isnan(field[:, 0]))
    shape = partition[frame, row, column]
    to_row, to_column = row + shape % 4, column + shape // 4  # 8 pixels: one cell; 16 pixels: two cells
    inside = (to_row < field.shape[2]) & (to_column < field.shape[3])
    frame, row, column, to_row, to_column = (i[inside] for i in (frame, row, column, to_row, to_column))
    moved[frame, :, to_row, to_column] = field[frame, :, row, column]
    return moved
