"""Sub-pixel refinement: the repaired field moved to where the decoded luma matches best.

Damped, robust Gauss-Newton steps (Lucas and Kanade 1981; Baker and Matthews 2004). A vector of the stream is precise to a
quarter of a pixel at best; super-resolution needs a tenth.
"""

from __future__ import annotations

from functools import lru_cache

from codecvsr.constants import CELL
from codecvsr.motion import ops
from codecvsr.motion.ops.records import RefineSettings, gaussian_taps
from codecvsr.motion.qp_scaling import by_qp
from codecvsr.motion.types import Array, Prepared

STEPS = 2
_ROBUST = 100.0  # luma steps: a difference of this size gets the weight 0.5; smaller values cost more than they save
_MAX_STEP = 1.0  # pixels
_WINDOW = (2.4, 5.6)  # sigma in pixels, at low and at high QP
_DAMPING = 1.0  # on the diagonal of the 2x2 matrices
_SMOOTH_CELLS = (0.0, 1.2)  # sigma of the field's own smoothing
_MIN_SMOOTHING = 0.1  # below it, none


@lru_cache(maxsize=64)
def settings(qp: float, steps: int = STEPS) -> RefineSettings:
    """Returns the settings at a mean luma QP: a high one gets a wider window and a smoother field, against noise."""
    smoothing = by_qp(_SMOOTH_CELLS, qp)
    return RefineSettings(
        steps=steps,
        window=gaussian_taps(by_qp(_WINDOW, qp) / CELL),
        smooth=gaussian_taps(smoothing) if smoothing > _MIN_SMOOTHING else None,
        damping=_DAMPING,
        robust=_ROBUST,
        max_step=_MAX_STEP,
    )


def refine(current: Prepared, other: Prepared, field: Array, qp: float, steps: int = STEPS) -> Array:
    """Returns a field from ``current`` to ``other`` after gradient steps.

    Args:
        current: the picture, prepared (``MotionOps.prepare``).
        other: its neighbour, prepared.
        field: (2, h, w) in pixels.
        qp: mean luma QP of the frame (:func:`settings`).
        steps: number of steps.

    Returns:
        (2, h, w). No step is rejected: the temporal filter removes what fitted noise.
    """
    return ops.table().refine(current, other, field, settings(qp, steps))
