"""Motion of pictures that have no vectors: they are encoded with x264, and its vectors are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.encode import PROXY_CRF, EncodeSettings, encode_h264
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.reader import read_video


def needs_proxy(frames: Sequence[CodedFrame]) -> bool:
    """Returns whether frames of a codec whose vectors are read have none that show their motion.

    Those of fields do not, nor does MPEG video of I-frames alone. The motion of H.264 I-frames is searched for.
    """
    if any(frame.is_field_coded or frame.is_deinterlaced for frame in frames):
        return True
    return len(frames) > 1 and all(map(is_mpeg_intra, frames))


def is_mpeg_intra(frame: CodedFrame) -> bool:
    """Returns whether a frame is an I-frame of a codec before H.264."""
    return frame.references_per_list is not None and frame.type == "I"


def proxy(frames: Sequence[CodedFrame], rate: Fraction, path: Path) -> list[CodedFrame]:
    """Encodes pictures with x264 and returns them with its vectors; their QP is None.

    Args:
        frames: pictures of any codec.
        rate: frames per second.
        path: of a temporary file.
    """
    try:
        settings = EncodeSettings(PROXY_CRF, preset="medium", fps=min(max(rate, Fraction(1)), Fraction(1000)))
        encode_h264((_pad_to_even(frame.rgb) for frame in frames), path, settings)
        coded = read_video(path, backend="pyav")
        return [replace(c, picture=f.picture, qp=None) for c, f in zip(coded, frames, strict=True)]
    finally:
        path.unlink(missing_ok=True)


def _pad_to_even(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Repeats the last row and column of a picture with an odd size, for 4:2:0."""
    return np.pad(rgb, ((0, rgb.shape[0] % 2), (0, rgb.shape[1] % 2), (0, 0)), mode="edge")
