"""How well a field matches the pictures, and the confidence that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from codecvsr.motion import ops
from codecvsr.motion.types import FUTURE, PAST, STEPS, Array, ClipMotion, Luma

_MEDIUM_ERROR = 8.0  # luma steps: the matching error whose confidence is 0.5


def confidence_of(error: Array) -> Array:
    """Returns 1 / (1 + (error / 8)^2) in the shape of ``error``: 1 for a perfect match, 0.5 at 8 luma steps."""
    return (1.0 / (1.0 + (error / _MEDIUM_ERROR) ** 2)).astype(np.float32)


def with_fields(motion: ClipMotion, to_prev: Array, to_next: Array, lumas: Sequence[Luma]) -> ClipMotion:
    """Returns ``motion`` with other fields, their errors and confidence measured on ``lumas``.

    Args:
        motion: the codec's data; its scene cuts stay.
        to_prev: (T, 2, h, w) motion to the frame before, in pixels.
        to_next: (T, 2, h, w) motion to the frame after.
        lumas: T pictures padded to whole cells (:func:`codecvsr.motion.grid.pad_to_cells`).
    """
    fields = [to_prev.copy(), to_next.copy()]
    error = np.zeros_like(motion.error)
    confidence = np.zeros_like(motion.confidence)
    for direction, step in enumerate(STEPS):
        for t in range(len(lumas)):
            if 0 <= t + step < len(lumas):
                error[t, direction] = ops.table().matching_error(lumas[t], lumas[t + step], fields[direction][t])
                confidence[t, direction] = confidence_of(error[t, direction])
    for cut in np.flatnonzero(motion.is_cut):
        fields[PAST][cut] = fields[FUTURE][cut - 1] = 0
        confidence[cut, PAST] = confidence[cut - 1, FUTURE] = 0
    return replace(motion, to_prev=fields[PAST], to_next=fields[FUTURE], error=error, confidence=confidence)
