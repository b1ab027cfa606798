"""The expected gain of this project's networks over bicubic, from what an H.264 stream says about itself.

gain = a + b * QP + c * V: QP is the mean of all macroblocks, V the mean number of vectors per macroblock of P- and B-frames,
which is large where small blocks follow fine detail that moves. Fitted by ``scripts/bench/fit_gain.py`` on the committed
figures of four clips at CRF 15, 25 and 35, at 320x180. The error is that of clips that the fit did not see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from codecvsr.bitstream.frame import CodedFrame

_MACROBLOCK = 16 * 16  # pixels


@dataclass(frozen=True)
class GainFormula:
    """Coefficients of the formula, in dB of RGB PSNR.

    Attributes:
        constant: a.
        per_qp: b.
        per_vector: c.
        error: root mean square on clips that were left out of the fit.
    """

    constant: float
    per_qp: float
    per_vector: float
    error: float


#: By model, from ``scripts/results/gain.json``.
FORMULAS: dict[str, GainFormula] = {
    "codecvsr": GainFormula(0.5488, -0.0321, 0.7256, 0.26),
    "codecvsr-fast": GainFormula(0.2012, -0.0274, 0.8082, 0.28),
}


@dataclass(frozen=True)
class StreamFacts:
    """What the formula needs of a stream.

    Attributes:
        qp: mean of all macroblocks.
        vectors: mean number of vectors per macroblock of P- and B-frames.
    """

    qp: float
    vectors: float


def facts_of(frames: Iterable[CodedFrame]) -> StreamFacts | None:
    """Returns the facts of some frames of a stream; None without QP or without a P- or B-frame."""
    qps: list[float] = []
    vectors: list[float] = []
    for frame in frames:
        if frame.qp is None:
            return None
        qps.append(float(frame.qp.mean()))
        if frame.type != "I":
            vectors.append(len(frame.vectors) * _MACROBLOCK / (frame.height * frame.width))
    return StreamFacts(float(np.mean(qps)), float(np.mean(vectors))) if vectors else None


def expected_gain(model: str, facts: StreamFacts | None) -> float | None:
    """Returns the expected gain over bicubic in dB; 0 for bicubic, None for a model or a stream without a formula."""
    if model == "bicubic":
        return 0.0
    formula = FORMULAS.get(model)
    if formula is None or facts is None:
        return None
    gain = formula.constant + formula.per_qp * facts.qp + formula.per_vector * facts.vectors
    return round(max(gain, 0.0), 2)
