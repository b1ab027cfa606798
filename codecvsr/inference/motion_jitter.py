"""Motion jitter: keeps a recurrent network stable over windows longer than those it was trained on.

BasicVSR's published weights were trained on 15 clean frames. Over longer windows they propagate coding noise from frame to
frame and amplify it, most of all in static regions: there the warp repeats features unchanged, while motion by a fraction of
a pixel interpolates between neighbours and so damps the finest detail. Recurrent networks are known to diverge so (Chiche et
al., "Stable Long-Term Recurrent Video Super-Resolution", CVPR 2022). The closer the fields follow the picture, the less they
damp by chance; a jitter of a twentieth of a pixel, equal over the whole frame, restores the damping at no cost of detail.
``scripts/results/compare_96.json`` has the figures.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codecvsr.inference.source import Source

TRAINED_FRAMES = 15  #: per window when published BasicVSR was trained; windows up to this length have no jitter
_PIXELS = 0.05  # standard deviation along each axis


def jittered(source: Source, start: int, stop: int) -> Source:
    """Return a clip with jitter added to the motion of frames ``start`` to ``stop - 1``, one offset per frame and direction.

    A frame's offsets do not depend on the window.
    """
    motion = source.motion
    offsets = np.zeros((2, len(motion), 2, 1, 1), np.float32)
    for t in range(start, stop):
        offsets[:, t, :, 0, 0] = np.random.default_rng(t).normal(scale=_PIXELS, size=(2, 2))
    if source.dense is not None:
        return replace(source, dense=(source.dense[0] + offsets[0], source.dense[1] + offsets[1]))
    to_prev, to_next = motion.to_prev + offsets[0], motion.to_next + offsets[1]
    return replace(source, motion=replace(motion, to_prev=to_prev, to_next=to_next))
