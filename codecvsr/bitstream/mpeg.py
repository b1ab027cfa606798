"""Vectors and quantisers of MPEG-1, MPEG-2, MPEG-4 Part 2 and the other codecs that libav decodes with its MPEG code.

A block of a P-frame refers to the I- or P-frame before it, one of a B-frame to the I- or P-frames around it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: libav's names of the decoders whose vectors are read. Of MPEG-4 Part 2 (DivX, Xvid), MS-MPEG-4 (DivX 3), Sorenson H.263 (FLV)
#: and Windows Media Video 7 and 8, as of MPEG-1 and MPEG-2.
CODECS = frozenset(
    (
        *("mpeg1video", "mpeg2video", "mpeg4"),
        *("h263", "flv", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "wmv1", "wmv2"),
    )
)

_MAX_QP = 51


def has_vectors(codec: str, frame_type: str) -> bool:
    """Returns whether the vectors exported with a frame are its own.

    libav stores those of B-frames for MPEG-1 and MPEG-2 only (``ff_h263_update_motion_val`` skips B-frames): what it exports
    with a B-frame of MPEG-4 are leftovers of other frames.
    """
    return frame_type != "B" or codec in ("mpeg1video", "mpeg2video")


def qp_of_steps(steps: npt.NDArray[np.integer]) -> npt.NDArray[np.int8]:
    """Returns the H.264 QPs with the quantiser steps that libav exports for these codecs.

    It exports twice the quantiser scale of MPEG-1, MPEG-4 and H.263 and the scale of MPEG-2, which both are the distance between
    two reconstructed coefficients of an inter block with the usual flat matrix (ISO/IEC 13818-2 clause 7.4.2.3). The step of
    H.264 is 0.625 * 2^(QP / 6) (ITU-T H.264 clause 8.5), 1 at QP 4, and doubles every 6.
    """
    qp = 4 + 6 * np.log2(np.maximum(steps, 1).astype(np.float64))
    return np.rint(qp).clip(0, _MAX_QP).astype(np.int8)
