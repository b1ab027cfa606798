"""The best reference and the best candidate of each cell, in numpy, and carrying and filling of fields."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from codecvsr.constants import CELL
from codecvsr.motion.ops.records import Candidate
from codecvsr.motion.ops.reference.matching import matching_error, sums_of_cells
from codecvsr.motion.types import Array, Luma, Sums


def best_reference(
    current: Luma, others: Sequence[Luma], distances: Sequence[int], raw: Array, must_win_by: float
) -> tuple[Array, Array]:
    """See ``MotionOps.best_reference``."""
    best = np.full(raw.shape[1:], np.inf, np.float32)
    distance = np.full_like(best, np.nan)
    for other, frames in zip(others, distances, strict=True):
        match = matching_error(current, other, raw)
        better = match < best * np.float32(must_win_by)
        best[better] = match[better]
        distance[better] = frames
    return raw / distance, best


def best_candidate(
    current: Luma, other: Luma, candidates: Sequence[Candidate], cells: tuple[int, int]
) -> tuple[Array, Array, Sums]:
    """See ``MotionOps.best_candidate``."""
    known: list[Array] = []
    for candidate in candidates:
        if candidate.field is None:
            known.append(np.zeros((2, *cells), np.float32))
            continue
        if candidate.priority is None:
            field = candidate.field * np.float32(candidate.sign)
        else:
            field = splat(candidate.field, candidate.sign, candidate.priority)
        if np.isfinite(field).all(axis=0).any():
            known.append(fill_holes(field))
    matches = np.stack([matching_error(current, other, field) for field in known])
    best = matches.argmin(axis=0)
    error = np.take_along_axis(matches, best[None], 0)[0]
    chosen = np.take_along_axis(np.stack(known), best[None, None], 0)[0]
    return chosen, error, sums_of_cells(current, other, chosen)


def splat(field: Array, sign: float, priority: Array) -> Array:
    """See ``MotionOps.splat``."""
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


def fill_holes(field: Array) -> Array:
    """See ``MotionOps.fill_holes``."""
    known = np.asarray(np.isfinite(field).all(axis=0))
    if not known.any():
        return np.zeros_like(field)
    values: Array = np.where(known, field, np.float32(0)).transpose(1, 2, 0).copy()
    weight = known.astype(np.float32)
    while (holes := weight == 0).any():
        total = cv2.blur(weight, (3, 3), borderType=cv2.BORDER_CONSTANT)
        sums = cv2.blur(values, (3, 3), borderType=cv2.BORDER_CONSTANT)
        ring = holes & (total > 1e-6)
        values[ring] = sums[ring] / total[ring][:, None]
        weight[ring] = 1
    return np.ascontiguousarray(values.transpose(2, 0, 1))
