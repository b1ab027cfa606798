"""Settings that depend on how coarsely a frame was quantised."""

from __future__ import annotations

_QP_RANGE = (28.0, 38.0)


def by_qp(ends: tuple[float, float], qp: float, qp_range: tuple[float, float] = _QP_RANGE) -> float:
    """Returns a setting between ``ends``, linear in the mean luma QP of a frame.

    Args:
        ends: its values at low and at high QP.
        qp: mean luma QP.
        qp_range: QP up to which the first value applies, and from which on the second.
    """
    share = min(max((qp - qp_range[0]) / (qp_range[1] - qp_range[0]), 0.0), 1.0)
    return ends[0] + share * (ends[1] - ends[0])
