"""Tiles: a frame too large for memory is upscaled tile by tile, each with a margin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from codecvsr.errors import InputError

BLOCK = 16  #: tiles begin at macroblocks, so that vectors, QP and pixels are cut at the same place
MARGIN = 32  #: pixels around a tile that it sees and that are cut off again
MIN_TILE = 64

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Tile:
    """Part of a frame: rows and columns of the input, and those it contributes to the output."""

    rows: slice
    columns: slice
    keep_rows: slice
    keep_columns: slice

    def put(self, picture: Picture, into: Picture, scale: int) -> None:
        """Copy an upscaled tile (scale * h, scale * w, 3), without margins, to its place in the whole picture."""
        inside = (_inside(self.keep_rows, self.rows, scale), _inside(self.keep_columns, self.columns, scale))
        into[_scaled(self.keep_rows, scale), _scaled(self.keep_columns, scale)] = picture[inside]


def check_tile(side: int) -> None:
    """Check the side of tiles: smaller ones would be mostly margin.

    Raises:
        InputError: ``side`` is neither 0 nor at least 64.
    """
    if side and side < MIN_TILE:
        raise InputError(f"a tile of {side} pixels; at least {MIN_TILE} were expected, or 0 for whole frames.")


def split_frame(height: int, width: int, side: int) -> list[Tile]:
    """Cut a frame into tiles of about ``side`` pixels, of equal size as far as macroblocks allow; one tile for side 0."""
    return [
        Tile(_around(rows, height), _around(columns, width), rows, columns)
        for rows in _parts(height, side)
        for columns in _parts(width, side)
    ]


def assembled(
    tiles: Sequence[Tile], made: Sequence[Iterator[Picture]], size: tuple[int, int], scale: int
) -> list[Picture]:
    """Return the whole pictures (scale * H, scale * W, 3) of frames of ``size`` (H, W); reads the tiles one after the other."""
    whole: list[Picture] = []
    for number, (tile, pictures) in enumerate(zip(tiles, made, strict=True)):
        for index, picture in enumerate(pictures):
            if number == 0:
                whole.append(np.empty((scale * size[0], scale * size[1], 3), np.uint8))
            tile.put(picture, whole[index], scale)
    return whole


def _parts(length: int, side: int) -> list[slice]:
    count = -(-length // side) if side else 1
    bounds = [min(length, round(i * length / count / BLOCK) * BLOCK) for i in range(count)] + [length]
    return [slice(a, b) for a, b in pairwise(bounds) if a < b]


def _around(part: slice, length: int) -> slice:
    return slice(max(0, part.start - MARGIN), min(length, part.stop + MARGIN))


def _scaled(part: slice, scale: int) -> slice:
    return slice(scale * part.start, scale * part.stop)


def _inside(keep: slice, whole: slice, scale: int) -> slice:
    return slice(scale * (keep.start - whole.start), scale * (keep.stop - whole.start))
