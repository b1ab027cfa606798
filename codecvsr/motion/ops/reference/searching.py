"""Block search in the neighbouring picture, in numpy and in integers throughout.

Coarse to fine: on means of cells, shrunk until the picture is small; then cell by cell of each larger picture; then pixel by
pixel; then with the vectors of the neighbours. As a field is bilinear between cells, a vector found must also match where it
is mixed with those around it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from codecvsr.constants import CELL
from codecvsr.motion.ops.records import MAX_MATCHED, SIXTEENTHS
from codecvsr.motion.ops.reference.matching import cell_differences, matching_error, to_sixteenths
from codecvsr.motion.types import Array, Luma, Sums

Numbers = npt.NDArray[np.int32]
Cells = Sequence[npt.NDArray[np.intp]]  # rows and columns

_RADIUS = 8  # samples on each side of the full search, in the smallest picture
_MAX_SAMPLES = 96  # a picture is shrunk until it is at most so high or wide
_STEP_COST = 3  # added per sample of distance to a sum of 9 samples, so that flat areas do not wander
_FINE_STEPS = (2, 1)  # pixels
_MIN_SLOPES = np.float32(0.5 / (3 * CELL * (3 * CELL - 1)))  # per sum of slopes: an error below may be texture
_ROUNDS = 3  # of validation among the vectors around
_MIX = np.array([[3, 5, 0], [1, 7, 0], [0, 7, 1], [0, 5, 3]], np.int32)  # weights of three cells per pixel, in eighths


def search(
    current: Luma,
    other: Luma,
    field: Array,
    error: Array,
    bad_error: float,
    max_ratio: float,
    sums: Sums | None = None,
) -> tuple[Array, Array, int]:
    """See ``MotionOps.search``; all vectors are matched again, whether ``sums`` are known or not."""
    is_bad = np.asarray(error > np.float32(bad_error))
    bad = is_bad.nonzero()
    is_bad[bad] = error[bad] > _slopes(current, bad).astype(np.float32) * _MIN_SLOPES
    bad = is_bad.nonzero()
    if not len(bad[0]):
        return field, error, 0
    vectors = _coarse_search(_cell_sums(current), _cell_sums(other), bad) * CELL
    corner = [CELL * (index - 1) for index in bad]
    for length in _FINE_STEPS:
        steps = [(0, 0)] + [(x, y) for y in (-length, 0, length) for x in (-length, 0, length) if x or y]
        vectors, least = _best_step(current, other, corner, 3 * CELL, vectors, steps, 0)
    vectors, least = _try_neighbours(current, other, is_bad, corner, vectors, least)
    is_near = abs(vectors).max(axis=1) <= MAX_MATCHED // SIXTEENTHS
    accepted = np.zeros_like(is_bad)
    accepted[bad] = is_near & (least < error[bad] * (np.float32(max_ratio) * np.float32((3 * CELL) ** 2)))

    keys = to_sixteenths(field)
    found = np.zeros_like(keys)
    found[:, bad[0], bad[1]] = SIXTEENTHS * vectors.T
    before = _sum_3x3(_mixed_differences(current, other, keys))
    for _ in range(_ROUNDS):
        after = _sum_3x3(_mixed_differences(current, other, np.where(accepted, found, keys)))
        accepted &= after.astype(np.float32) < before.astype(np.float32) * np.float32(max_ratio)
    if not accepted.any():
        return field, error, 0
    field = np.where(accepted, found.astype(np.float32) / SIXTEENTHS, field)
    return field, matching_error(current, other, field), int(accepted.sum())


def _squares(picture: npt.NDArray[np.integer], corner: Sequence[npt.NDArray[np.intp]], side: int) -> Numbers:
    """Returns squares (n, side, side) of a picture from the rows and columns of their upper left samples, border repeated."""
    height, width = picture.shape
    rows, columns = (at[:, None, None] for at in corner)
    span = np.arange(side)
    return picture[(rows + span[:, None]).clip(0, height - 1), (columns + span).clip(0, width - 1)].astype(np.int32)


def _slopes(luma: Luma, at: Cells) -> Numbers:
    """Returns (n,) sums of the absolute differences of adjacent pixels in the 12x12 pixels in and around cells."""
    squares = _squares(luma, [CELL * (index - 1) for index in at], 3 * CELL)
    along, down = (abs(np.diff(squares, axis=axis)).sum(axis=(1, 2), dtype=np.int32) for axis in (2, 1))
    return along + down


def _cell_sums(luma: Luma) -> Numbers:
    rows, columns = luma.shape[0] // CELL, luma.shape[1] // CELL
    return luma.reshape(rows, CELL, columns, CELL).sum(axis=(1, 3), dtype=np.int32)


def _shrink(samples: Numbers) -> Numbers:
    """Returns the means of 2x2 samples, the last row and column repeated where their number is odd."""
    padded = np.pad(samples, [(0, size % 2) for size in samples.shape], mode="edge")
    rows, columns = padded.shape[0] // 2, padded.shape[1] // 2
    return padded.reshape(rows, 2, columns, 2).sum(axis=(1, 3), dtype=np.int32) >> 2


def _coarse_search(current: Numbers, other: Numbers, at: Cells) -> Numbers:
    """Returns vectors (n, 2) in samples: from the shrunk picture where this one is large, then one sample around."""
    if min(current.shape) > _MAX_SAMPLES:
        start = 2 * _coarse_search(_shrink(current), _shrink(other), (at[0] >> 1, at[1] >> 1))
        radius, step_cost = 1, 0
    else:
        start, radius, step_cost = np.zeros((len(at[0]), 2), np.int32), _RADIUS, _STEP_COST
    steps = [(x, y) for y in range(-radius, radius + 1) for x in range(-radius, radius + 1)]
    return _best_step(current, other, [at[0] - 1, at[1] - 1], 3, start, steps, step_cost)[0]


def _best_step(
    current: npt.NDArray[np.integer],
    other: npt.NDArray[np.integer],
    corner: Sequence[npt.NDArray[np.intp]],
    side: int,
    start: Numbers,
    steps: Sequence[tuple[int, int]],
    step_cost: int,
) -> tuple[Numbers, Numbers]:
    """Finds squares of a picture in another one, the borders of both repeated.

    Args:
        current: the picture.
        other: the one that is searched.
        corner: rows and columns of the upper left samples of the squares.
        side: of the squares.
        start: (n, 2) vectors to begin with, x and y.
        steps: x and y added to them in turn; of equal sums the first wins.
        step_cost: added to a sum per sample of a step.

    Returns:
        (n, 2) the best vectors, and (n,) sums of absolute differences and costs.
    """
    squares = _squares(current, corner, side)
    least = np.full(len(start), np.iinfo(np.int32).max, np.int32)
    best = start
    for step in steps:
        vectors = start + np.array(step, np.int32)
        matched = _squares(other, [corner[0] + vectors[:, 1], corner[1] + vectors[:, 0]], side)
        cost = np.int32(step_cost * (abs(step[0]) + abs(step[1])))
        sums = abs(squares - matched).sum(axis=(1, 2), dtype=np.int32) + cost
        is_less = sums < least
        least, best = np.where(is_less, sums, least), np.where(is_less[:, None], vectors, best)
    return best, least


def _try_neighbours(
    current: Luma,
    other: Luma,
    is_bad: npt.NDArray[np.bool_],
    corner: Sequence[npt.NDArray[np.intp]],
    vectors: Numbers,
    sums: Numbers,
) -> tuple[Numbers, Numbers]:
    """Replaces the vector of a cell by that of the cell above, left, right or below where that matches better."""
    index = np.full([side + 2 for side in is_bad.shape], -1)
    index[1:-1, 1:-1][is_bad] = np.arange(len(vectors))
    rows, columns = is_bad.nonzero()
    best, least = vectors, sums
    for y, x in ((-1, 0), (0, -1), (0, 1), (1, 0)):
        near = index[rows + 1 + y, columns + 1 + x]
        theirs = np.where(near[:, None] < 0, vectors, vectors[near])
        _, their_sums = _best_step(current, other, corner, 3 * CELL, theirs, [(0, 0)], 0)
        is_less = their_sums < least
        least, best = np.where(is_less, their_sums, least), np.where(is_less[:, None], theirs, best)
    return best, least


def _sum_3x3(sums: Numbers) -> Numbers:
    """Returns the sum of the 3x3 cells around each cell, the border repeated."""
    padded = np.pad(sums, 1, mode="edge")
    parts = [padded[y : y + len(sums), x : x + sums.shape[1]] for y in range(3) for x in range(3)]
    return np.asarray(np.sum(parts, axis=0, dtype=np.int32))


def _mixed_differences(current: Luma, other: Luma, keys: Numbers) -> Numbers:
    """Returns the differences of cells (h, w), in quarters of a luma step, with vectors bilinear between cells.

    ``keys``: vectors (2, h, w) in sixteenths of a pixel.
    """
    rows, columns = keys.shape[1:]
    padded = np.pad(keys, [(0, 0), (1, 1), (1, 1)], mode="edge")
    down = np.zeros((2, rows, CELL, columns + 2), np.int32)
    along = np.zeros((2, rows * CELL, columns, CELL), np.int32)
    for k in range(3):
        down += padded[:, k : k + rows, None] * _MIX[:, k, None]
    lines = down.reshape(2, rows * CELL, columns + 2)
    for k in range(3):
        along += lines[..., k : k + columns, None] * _MIX[:, k]
    return cell_differences(current, other, (along.reshape(2, rows * CELL, columns * CELL) + 32) >> 6)
