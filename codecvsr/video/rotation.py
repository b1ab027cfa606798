"""The rotation that a video states for its display."""

from __future__ import annotations

from typing import Any

import av
import numpy as np

from codecvsr.bitstream.side_data import side_data

_NONE = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def display_matrix(picture: av.VideoFrame) -> tuple[int, ...] | None:
    """Returns the display matrix that a decoded picture carries, 9 integers (ISO/IEC 14496-12, 8.3.2); None for none."""
    display: Any = side_data(picture).get("DISPLAYMATRIX")
    return None if display is None else tuple(int(v) for v in np.frombuffer(bytes(display), np.int32))


def is_turned(matrix: tuple[int, ...] | None) -> bool:
    """Returns whether a display matrix turns or mirrors pictures."""
    return matrix is not None and matrix != _NONE
