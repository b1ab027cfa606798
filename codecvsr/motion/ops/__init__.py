"""The array operations of the motion stages: a numpy reference and the native library, behind one function table."""

from codecvsr.motion.ops.table import MotionOps, table

__all__ = ["MotionOps", "table"]
