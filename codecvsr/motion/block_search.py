"""Cells looked for in the neighbouring picture where no vector of the stream leads to them.

What moves by many pixels and turns as it does, a wing or a hand, costs an encoder as much with vectors as without: it gives up
and codes such blocks anew. Cells whose best candidate matches badly are looked for here, first on means of cells, then
pixel by pixel. As a field is bilinear between cells, what is found has to hold where it is mixed with the vectors around it,
too; where it does not, it is dropped again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from codecvsr.constants import CELL
from codecvsr.motion.ops import native
from codecvsr.motion.ops.reference import (
    LONGEST_MATCHED,
    SIXTEENTHS,
    Array,
    Luma,
    differences_numpy,
    matching_error,
    to_sixteenths,
)
from codecvsr.motion.refine import by_qp
from codecvsr.native_libraries import field_library

Numbers = npt.NDArray[np.int32]
Cells = Sequence[npt.NDArray[np.intp]]  # rows and columns

BAD_ERROR = 3.0  #: luma steps: cells that match worse are looked for
_RADIUS = 8  # samples to each side, where they are searched in all directions
_MAX_SAMPLES = 96  # that a picture is high or wide at least once it is shrunk for that
_PER_STEP = 3  # of a sum of 9 cells: a sample farther must be better by so much, lest flat areas wander
_FINE_STEPS = (2, 1)  # pixels
_MIN_SLOPES = np.float32(0.5 / (3 * CELL * (3 * CELL - 1)))  # times those of the picture: less may be texture
_BETTER = (0.8, 0.65)  # part of what was there that is left at most, at fine and at coarse quantisers
_ROUNDS = 3  # in which what does not hold is dropped
_MIXED = np.array([[3, 5, 0], [1, 7, 0], [0, 7, 1], [0, 5, 3]], np.int32)  # eighths of the cells around, by pixel


def search_numpy(
    current: Luma, other: Luma, field: Array, error: Array, bad_error: float, better: float
) -> tuple[Array, int]:
    """Vectors found in ``other`` for cells whose ``error`` (h, w) is above ``bad_error``, in whole pixels.

    What is found must differ by less than the part ``better`` of what was there.

    Returns:
        The field (2, h, w), and how many of its vectors were found here.
    """
    is_bad = np.asarray(error > np.float32(bad_error))
    bad = is_bad.nonzero()
    is_bad[bad] = error[bad] > _slopes(current, bad).astype(np.float32) * _MIN_SLOPES
    bad = is_bad.nonzero()
    if not len(bad[0]):
        return field, 0
    vectors = _coarse_search(_sums_of_cells(current), _sums_of_cells(other), bad) * CELL
    corner = [CELL * (index - 1) for index in bad]
    for length in _FINE_STEPS:
        steps = [(0, 0)] + [(x, y) for y in (-length, 0, length) for x in (-length, 0, length) if x or y]
        vectors, sums = _best_step(current, other, corner, 3 * CELL, vectors, steps, 0)
    vectors, sums = _try_neighbours(current, other, is_bad, corner, vectors, sums)
    is_near = abs(vectors).max(axis=1) <= LONGEST_MATCHED // SIXTEENTHS
    takes = np.zeros_like(is_bad)
    takes[bad] = is_near & (sums < error[bad] * (np.float32(better) * np.float32((3 * CELL) ** 2)))

    keys = to_sixteenths(field)
    found = np.zeros_like(keys)
    found[:, bad[0], bad[1]] = SIXTEENTHS * vectors.T
    before = _around(_mixed_differences(current, other, keys))
    for _ in range(_ROUNDS):
        after = _around(_mixed_differences(current, other, np.where(takes, found, keys)))
        takes &= after.astype(np.float32) < before.astype(np.float32) * np.float32(better)
    return np.where(takes, found.astype(np.float32) / SIXTEENTHS, field), int(takes.sum())


def search(current: Luma, other: Luma, field: Array, error: Array, qp: float) -> tuple[Array, Array]:
    """:func:`search_numpy`, done by the native library where it was built: the field and its matching errors.

    ``qp``: mean luma quantiser of the frame; where it is coarse, what blocks look like says less.
    """
    library, better = field_library(), by_qp(_BETTER, qp)
    if library is None:
        found, count = search_numpy(current, other, field, error, BAD_ERROR, better)
    else:
        found, count = native.search(library, current, other, field, error, BAD_ERROR, better)
    return (found, matching_error(current, other, found)) if count else (field, error)


def _square(picture: npt.NDArray[np.integer], corner: Sequence[npt.NDArray[np.intp]], side: int) -> Numbers:
    """(n, side, side): parts of a picture whose upper left samples are given as rows and columns, the border repeated."""
    height, width = picture.shape
    rows, columns = (at[:, None, None] for at in corner)
    span = np.arange(side)
    return picture[(rows + span[:, None]).clip(0, height - 1), (columns + span).clip(0, width - 1)].astype(np.int32)


def _slopes(luma: Luma, at: Cells) -> Numbers:
    """(n,): sums of the absolute differences of neighbouring pixels, along and down, in and around cells."""
    square = _square(luma, [CELL * (index - 1) for index in at], 3 * CELL)
    along, down = (abs(np.diff(square, axis=axis)).sum(axis=(1, 2), dtype=np.int32) for axis in (2, 1))
    return along + down


def _sums_of_cells(luma: Luma) -> Numbers:
    rows, columns = luma.shape[0] // CELL, luma.shape[1] // CELL
    return luma.reshape(rows, CELL, columns, CELL).sum(axis=(1, 3), dtype=np.int32)


def _halved(samples: Numbers) -> Numbers:
    """The means of 2x2 samples, the last row and column repeated where they are odd."""
    padded = np.pad(samples, [(0, size % 2) for size in samples.shape], mode="edge")
    rows, columns = padded.shape[0] // 2, padded.shape[1] // 2
    return padded.reshape(rows, 2, columns, 2).sum(axis=(1, 3), dtype=np.int32) >> 2


def _coarse_search(current: Numbers, other: Numbers, at: Cells) -> Numbers:
    """(n, 2): where samples are found, in samples: roughly in a picture half as large, if it is large, then beside that."""
    if min(current.shape) > _MAX_SAMPLES:
        start = 2 * _coarse_search(_halved(current), _halved(other), (at[0] >> 1, at[1] >> 1))
        radius, per_step = 1, 0
    else:
        start, radius, per_step = np.zeros((len(at[0]), 2), np.int32), _RADIUS, _PER_STEP
    steps = [(x, y) for y in range(-radius, radius + 1) for x in range(-radius, radius + 1)]
    return _best_step(current, other, [at[0] - 1, at[1] - 1], 3, start, steps, per_step)[0]


def _best_step(
    current: npt.NDArray[np.integer],
    other: npt.NDArray[np.integer],
    corner: Sequence[npt.NDArray[np.intp]],
    side: int,
    start: Numbers,
    steps: Sequence[tuple[int, int]],
    per_step: int,
) -> tuple[Numbers, Numbers]:
    """Squares of a picture found in another one, the borders of both repeated.

    Args:
        current: the picture.
        other: where they are looked for.
        corner: rows and columns of their upper left samples.
        side: of the squares.
        start: (n, 2) vectors to begin with, x and y.
        steps: x and y of what is added to them in turn; of equal ones the first is taken.
        per_step: what a step costs.

    Returns:
        (n, 2) the best vectors, and (n,) sums of absolute differences and costs.
    """
    here = _square(current, corner, side)
    least = np.full(len(start), np.iinfo(np.int32).max, np.int32)
    best = start
    for step in steps:
        vectors = start + np.array(step, np.int32)
        there = _square(other, [corner[0] + vectors[:, 1], corner[1] + vectors[:, 0]], side)
        sums = abs(here - there).sum(axis=(1, 2), dtype=np.int32) + np.int32(per_step * (abs(step[0]) + abs(step[1])))
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
    """Cells looked for (``is_bad``) take the vector of the one above, left, right or below where it fits better."""
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


def _around(sums: Numbers) -> Numbers:
    """Of the 3x3 cells around each, the border repeated."""
    padded = np.pad(sums, 1, mode="edge")
    parts = [padded[y : y + len(sums), x : x + sums.shape[1]] for y in range(3) for x in range(3)]
    return np.asarray(np.sum(parts, axis=0, dtype=np.int32))


def _mixed_differences(current: Luma, other: Luma, keys: Numbers) -> Numbers:
    """Per cell, in quarters of a luma step, with vectors (2, h, w) in sixteenths of a pixel made bilinear between cells."""
    rows, columns = keys.shape[1:]
    padded = np.pad(keys, [(0, 0), (1, 1), (1, 1)], mode="edge")
    down = np.zeros((2, rows, CELL, columns + 2), np.int32)
    along = np.zeros((2, rows * CELL, columns, CELL), np.int32)
    for k in range(3):
        down += padded[:, k : k + rows, None] * _MIXED[:, k, None]
    lines = down.reshape(2, rows * CELL, columns + 2)
    for k in range(3):
        along += lines[..., k : k + columns, None] * _MIXED[:, k]
    return differences_numpy(current, other, (along.reshape(2, rows * CELL, columns * CELL) + 32) >> 6)
