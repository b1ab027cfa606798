"""Blocks to grid: the motion vectors of one frame painted onto cells of 4x4 pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codecvsr import native_libraries
from codecvsr.constants import CELL
from codecvsr.motion.ops import rasterise as native_rasterise

_LONGEST = 4096.0  # pixels; H.264 annex A.3.1 keeps vectors within 2048


def grid_shape(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of cells of a picture of ``height`` x ``width`` pixels: (ceil(H/4), ceil(W/4))."""
    return -(-height // CELL), -(-width // CELL)


@dataclass(frozen=True)
class BlockField:
    """The raw vectors of one frame on the cell grid, in pixels, NaN where a cell has none.

    Attributes:
        past: (2, h, w) float32, x then y: displacement to the list 0 reference.
        future: (2, h, w) float32: displacement to the list 1 reference.
        partition: (h, w) uint8, the shape of the block that painted the cell, ``(w // 8) * 4 + h // 8``: 5 for 8x8, 6 for
            8x16, 9 for 16x8, 10 for 16x16 (width x height), 0 where there is no vector (intra).
    """

    past: npt.NDArray[np.float32]
    future: npt.NDArray[np.float32]
    partition: npt.NDArray[np.uint8]


def rasterise_numpy(vectors: npt.NDArray[np.void], height: int, width: int) -> BlockField:
    """Paint ``vectors`` (``bitstream.frames.VECTOR_DTYPE``) onto the cells their blocks cover.

    ``dst_x, dst_y`` is the centre of a block, so a block covers ``dst - size / 2`` to ``dst + size / 2``; parts outside the
    picture are dropped. Where two vectors of one list cover a cell the later one in the list stays. Of vectors longer than
    any stream may hold there is none: those of a damaged one could match by chance. This is the readable reference of
    ``cvsr_rasterise`` in ``native/field/field.c``, equal value by value.
    """
    h, w = grid_shape(height, width)
    past = np.full((2, h, w), np.nan, np.float32)
    future = past.copy()
    partition = np.zeros((h, w), np.uint8)
    size_x, size_y = vectors["w"].astype(np.int32), vectors["h"].astype(np.int32)
    x0 = np.clip((vectors["dst_x"] - size_x // 2) // CELL, 0, w)
    y0 = np.clip((vectors["dst_y"] - size_y // 2) // CELL, 0, h)
    x1 = np.clip((vectors["dst_x"] + size_x // 2) // CELL, 0, w)
    y1 = np.clip((vectors["dst_y"] + size_y // 2) // CELL, 0, h)
    scale = np.maximum(vectors["motion_scale"], 1).astype(np.float32)
    dx = vectors["motion_x"].astype(np.float32) / scale
    dy = vectors["motion_y"].astype(np.float32) / scale
    dx[(abs(dx) > _LONGEST) | (abs(dy) > _LONGEST)] = np.nan
    dy[np.isnan(dx)] = np.nan
    shape = ((size_x // 8) * 4 + size_y // 8).astype(np.uint8)
    for i in range(len(vectors)):
        cells = (slice(y0[i], y1[i]), slice(x0[i], x1[i]))
        field = past if vectors["source"][i] < 0 else future
        field[0][cells] = dx[i]
        field[1][cells] = dy[i]
        partition[cells] = shape[i]
    return BlockField(past, future, partition)


def rasterise(vectors: npt.NDArray[np.void], height: int, width: int) -> BlockField:
    """:func:`rasterise_numpy`, done by the native library where it was built."""
    library = native_libraries.field_library()
    if library is None:
        return rasterise_numpy(vectors, height, width)
    past, future, partition = native_rasterise.rasterise(library, vectors, height, width)
    return BlockField(past, future, partition)


def painted_from_corner(field: npt.NDArray[np.float32], partition: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Vectors as the seed project paints them: the centre of a block taken for its upper left corner.

    Every value moves down and right by half its block; what nothing lands on is zero.

    Args:
        field: (T, 2, h, w), painted right, NaN where there is none.
        partition: (T, h, w), see :class:`BlockField`.
    """
    moved = np.zeros_like(field)
    frame, row, column = np.nonzero(~np.isnan(field[:, 0]))
    shape = partition[frame, row, column]
    to_row, to_column = row + shape % 4, column + shape // 4  # half of 8 pixels is one cell, half of 16 two
    inside = (to_row < field.shape[2]) & (to_column < field.shape[3])
    frame, row, column, to_row, to_column = (i[inside] for i in (frame, row, column, to_row, to_column))
    moved[frame, :, to_row, to_column] = field[frame, :, row, column]
    return moved
