"""The data of the motion package: block vectors of one frame, motion of a clip, options, array types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from codecvsr.motion.grid import grid_shape

Array = npt.NDArray[np.float32]
Luma = npt.NDArray[np.uint8]  #: (H, W), 8 bits
Prepared = npt.NDArray[np.int16]  #: (PREPARED_CHANNELS, h, w), made by ``ops.table().prepare``
Sums = npt.NDArray[np.int32]  #: (h, w) sums of differences of single cells, see ``MotionOps.best_candidate``
Mapper = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]  #: ``map``, or the ``map`` of a thread pool

PAST, FUTURE = 0, 1  #: the two directions; also list 0 and list 1 of the stream
STEPS = (-1, +1)  #: display index of the neighbour in each direction
TYPE_CODES = {"I": 1, "P": 2, "B": 3}


@dataclass(frozen=True)
class MotionOptions:
    """Parts of the repair that are on; the ablations switch them off."""

    resolve: bool = True  #: find the reference of each block and divide by its distance; off: raw vectors
    invert: bool = True  #: fill a missing direction from neighbouring frames; off: it stays empty
    refine: bool = True  #: sub-pixel steps on the decoded luma


FULL_REPAIR = MotionOptions()  #: everything on


@dataclass(frozen=True)
class BlockField:
    """The raw vectors of one frame on the cell grid, in pixels, NaN where a cell has none.

    Attributes:
        past: (2, h, w) float32, x then y: displacement to the list 0 reference.
        future: (2, h, w) float32: displacement to the list 1 reference.
        partition: (h, w) uint8, the shape of the block that covers the cell, ``(w // 8) * 4 + h // 8``: 5 for 8x8, 6 for
            8x16, 9 for 16x8, 10 for 16x16 (width x height), 0 where there is no vector (intra).
    """

    past: Array
    future: Array
    partition: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ClipMotion:
    """Codec data and motion of T frames of H x W pixels, on h = ceil(H/4) by w = ceil(W/4) cells, in display order.

    Attributes:
        past: (T, 2, h, w) float32 raw list 0 vectors in pixels, x then y, NaN where none.
        future: (T, 2, h, w) raw list 1 vectors.
        to_prev: (T, 2, h, w) motion to frame t - 1 in pixels, a backward-warping flow; zero for frame 0.
        to_next: (T, 2, h, w) motion to frame t + 1; zero for the last frame.
        confidence: (T, 2, h, w) in 0..1, for to_prev and to_next; 0 where there is no such frame or at a scene cut.
        error: (T, 2, h, w) mean absolute matching error in 8-bit luma steps, for to_prev and to_next.
        partition: (T, h, w) uint8, see :class:`BlockField`; 0 is intra.
        qp: (T, ceil(H/16), ceil(W/16)) uint8 luma QP of the macroblocks.
        types: (T,) uint8, 1 = I, 2 = P, 3 = B.
        is_reference: (T,) bool, nal_ref_idc is not 0.
        is_idr: (T,) bool.
        decode_order: (T,) int32, the decode index of each displayed frame.
        is_cut: (T,) bool, the first frame of a new scene: nothing may be propagated across it.
    """

    past: Array
    future: Array
    to_prev: Array
    to_next: Array
    confidence: Array
    error: Array
    partition: npt.NDArray[np.uint8]
    qp: npt.NDArray[np.uint8]
    types: npt.NDArray[np.uint8]
    is_reference: npt.NDArray[np.bool_]
    is_idr: npt.NDArray[np.bool_]
    decode_order: npt.NDArray[np.int32]
    is_cut: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Checks that all arrays have the same frames and cells."""
        frames, _, h, w = self.to_prev.shape
        for name in ("past", "future", "to_prev", "to_next", "confidence", "error"):
            if (shape := getattr(self, name).shape) != (frames, 2, h, w):
                raise ValueError(f"{name}: expected shape {(frames, 2, h, w)}, got shape = {shape}")
        if self.partition.shape != (frames, h, w):
            raise ValueError(f"partition: expected shape {(frames, h, w)}, got shape = {self.partition.shape}")
        for name in ("qp", "types", "is_reference", "is_idr", "decode_order", "is_cut"):
            if len(getattr(self, name)) != frames:
                raise ValueError(f"{name}: expected {frames} frames, got {len(getattr(self, name))}")

    def __len__(self) -> int:
        return len(self.types)

    def cut(self, start: int, stop: int) -> ClipMotion:
        """Returns frames ``start`` to ``stop - 1``; motion across the ends stays as it is."""
        return ClipMotion(**{f.name: getattr(self, f.name)[start:stop] for f in fields(self)})


def unknown_motion(frames: int, height: int, width: int) -> ClipMotion:
    """Returns the motion of a clip whose bitstream is not known: no vectors, no QP, no types, zero fields."""
    h, w = grid_shape(height, width)
    none = np.full((frames, 2, h, w), np.nan, np.float32)
    zero = np.zeros_like(none)
    no = np.zeros(frames, np.bool_)
    return ClipMotion(
        past=none,
        future=none,
        to_prev=zero,
        to_next=zero,
        confidence=zero,
        error=zero,
        partition=np.zeros((frames, h, w), np.uint8),
        qp=np.zeros((frames, -(-height // 16), -(-width // 16)), np.uint8),
        types=np.zeros(frames, np.uint8),
        is_reference=no,
        is_idr=no,
        decode_order=np.arange(frames, dtype=np.int32),
        is_cut=no,
    )


def join(parts: Sequence[ClipMotion]) -> ClipMotion:
    """Returns consecutive parts of one clip as one."""
    return ClipMotion(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(ClipMotion)})
