"""Means of fields over time and over space, in numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codecvsr.motion.ops.records import MAX_VECTOR, TemporalWindow, run
from codecvsr.motion.ops.reference.sampling import blur
from codecvsr.motion.types import Array, Mapper

_FLOAT_MAX = np.finfo(np.float32).max
_ROBUST = np.float32(0.03)  # pixels: a vector so far from the mean gets the weight 0.5 in it
_MAX_DEVIATION = np.float32(0.1)  # pixels: more counts as that in the mean deviation
_EPSILON = np.float32(1e-6)  # against a division by zero
_ROUNDS = 2


def add_mean(sums: Sequence[tuple[Array, Sequence[Array]]], gain: float, mapper: Mapper = map) -> list[Array]:
    """See ``MotionOps.add_mean``."""
    corrected: list[Array] = [field for field, _ in sums]

    def one(i: int) -> None:
        field, parts = sums[i]
        total = parts[0].copy()
        for part in parts[1:]:
            total += part
        total *= np.float32(gain) / np.float32(len(parts))
        total += field
        corrected[i] = total

    run(mapper, one, range(len(sums)))
    return corrected


def temporal_filter(windows: Sequence[TemporalWindow], shares: Sequence[float], mapper: Mapper = map) -> list[Array]:
    """See ``MotionOps.temporal_filter``."""
    filtered: list[Array] = [window.field for window in windows]

    def one(i: int) -> None:
        filtered[i] = _weighted_mean(windows[i], shares)

    run(mapper, one, range(len(windows)))
    return filtered


def _weighted_mean(window: TemporalWindow, shares: Sequence[float]) -> Array:
    field = window.field
    falloff = np.float32(1.0) / (np.float32(window.tolerance) * np.float32(window.tolerance))
    total, weights = field.copy(), np.ones(field.shape[1:], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for other, share in zip(window.others, shares, strict=True):
            if other is None:
                continue
            vectors = other if share >= 0 else -other
            difference = vectors - field
            distance = (difference[0] * difference[0] + difference[1] * difference[1]) * falloff
            counts = distance <= _FLOAT_MAX
            weight = np.where(counts, np.float32(abs(share)) / (np.float32(1.0) + distance), np.float32(0))
            total += np.where(counts, weight * vectors, np.float32(0))
            weights += weight
        return np.asarray(total / weights, np.float32)


def static_smoothing(field: Array, share: Array, taps: Array, strength: float, max_tolerance: float) -> Array:
    """See ``MotionOps.static_smoothing``."""
    counts = (share > 0) & (share <= 1) & (np.abs(field) <= MAX_VECTOR).all(axis=0)
    share = np.where(counts, share, np.float32(0))
    if not counts.any():
        return field.copy()
    known = np.where(counts, field, np.float32(0))
    weights = share
    for _ in range(_ROUNDS):
        total = blur(weights, taps) + _EPSILON
        mean = np.stack([blur(part * weights, taps) / total for part in known])
        distance = ((known - mean) ** 2).sum(axis=0)
        weights = share / (np.float32(1) + distance / (_ROBUST * _ROBUST))
    deviation = (share * np.minimum(np.sqrt(distance), _MAX_DEVIATION)).sum() / max(share.sum(), np.float32(1))
    bound = np.float32(min(strength * deviation, max_tolerance)) ** 2 * share
    remaining = np.divide(distance, distance + bound, out=np.ones_like(distance), where=bound > 0)
    return np.where(counts, mean + (known - mean) * remaining, field)
