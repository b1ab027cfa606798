"""Block search for cells that no vector of the stream leads to.

What moves by many pixels and turns as it does, a wing or a hand, costs an encoder as much with vectors as without, so it codes
such blocks as intra. Cells whose best candidate matches badly are searched for in the neighbouring picture.
"""

from __future__ import annotations

from codecvsr.motion import ops
from codecvsr.motion.qp_scaling import by_qp
from codecvsr.motion.types import Array, Luma, Sums

BAD_ERROR = 3.0  #: luma steps: cells with a larger matching error are searched for
_MAX_RATIO = (0.8, 0.65)  # of the errors after and before, at low and at high QP


def search(
    current: Luma, other: Luma, field: Array, error: Array, qp: float, sums: Sums | None = None
) -> tuple[Array, Array]:
    """Returns a field with vectors for badly matched cells, and its matching errors.

    Args:
        current: the picture, whole cells.
        other: its neighbour.
        field: (2, h, w) in pixels.
        error: (h, w) matching errors of ``field`` in luma steps.
        qp: mean luma QP of the frame; at high QP a match is weaker evidence.
        sums: of the differences of its cells (``MotionOps.best_candidate``), None where they are not known.
    """
    return ops.table().search(current, other, field, error, BAD_ERROR, by_qp(_MAX_RATIO, qp), sums)[:2]
