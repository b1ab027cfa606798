"""The operations of :class:`codecvsr.motion.ops.table.MotionOps` in numpy: the definition that the native library follows."""

from codecvsr.motion.ops.reference.averages import add_mean, static_smoothing, temporal_filter
from codecvsr.motion.ops.reference.candidates import best_candidate, best_reference, fill_holes, splat
from codecvsr.motion.ops.reference.matching import matching_error
from codecvsr.motion.ops.reference.rasterising import rasterise
from codecvsr.motion.ops.reference.refinement import compose, correct_composed, prepare, refine
from codecvsr.motion.ops.reference.sampling import warp
from codecvsr.motion.ops.reference.searching import search

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
