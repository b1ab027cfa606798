"""Counting what a stream is made of, frame by frame, in memory that does not grow with the pictures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.frame import CodedFrame
from codecvsr.motion import ops
from codecvsr.motion.grid import pad_to_cells
from codecvsr.motion.references import StreamFacts, block_velocity, usable_references
from codecvsr.motion.types import FUTURE, PAST, TYPE_CODES, ClipMotion, Luma

PARTITIONS = {10: "16x16", 9: "16x8", 6: "8x16", 5: "8x8", 0: "none"}  #: codes of ``BlockField.partition``
LISTS = ("past", "future")
PERCENTILES = (50, 90, 99)
_DISTANCES = ("1", "2", "3", "4", "more")
_BINS = np.append(np.arange(0, 4096, 0.125), np.inf)  #: pixels; vectors are whole quarters along each axis


@dataclass(frozen=True)
class StripFrame:
    """One frame of the GOP strip: its type, place in decode order, and use."""

    type: str
    decode_index: int
    is_reference: bool
    is_idr: bool


def reference_distances(
    motion: ClipMotion, lumas: Sequence[Luma], references_per_list: int | None = None
) -> npt.NDArray[np.int32]:
    """(2, T, h, w): by list, frames from each cell to the reference its vector was resolved to; 0 where there is none.

    The resolver stores the matching error of the reference it chose; the distance is that of the picture with this error.
    """
    facts = StreamFacts(
        motion.types,
        motion.is_reference,
        motion.is_idr,
        motion.decode_order,
        references_per_list=references_per_list,
    )
    found = np.zeros((2, *motion.partition.shape), np.int32)
    for direction, raw in ((PAST, motion.past), (FUTURE, motion.future)):
        for t in range(len(motion)):
            references = usable_references(facts, t, direction)
            resolved = block_velocity(t, raw[t], references, lumas)
            if resolved is not None and (known := np.isfinite(raw[t, 0]) & np.isfinite(resolved[1])).any():
                matches = np.stack([ops.table().matching_error(lumas[t], lumas[r], raw[t])[known] for r in references])
                chosen = np.abs(matches - resolved[1][known]).argmin(axis=0)
                found[direction, t][known] = np.abs(np.array(references) - t)[chosen]
    return found


class StreamStats:
    """Counts of the frames seen so far."""

    def __init__(self) -> None:
        self.strip: list[StripFrame] = []
        self.size = (0, 0)
        self.times: list[float] = []
        self.cuts: list[int] = []
        self.interlaced = self.field_coded = 0
        self.partitions: dict[str, Counter[str]] = {kind: Counter() for kind in TYPE_CODES}
        self.lengths = np.zeros((2, len(_BINS) - 1), np.int64)
        self.longest = [0.0, 0.0]
        self.distances: list[Counter[str]] = [Counter(), Counter()]
        self.qp: dict[str, npt.NDArray[np.int64]] = {kind: np.zeros(52, np.int64) for kind in TYPE_CODES}
        self.confidence: list[list[float]] = [[], []]
        self.residual: list[list[float]] = [[], []]

    def add(self, chunk: Sequence[CodedFrame], motion: ClipMotion, own: slice) -> None:
        """Counts the frames ``own`` of a chunk."""
        lumas = [pad_to_cells(frame.luma) for frame in chunk]
        distances = reference_distances(motion, lumas, chunk[0].references_per_list)
        for t in range(len(chunk))[own]:
            frame = chunk[t]
            self.size = frame.width, frame.height
            if frame.pts_seconds is not None:
                self.times.append(frame.pts_seconds)
            if motion.is_cut[t]:
                self.cuts.append(frame.index)
            self.strip.append(StripFrame(frame.type, frame.decode_index, frame.is_reference, frame.is_idr))
            self.interlaced += frame.is_interlaced
            if frame.is_field_coded:
                self.field_coded += 1
                continue
            codes, counts = np.unique(motion.partition[t], return_counts=True)
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
                self.partitions[frame.type][PARTITIONS.get(code, "other")] += count
            if frame.qp is not None:
                self.qp[frame.type] += np.bincount(frame.qp.clip(0, 51).astype(np.int64).ravel(), minlength=52)
            for direction, raw in ((PAST, motion.past[t]), (FUTURE, motion.future[t])):
                known = np.isfinite(raw[0])
                if known.any():
                    length = np.hypot(raw[0][known], raw[1][known])
                    self.lengths[direction] += np.histogram(length, _BINS)[0]
                    self.longest[direction] = max(self.longest[direction], float(length.max()))
                    far = distances[direction, t][known]
                    named = [("unknown", 0), *((name, k) for k, name in enumerate(_DISTANCES[:4], 1))]
                    self.distances[direction].update({name: int((far == k).sum()) for name, k in named})
                    self.distances[direction]["more"] += int((far > 4).sum())
            for direction, n, cut in ((PAST, t - 1, t), (FUTURE, t + 1, t + 1)):
                if 0 <= n < len(chunk) and not motion.is_cut[cut]:
                    self.confidence[direction].append(float(motion.confidence[t, direction].mean()))
                    self.residual[direction].append(float(motion.error[t, direction].mean()))

    def counts(self) -> dict[str, Any]:
        """The counts as shares and means, by the names of ``inspect.Inspection``."""
        types = Counter(frame.type for frame in self.strip)
        referenced = Counter(frame.type for frame in self.strip if frame.is_reference)
        idr = [i for i, frame in enumerate(self.strip) if frame.is_idr]
        kinds = [kind for kind in TYPE_CODES if types[kind]]
        return {
            "width": self.size[0],
            "height": self.size[1],
            "frames": len(self.strip),
            "interlaced": self.interlaced,
            "field_coded": self.field_coded,
            "gop": {
                "structure": "".join(frame.type for frame in self.strip),
                "idr": idr,
                "intra": [i for i, frame in enumerate(self.strip) if frame.type == "I"],
                "mean_length": len(self.strip) / max(len(idr), 1),
                "b_references": referenced["B"],
            },
            "types": {kind: types[kind] for kind in TYPE_CODES},
            "reference_share": {kind: referenced[kind] / types[kind] for kind in kinds},
            "partitions": {kind: _shares(self.partitions[kind], PARTITIONS.values()) for kind in kinds},
            "vector_pixels": {name: self._lengths(d) for d, name in enumerate(LISTS)},
            "reference_distance": {
                name: _shares(self.distances[d], (*_DISTANCES, "unknown")) for d, name in enumerate(LISTS)
            },
            "qp": {
                **{kind: _qps(self.qp[kind]) for kind in kinds},
                "all": _qps(sum(self.qp.values(), np.zeros(52, np.int64))),
            },
            "scene_cuts": self.cuts,
            "confidence": _by_direction(self.confidence),
            "residual": _by_direction(self.residual),
            "strip": tuple(self.strip),
        }

    def _lengths(self, direction: int) -> dict[str, float]:
        """Percentiles to an eighth of a pixel, from the histogram."""
        total = np.cumsum(self.lengths[direction])
        if not total[-1]:
            return {**{f"p{p}": math.nan for p in PERCENTILES}, "max": math.nan}
        at = {f"p{p}": float(_BINS[np.searchsorted(total, total[-1] * p / 100)]) for p in PERCENTILES}
        return {**at, "max": self.longest[direction]}


def _by_direction(values: Sequence[Sequence[float]]) -> dict[str, float]:
    names = ("to_prev", "to_next")
    return {name: float(np.mean(found)) if found else math.nan for name, found in zip(names, values, strict=True)}


def _shares(counts: Counter[str], names: Iterable[str]) -> dict[str, float]:
    """Shares by name in the order given, then any others; those of an empty count are 0."""
    total = max(counts.total(), 1)
    return {name: counts[name] / total for name in dict.fromkeys((*names, *counts))}


def _qps(histogram: npt.NDArray[np.int64]) -> dict[str, float]:
    used = np.flatnonzero(histogram)
    if not used.size:
        return {"mean": math.nan, "min": math.nan, "max": math.nan}
    mean = float(histogram @ np.arange(52)) / float(histogram.sum())
    return {"mean": mean, "min": int(used[0]), "max": int(used[-1])}
