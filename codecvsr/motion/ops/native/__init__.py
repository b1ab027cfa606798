"""The operations of :class:`codecvsr.motion.ops.table.MotionOps` in the native field library, called through ctypes.

The interpreter's lock is released while one runs, and results do not depend on how many run at once.
"""

from codecvsr.motion.ops.native.batches import add_mean, compose, correct_composed, temporal_filter
from codecvsr.motion.ops.native.single import (
    best_candidate,
    best_reference,
    fill_holes,
    matching_error,
    prepare,
    rasterise,
    refine,
    search,
    splat,
    static_smoothing,
    warp,
)

__all__ = [
    "add_mean",
    "best_candidate",
    "best_reference",
    "compose",
    "correct_composed",
    "fill_holes",
    "matching_error",
    "prepare",
    "rasterise",
    "refine",
    "search",
    "splat",
    "static_smoothing",
    "temporal_filter",
    "warp",
]
