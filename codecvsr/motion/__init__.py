"""Motion from the bitstream: blocks to a dense field at quarter resolution, repaired and sharpened. No networks here."""

from codecvsr.motion.clip_motion import ClipMotion, MotionOptions
from codecvsr.motion.estimate import estimate_motion, motion_fields, stream_motion

__all__ = ["ClipMotion", "MotionOptions", "estimate_motion", "motion_fields", "stream_motion"]
