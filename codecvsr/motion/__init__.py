"""Motion from the bitstream: blocks to a dense field at 1/4 resolution, repaired and refined. No networks here."""

from codecvsr.motion.estimate import estimate_motion, motion_fields, stream_motion
from codecvsr.motion.types import ClipMotion, MotionOptions

__all__ = ["ClipMotion", "MotionOptions", "estimate_motion", "motion_fields", "stream_motion"]
