"""Motion that trembles: what keeps a recurrent network steady over windows longer than those it was trained on.

BasicVSR's published weights learnt on 15 clean frames. Over longer windows they hand coding noise on from frame to frame and
amplify it, most of all where nothing moves: there the warp repeats features as they are, while motion by a part of a pixel
blends neighbours and so damps what is finest. Recurrent networks are known to diverge so (Chiche et al., "Stable Long-Term
Recurrent Video Super-Resolution", CVPR 2022). The more exactly the fields follow the picture, the less they damp by chance;
a tremor of a twentieth of a pixel, the same over the whole frame, puts that back at no cost of detail.
``scripts/results/compare_96.json`` shows what it is worth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codecvsr.inference.source import Source
from codecvsr.models.zoo import LoadedModel

TRAINED_FRAMES = 15  #: of the windows that published BasicVSR was trained on; up to there nothing trembles
_PIXELS = 0.05  # standard deviation along each axis
_JITTERED = frozenset({"basicvsr"})


def has_motion_jitter(model: LoadedModel) -> bool:
    """Whether motion is to tremble for a model: a published one of an architecture that this was measured on."""
    return model.training == "official" and model.architecture in _JITTERED


def jittered(source: Source, start: int, stop: int) -> Source:
    """A clip whose motion trembles in frames ``start`` to ``stop - 1``, each frame's as a whole.

    A frame trembles the same way in whatever window it is.
    """
    motion = source.motion
    offsets = np.zeros((2, len(motion), 2, 1, 1), np.float32)
    for t in range(start, stop):
        offsets[:, t, :, 0, 0] = np.random.default_rng(t).normal(scale=_PIXELS, size=(2, 2))
    if source.dense is not None:
        return replace(source, dense=(source.dense[0] + offsets[0], source.dense[1] + offsets[1]))
    to_prev, to_next = motion.to_prev + offsets[0], motion.to_next + offsets[1]
    return replace(source, motion=replace(motion, to_prev=to_prev, to_next=to_next))
