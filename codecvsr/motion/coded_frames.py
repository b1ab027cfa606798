"""The decoded luma and codec data of the frames of a stream that later frames may need."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.frame import CodedFrame
from codecvsr.motion.field import rasterise
from codecvsr.motion.frame_store import discard_before
from codecvsr.motion.grid import pad_to_cells
from codecvsr.motion.references import MAX_REFERENCE, StreamFacts
from codecvsr.motion.types import PAST, TYPE_CODES, BlockField, Luma

_FACTS_STORED = 256  # frames; codec data of older ones has no influence on which references are usable


class PaddedLumas(dict[int, Luma]):
    """Pictures padded to whole cells by frame, made from the decoded ones when first read."""

    def __init__(self) -> None:
        super().__init__()
        self.decoded: dict[int, Luma] = {}

    def __missing__(self, t: int) -> Luma:
        self[t] = padded = pad_to_cells(self.decoded[t])
        return padded


class CodedFrames:
    """Frames by display index, from the oldest that is needed to the last that was read.

    Attributes:
        count: number of frames read.
        blocks: vectors on cells.
        qp: (ceil(H/16), ceil(W/16)) uint8 luma QP of the macroblocks.
        mean_qp: mean luma QP.
        lumas: pictures padded to whole cells.
        facts_from: the first frame whose codec data is stored.
    """

    def __init__(self) -> None:
        self.count = 0
        self.blocks: dict[int, BlockField] = {}
        self.qp: dict[int, npt.NDArray[np.uint8]] = {}
        self.mean_qp: dict[int, float] = {}
        self.lumas = PaddedLumas()
        self._facts: list[tuple[int, bool, bool, int]] = []  # type, is reference, is IDR, decode index
        self.facts_from = 0
        self._limits: tuple[int | None, int | None] = None, None  # references in all, and per list

    def add(self, frame: CodedFrame) -> None:
        """Adds the next frame in display order, of the size of the others."""
        t = self.count
        self.count += 1
        self._facts.append((TYPE_CODES[frame.type], frame.is_reference, frame.is_idr, frame.decode_index))
        self._limits = frame.max_references, frame.references_per_list
        self.blocks[t] = rasterise(frame.vectors, frame.height, frame.width)
        self.lumas.decoded[t] = frame.luma
        rows, columns = -(-frame.height // 16), -(-frame.width // 16)
        qp = np.zeros((rows, columns), np.uint8) if frame.qp is None else frame.qp.clip(0, 51).astype(np.uint8)
        self.qp[t], self.mean_qp[t] = qp, float(qp.mean())

    def exists(self, t: int) -> bool:
        """Returns whether frame ``t`` was read; a stage treats later frames as missing."""
        return 0 <= t < self.count

    def facts(self, start: int | None = None, stop: int | None = None) -> StreamFacts:
        """Returns codec data of frames ``start`` to ``stop - 1``; by default of all from :attr:`facts_from` on."""
        first = self.facts_from
        chosen = self._facts[None if start is None else start - first : None if stop is None else stop - first]
        types, is_reference, is_idr, decode_order = zip(*chosen, strict=True)
        return StreamFacts(
            np.array(types, np.uint8),
            np.array(is_reference),
            np.array(is_idr),
            np.array(decode_order, np.int32),
            *self._limits,
        )

    def discard(self, first: int, resolved: int, done: int) -> None:
        """Deletes what later frames do not need.

        Args:
            first: frames from here on are needed in full.
            resolved: the references of the frames before are known, so that only pictures near it can be references.
            done: the frames before are finished.
        """
        discard_before(first, self.blocks, self.qp, self.mean_qp)
        oldest = resolved - MAX_REFERENCE[PAST]
        for pictures in (self.lumas, self.lumas.decoded):
            for t in [t for t in pictures if t < first and (t < oldest or not self._facts[t - self.facts_from][1])]:
                del pictures[t]
        surplus = done - _FACTS_STORED - self.facts_from
        if surplus > 0:
            del self._facts[:surplus]
            self.facts_from += surplus
