"""Smooth motion where the codec saw none for several frames.

An encoder that leaves a cell in place, frame after frame and over all the distances to its references, shows that the cell moves
by less than a few hundredths of a pixel per frame: the camera is fixed, or drifts slowly. The gradients find this drift, common
to many cells, and noise, different in each, which adds up to pixels along a track. So the vectors of such cells are drawn to
the robust mean of those around them, by as much as they deviate from it on average; larger deviations stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from codecvsr.motion import ops
from codecvsr.motion.ops.records import gaussian_taps
from codecvsr.motion.types import Array

RADIUS = 4  #: frames on each side in which a cell should be static
_WINDOW = 4.0  # sigma in cells
_STRENGTH = 2.5  # mean deviations: a vector so far from the mean is moved by 50 %
_MAX_TOLERANCE = 0.15  # pixels: the limit of that


def static_share(static: Sequence[npt.NDArray[np.bool_]]) -> Array | None:
    """Returns the weight of the cells of a frame, (h, w) in 0..1: the squared share of frames in which they are static.

    ``static``: (h, w) of the frame and of those around it. None where no cell is ever static.
    """
    count = static[0].astype(np.uint8)
    for cells in static[1:]:
        count += cells
    if not count.any():
        return None
    share = count.astype(np.float32) / np.float32(len(static))
    return share * share


def smooth_static(field: Array, share: Array) -> Array:
    """Returns a field (2, h, w) in pixels, smoothed by ``share`` (h, w), see ``MotionOps.static_smoothing``."""
    return ops.table().static_smoothing(field, share, gaussian_taps(_WINDOW), _STRENGTH, _MAX_TOLERANCE)
