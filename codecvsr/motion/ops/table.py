"""The function table of the motion stages, chosen once, like a codec's table of DSP functions (dav1d's ``DSPContext``).

``ops.reference`` and ``ops.native`` are modules with the functions of :class:`MotionOps`. The first is numpy and readable, the
second calls the native field library. Pictures are matched and prepared in integers, with equal results in both; all other
results are float32, equal but for the order of sums (1e-3 pixels, see ``tests/motion/test_native_motion.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from codecvsr import native_libraries
from codecvsr.motion.ops.records import Candidate, ComposedMatch, RefineSettings, TemporalWindow
from codecvsr.motion.types import Array, BlockField, Luma, Mapper, Prepared, Sums


class MotionOps(Protocol):
    """The operations.

    Pictures (luma) are uint8 of whole cells, (4h, 4w); fields are float32 (2, h, w), x then y, in pixels, NaN where empty;
    outside a picture its border is repeated. Arguments are not changed. Wrong shapes or types raise ValueError.
    """

    def rasterise(self, vectors: npt.NDArray[np.void], height: int, width: int) -> BlockField:
        """Paints vectors (``bitstream.frame.VECTOR_DTYPE``) onto the cells that their blocks cover.

        ``dst_x, dst_y`` is the centre of a block, so a block covers ``dst - size / 2`` to ``dst + size / 2``; parts outside the
        picture are ignored. Where two vectors of one list cover a cell, the later one wins. Vectors longer than any stream may
        have (H.264 annex A.3.1) count as none: those of a damaged stream could match by chance.
        """

    def warp(self, picture: Array, flow: Array) -> Array:
        """Returns a plane (H, W) warped backwards: the value at p is ``picture(p + flow(p))``.

        Bilinear, without rounding of positions. ``flow``: (2, H, W) in pixels; NaN counts as zero.
        """

    def matching_error(self, current: Luma, other: Luma, field: Array) -> Array:
        """Returns the mean absolute difference (h, w), in luma steps, between ``current`` and ``other`` warped onto it.

        In integers: vectors are rounded to a sixteenth of a pixel, differences to a quarter of a luma step. The mean over a cell
        is filtered with the weights 1 4 1 along rows and columns; neighbours that do not exist or are empty count like the cell
        itself. Empty cells get infinity.
        """

    def splat(self, field: Array, sign: float, priority: Array) -> Array:
        """Carries the vector of each cell along itself, to the frame it points at.

        Args:
            field: (2, h, w).
            sign: factor on arrival: -1 turns motion to the past into motion to the future.
            priority: (h, w), the matching error of each cell; where several vectors arrive in one cell the smallest wins, and
                of equal ones the last.

        Returns:
            (2, h, w), NaN where nothing arrives.
        """

    def fill_holes(self, field: Array) -> Array:
        """Fills empty cells with the mean of their known neighbours, ring by ring; all zero where no cell is known."""

    def best_reference(
        self, current: Luma, others: Sequence[Luma], distances: Sequence[int], raw: Array, must_win_by: float
    ) -> tuple[Array, Array]:
        """Finds the picture that the vectors ``raw`` point at, per cell.

        Args:
            current: the picture.
            others: its possible references, nearest first.
            distances: of them, in frames.
            raw: (2, h, w) vectors.
            must_win_by: a later picture must have an error below this share of the best one before it.

        Returns:
            velocity (2, h, w): ``raw`` divided by the distance of the picture found, NaN where there is none; and its
            matching error (h, w), infinity where there is none.
        """

    def best_candidate(
        self, current: Luma, other: Luma, candidates: Sequence[Candidate], cells: tuple[int, int]
    ) -> tuple[Array, Array, Sums]:
        """Returns, per cell, the candidate with the smallest matching error, the first of equal ones.

        Candidates that are empty everywhere are ignored; holes of the others are filled first.

        Returns:
            field (2, h, w), error (h, w) in luma steps, and sums (h, w) of the differences of each cell alone, in quarters of
            a luma step; ``cells`` is (h, w).
        """

    def search(
        self,
        current: Luma,
        other: Luma,
        field: Array,
        error: Array,
        bad_error: float,
        max_ratio: float,
        sums: Sums | None = None,
    ) -> tuple[Array, Array, int]:
        """Searches ``other`` for cells whose ``error`` (h, w) is above ``bad_error``, to whole pixels.

        A vector is accepted if the error that it leaves is below ``max_ratio`` times the error before.

        Args:
            current: the picture.
            other: its neighbour.
            field: (2, h, w).
            error: its matching error.
            bad_error: luma steps.
            max_ratio: of the errors after and before.
            sums: of ``field`` (:meth:`best_candidate`); with them only new vectors are matched again.

        Returns:
            The field (2, h, w), its matching error, and how many of its vectors are new: ``field`` and ``error`` where none is.
        """

    def prepare(self, luma: Luma) -> Prepared:
        """Returns a picture as :meth:`refine` needs it: (PREPARED_CHANNELS, h, w) int16, in 1/128 luma step.

        The picture is lightly blurred, so that gradients are not noise, less 5/8 of the mean of the 15x15 pixels around, so that a
        change of brightness is not motion. ``cvsr_prepare`` in ``native/include/cvsr_motion.h`` describes the layout.
        """

    def refine(self, current: Prepared, other: Prepared, field: Array, settings: RefineSettings) -> Array:
        """Returns ``field`` after Gauss-Newton steps towards where ``other`` matches ``current``.

        The last step uses eight pixels of each cell, the others four.
        """

    def compose(self, pairs: Sequence[tuple[Array, Array]], mapper: Mapper = map) -> list[Array]:
        """Returns, for each (first, second): ``first``, then ``second`` from where it points, bilinear between cells."""

    def correct_composed(self, matches: Sequence[ComposedMatch], mapper: Mapper = map) -> list[Array]:
        """Returns what :meth:`refine` of each composed field changes: (2, h, w) in pixels."""

    def add_mean(self, sums: Sequence[tuple[Array, Sequence[Array]]], gain: float, mapper: Mapper = map) -> list[Array]:
        """Returns, for each (field, parts): ``field`` plus ``gain`` times the mean of one to ``MAX_PARTS`` parts."""

    def temporal_filter(
        self, windows: Sequence[TemporalWindow], shares: Sequence[float], mapper: Mapper = map
    ) -> list[Array]:
        """Returns the weighted mean of the fields of each window, cell by cell.

        Args:
            windows: the fields.
            shares: weights of ``others`` where they agree with ``field``; a negative one negates the vectors.
            mapper: runs the windows.
        """

    def static_smoothing(self, field: Array, share: Array, taps: Array, strength: float, max_tolerance: float) -> Array:
        """Draws a field to its own robust mean around every cell.

        Args:
            field: (2, h, w); empty vectors stay empty.
            share: (h, w) in 0..1, the weight of a cell, and by how much it is drawn.
            taps: of the filter (``records.gaussian_taps``), on cells.
            strength: a vector that deviates by so many mean deviations is moved by 50 %.
            max_tolerance: pixels: or one that deviates by this much, where that is less.
        """


@cache
def table() -> MotionOps:
    """Returns ``ops.native`` where the field library is built and not switched off (``CODECVSR_NATIVE=0``).

    Otherwise ``ops.reference``. The choice is made at the first call.
    """
    from codecvsr.motion.ops import native, reference

    native_libraries.note_missing()
    return reference if native_libraries.field_library() is None else native
