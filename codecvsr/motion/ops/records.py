"""Arguments of the operations that need more than arrays, and the limits both implementations share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from codecvsr.motion.types import Array, Mapper, Prepared

MAX_RADIUS = 8  #: CVSR_MAX_RADIUS: the largest filter radius, in samples
MAX_PARTS = 4  #: CVSR_MAX_PARTS: fields in one mean
MAX_OTHERS = 9  #: CVSR_MAX_OTHERS: fields that one temporal filter averages with its own
PREPARED_CHANNELS = 56  #: CVSR_PREPARED_CHANNELS: numbers per cell of a prepared picture
MAX_VECTOR = 1048576.0  #: pixels; longer vectors are clamped, beyond there is only border
SIXTEENTHS = 16  #: of a pixel: pictures are matched at vectors rounded to 1/16
MAX_MATCHED = 32767  #: sixteenths of a pixel; H.264 has no longer vectors (annex A.3.1)


@dataclass(frozen=True)
class Candidate:
    """A field that may be the motion of some cells.

    Attributes:
        field: (2, h, w) in pixels, NaN where empty; None for zero motion everywhere.
        sign: factor of its vectors, +1 or -1.
        priority: (h, w); if set, the vectors are first carried along themselves (``MotionOps.splat``).
    """

    field: Array | None
    sign: float = 1.0
    priority: Array | None = None


@dataclass(frozen=True, eq=False)
class RefineSettings:
    """Settings of the Gauss-Newton steps; ``window`` and ``smooth`` come from :func:`gaussian_taps`.

    Attributes:
        steps: number of steps.
        window: taps of the window that each 2x2 system is summed over, on cells.
        smooth: taps of the filter that the field itself goes through at the end, on cells; None for none.
        damping: added to the diagonal of the 2x2 matrices.
        robust: luma steps; a difference of this size gets the weight 0.5.
        max_step: longest step of a vector, in pixels.
    """

    steps: int
    window: Array
    smooth: Array | None
    damping: float
    robust: float
    max_step: float


@dataclass(frozen=True)
class ComposedMatch:
    """Two fields (2, h, w) that lead from one prepared picture to another, to be refined as one."""

    current: Prepared
    other: Prepared
    first: Array
    second: Array
    settings: RefineSettings


@dataclass(frozen=True)
class TemporalWindow:
    """A field (2, h, w) and its neighbours in time.

    Attributes:
        field: its weight is 1.
        others: up to ``MAX_OTHERS`` fields of the same shape, None where there is none.
        tolerance: pixels; a vector that differs from that of ``field`` by this much gets 0.5 of its weight.
    """

    field: Array
    others: Sequence[Array | None]
    tolerance: float


@lru_cache(maxsize=64)
def gaussian_taps(sigma: float) -> Array:
    """Returns one side of a normalised Gaussian filter, read-only.

    Args:
        sigma: in samples.

    Returns:
        (radius + 1,) float32 from the middle tap outwards; the radius is three sigmas, 1 to :data:`MAX_RADIUS`.
    """
    radius = min(max(round(3 * sigma), 1), MAX_RADIUS)
    taps = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    taps = (taps / (2 * taps.sum() - taps[0])).astype(np.float32)
    taps.flags.writeable = False
    return taps


def run(mapper: Mapper, work: Callable[[int], None], items: Iterable[int]) -> None:
    """Calls ``work`` for each item; an error of a thread is raised here."""
    for _ in mapper(work, items):
        pass
