"""The motion of a whole clip: what the bitstream said, and the fields made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from codecvsr.motion.field import grid_shape
from codecvsr.motion.ops.reference import Array, Luma, matching_error
from codecvsr.motion.references import FUTURE, PAST

TYPE_CODES = {"I": 1, "P": 2, "B": 3}
_CONFIDENT_ERROR = 8.0  # luma steps: a cell that matches this badly has a confidence of one half


@dataclass(frozen=True)
class MotionOptions:
    """Which parts of the repair are on; each can be switched off to show what it is worth."""

    resolve: bool = True  #: find each block's reference and divide by its distance; off: raw vectors as they are
    invert: bool = True  #: a missing direction is made from neighbouring frames; off: it stays empty
    refine: bool = True  #: sub-pixel steps on the decoded luma


FULL_REPAIR = MotionOptions()  #: everything on


@dataclass(frozen=True)
class ClipMotion:
    """Codec data and motion of T frames of H x W pixels, on h = ceil(H/4) by w = ceil(W/4) cells, in display order.

    Attributes:
        past: (T, 2, h, w) float32 raw list 0 vectors in pixels, x then y, NaN where none.
        future: (T, 2, h, w) raw list 1 vectors.
        to_prev: (T, 2, h, w) motion to frame t - 1 in pixels, a backward-warping flow; zero for frame 0.
        to_next: (T, 2, h, w) motion to frame t + 1; zero for the last frame.
        confidence: (T, 2, h, w) in 0..1, for to_prev and to_next; 0 where there is no such frame or a scene was cut.
        error: (T, 2, h, w) mean absolute matching error in 8-bit luma steps, for to_prev and to_next.
        partition: (T, h, w) uint8, see ``motion.field.BlockField``; 0 is intra.
        qp: (T, ceil(H/16), ceil(W/16)) uint8 luma quantisers of the macroblocks.
        types: (T,) uint8, 1 = I, 2 = P, 3 = B.
        is_reference: (T,) bool, nal_ref_idc is not 0.
        is_idr: (T,) bool.
        decode_order: (T,) int32, the decode index of each displayed frame.
        is_cut: (T,) bool, the first frame of a new scene: nothing may be propagated across it.
    """

    past: npt.NDArray[np.float32]
    future: npt.NDArray[np.float32]
    to_prev: npt.NDArray[np.float32]
    to_next: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]
    error: npt.NDArray[np.float32]
    partition: npt.NDArray[np.uint8]
    qp: npt.NDArray[np.uint8]
    types: npt.NDArray[np.uint8]
    is_reference: npt.NDArray[np.bool_]
    is_idr: npt.NDArray[np.bool_]
    decode_order: npt.NDArray[np.int32]
    is_cut: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Check that every array speaks of the same frames and cells."""
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
        """Frames ``start`` to ``stop - 1`` alone; motion across the ends stays as it is."""
        return ClipMotion(**{f.name: getattr(self, f.name)[start:stop] for f in fields(self)})


def unknown_motion(frames: int, height: int, width: int) -> ClipMotion:
    """The motion of a clip whose bitstream is not known: no vectors, no quantisers, no types, zero fields."""
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


def measured(motion: ClipMotion, to_prev: Array, to_next: Array, lumas: list[Luma]) -> ClipMotion:
    """``motion`` with other fields (T, 2, h, w); their errors and confidence are measured on ``lumas``.

    Args:
        motion: what the codec said; its scene cuts stay.
        to_prev: motion to the frame before, in pixels.
        to_next: motion to the frame after.
        lumas: T pictures padded to whole cells (:func:`codecvsr.motion.ops.reference.pad_to_cells`).
    """
    fields_ = [to_prev.copy(), to_next.copy()]
    error = np.zeros_like(motion.error)
    confidence = np.zeros_like(motion.confidence)
    for direction, step in ((PAST, -1), (FUTURE, +1)):
        for t in range(len(lumas)):
            if 0 <= t + step < len(lumas):
                error[t, direction] = matching_error(lumas[t], lumas[t + step], fields_[direction][t])
                confidence[t, direction] = confidence_of(error[t, direction])
    for cut in np.flatnonzero(motion.is_cut):
        fields_[PAST][cut] = fields_[FUTURE][cut - 1] = 0
        confidence[cut, PAST] = confidence[cut - 1, FUTURE] = 0
    return replace(motion, to_prev=fields_[PAST], to_next=fields_[FUTURE], error=error, confidence=confidence)


def join(pieces: Sequence[ClipMotion]) -> ClipMotion:
    """Consecutive pieces of one clip in one."""
    return ClipMotion(
        **{f.name: np.concatenate([getattr(piece, f.name) for piece in pieces]) for f in fields(ClipMotion)}
    )


def confidence_of(error: Array) -> Array:
    """1 where pictures match exactly, a half at an error of :data:`_CONFIDENT_ERROR`, in the shape of ``error``."""
    return (1.0 / (1.0 + (error / _CONFIDENT_ERROR) ** 2)).astype(np.float32)
