"""What the codec knows besides motion, as input channels of the network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codecvsr.motion import ClipMotion

#: QP, I, P, B, matching error to the frame before and after, confidence before and after.
CHANNELS = 8
#: The channels that speak of motion.
MOTION_CHANNELS = slice(4, 8)
#: Those of the frame after.
FUTURE_CHANNELS = (5, 7)

_MIDDLE_QP = 26.0  # the neutral value 0 of each channel stands for these
_MIDDLE_ERROR = 2.0  # luma steps
_MIDDLE_CONFIDENCE = 0.9

#: Values of :data:`FUTURE_CHANNELS` in the last frame of a clip: no error was measured, and there is no confidence.
NO_FUTURE = (-float(np.log1p(_MIDDLE_ERROR)), -_MIDDLE_CONFIDENCE)


def make_priors(motion: ClipMotion) -> npt.NDArray[np.float32]:
    """Priors of a clip, (T, 8, h, w) float32 on 4x4 cells; 0 is neutral in every channel."""
    frames, _, h, w = motion.to_prev.shape
    priors = np.zeros((frames, CHANNELS, h, w), np.float32)
    qp = motion.qp.astype(np.float32)
    qp[qp == 0] = _MIDDLE_QP  # not exported
    priors[:, 0] = np.repeat(np.repeat(qp, 4, axis=1), 4, axis=2)[:, :h, :w] / _MIDDLE_QP - 1
    for channel, code in ((1, 1), (2, 2), (3, 3)):
        priors[motion.types == code, channel] = 1
    priors[:, 4:6] = np.log1p(motion.error) - np.log1p(_MIDDLE_ERROR)
    priors[:, 6:8] = motion.confidence - _MIDDLE_CONFIDENCE
    return priors
