"""Vectors and quantisers of MPEG-1, MPEG-2, MPEG-4 Part 2 and the other codecs that libav decodes with its MPEG code.

A block of a P-frame refers to the I- or P-frame before it, one of a B-frame to the I- or P-frames around it.
"""

from __future__ import annotations

from collections import deque

import av
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

#: Those whose decoder returns an I- or P-frame when it has read the next one, for the sake of B-frames.
DELAYED = frozenset(("mpeg1video", "mpeg2video", "mpeg4"))

_INTRA = 1  # AV_PICTURE_TYPE_I
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


class LastKeyPacket:
    """The last key packet of a stream that the decoder made a sound I-frame of.

    libav exports nothing with the picture that a decoder of :data:`DELAYED` returns at the end of its stream. This packet, decoded
    once more, makes it return that picture before, as any other.

    Attributes:
        data: the packet's bytes, empty without one.
    """

    def __init__(self) -> None:
        self.data = b""
        self._waiting: deque[tuple[int, bytes]] = deque(maxlen=4)  # MPEG-4 in AVI has key packets without a picture

    def add(self, number: int, packet: av.Packet) -> None:
        """Adds a key packet that is decoded next; its pictures have this ``number`` as their time."""
        self._waiting.append((number, bytes(packet)))

    def remove(self, number: int) -> None:
        """Removes a packet that the decoder refused, if it was added."""
        if self._waiting and self._waiting[-1][0] == number:
            self._waiting.pop()

    def check(self, picture: av.VideoFrame) -> None:
        """Takes note of the next picture from the decoder."""
        if int(picture.pict_type) == _INTRA and not picture.is_corrupt:
            self.data = next((data for number, data in self._waiting if number == picture.pts), self.data)
