"""Blocks to grid, in numpy; equal to ``cvsr_rasterise`` in ``native/field/field.c`` value by value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codecvsr.constants import CELL
from codecvsr.motion.grid import grid_shape
from codecvsr.motion.types import BlockField

_MAX_LENGTH = 4096.0  # pixels; H.264 annex A.3.1 limits vectors to 2048


def rasterise(vectors: npt.NDArray[np.void], height: int, width: int) -> BlockField:
    """See ``MotionOps.rasterise``."""
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
    dx[(abs(dx) > _MAX_LENGTH) | (abs(dy) > _MAX_LENGTH)] = np.nan
    dy[np.isnan(dx)] = np.nan
    shape = ((size_x // 8) * 4 + size_y // 8).astype(np.uint8)
    for i in range(len(vectors)):
        cells = (slice(y0[i], y1[i]), slice(x0[i], x1[i]))
        field = past if vectors["source"][i] < 0 else future
        field[0][cells] = dx[i]
        field[1][cells] = dy[i]
        partition[cells] = shape[i]
    return BlockField(past, future, partition)
