"""The motion of a whole clip: what the bitstream said, and the fields made from it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.frames import CodedFrame
from codecvsr.bitstream.reader import Backend, read_video
from codecvsr.errors import InputError
from codecvsr.motion import drift
from codecvsr.motion import refine as refinement
from codecvsr.motion.field import BlockField, grid_shape, rasterise
from codecvsr.motion.resolve import FUTURE, PAST, StreamFacts, choose, raw_fields, velocities
from codecvsr.motion.sample import Array, matching_error, pad_to_cells

TYPE_CODES = {"I": 1, "P": 2, "B": 3}
_CONFIDENT_ERROR = 8.0  # luma steps: a cell that matches this badly has a confidence of one half
_CUT_ERROR = 10.0  # luma steps
_CUT_RATIO = 3.0
_CUT_PASTLESS_SHARE = 0.5  # of the cells
_MOST_THREADS = 8


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


def estimate_motion(
    frames: Iterable[CodedFrame], options: MotionOptions = FULL_REPAIR, *, threads: int | None = None
) -> ClipMotion:
    """Repair the vectors of a clip into motion between neighbouring frames.

    Args:
        frames: the clip in display order, one size. Only its luma and codec data are kept in memory.
        options: what to leave out.
        threads: how many to use, at least 1; None for one per processor, at most 8. The result is the same with any.

    Raises:
        InputError: there are no frames.
    """
    blocks: list[BlockField] = []
    lumas: list[Array] = []
    seen: list[tuple[int, bool, bool, int]] = []
    most_references: int | None = None
    qps: list[npt.NDArray[np.uint8]] = []
    for frame in frames:
        blocks.append(rasterise(frame.vectors, frame.height, frame.width))
        lumas.append(pad_to_cells(frame.luma))
        most_references = frame.most_references
        seen.append((TYPE_CODES[frame.type], frame.is_reference, frame.is_idr, frame.decode_index))
        rows, columns = -(-frame.height // 16), -(-frame.width // 16)
        qps.append(np.zeros((rows, columns), np.uint8) if frame.qp is None else frame.qp.clip(0, 51).astype(np.uint8))
    if not blocks:
        raise InputError("The clip holds no frames; at least one was expected.")
    types, is_reference, is_idr, decode_order = zip(*seen, strict=True)
    facts = StreamFacts(
        np.array(types, np.uint8),
        np.array(is_reference),
        np.array(is_idr),
        np.array(decode_order, np.int32),
        most_references,
    )
    qp = np.stack(qps)
    with ThreadPoolExecutor(threads or min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
        fields_, errors = _fields(blocks, lumas, facts, options, pool)
        past = np.stack([b.past for b in blocks])
        is_cut = _scene_cuts(errors[PAST], past)
        if options.resolve and options.refine:
            _refine_all(fields_, errors, lumas, qp, is_cut, pool)
    for t in np.flatnonzero(is_cut):
        fields_[PAST][t] = fields_[FUTURE][t - 1] = 0
    error = np.stack(errors, 1)
    return ClipMotion(
        past=past,
        future=np.stack([b.future for b in blocks]),
        to_prev=fields_[PAST],
        to_next=fields_[FUTURE],
        confidence=_confidence(error, is_cut),
        error=error,
        partition=np.stack([b.partition for b in blocks]),
        qp=qp,
        types=facts.types,
        is_reference=facts.is_reference,
        is_idr=facts.is_idr,
        decode_order=facts.decode_order,
        is_cut=is_cut,
    )


def motion_fields(
    path: str | Path,
    options: MotionOptions = FULL_REPAIR,
    *,
    backend: Backend = "auto",
    allow_damaged: bool = False,
    threads: int | None = None,
) -> ClipMotion:
    """The repaired motion of an H.264 file: :func:`estimate_motion` of :func:`read_video`, which names the errors."""
    frames = read_video(path, backend=backend, allow_damaged=allow_damaged)
    return estimate_motion(frames, options, threads=threads)


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


def measured(motion: ClipMotion, to_prev: Array, to_next: Array, lumas: list[Array]) -> ClipMotion:
    """``motion`` with other fields (T, 2, h, w); their errors and confidence are measured on ``lumas``.

    Args:
        motion: what the codec said; its scene cuts stay.
        to_prev: motion to the frame before, in pixels.
        to_next: motion to the frame after.
        lumas: T pictures padded to whole cells (:func:`codecvsr.motion.sample.pad_to_cells`).
    """
    fields_ = [to_prev.copy(), to_next.copy()]
    error = np.zeros_like(motion.error)
    for direction, t, n in _neighbours(len(lumas)):
        error[t, direction] = matching_error(lumas[t], lumas[n], fields_[direction][t])
    for cut in np.flatnonzero(motion.is_cut):
        fields_[PAST][cut] = fields_[FUTURE][cut - 1] = 0
    confidence = _confidence(error, motion.is_cut)
    return replace(motion, to_prev=fields_[PAST], to_next=fields_[FUTURE], error=error, confidence=confidence)


def _confidence(error: Array, is_cut: npt.NDArray[np.bool_]) -> Array:
    confidence = (1.0 / (1.0 + (error / _CONFIDENT_ERROR) ** 2)).astype(np.float32)
    confidence[0, PAST] = confidence[-1, FUTURE] = 0
    for cut in np.flatnonzero(is_cut):
        confidence[cut, PAST] = confidence[cut - 1, FUTURE] = 0
    return confidence


def _neighbours(frames: int) -> Iterator[tuple[int, int, int]]:
    """(direction, t, index of its neighbour) for every pair of neighbouring frames, both ways."""
    for t in range(frames):
        if t > 0:
            yield PAST, t, t - 1
        if t < frames - 1:
            yield FUTURE, t, t + 1


def _fields(
    blocks: list[BlockField], lumas: list[Array], facts: StreamFacts, options: MotionOptions, pool: ThreadPoolExecutor
) -> tuple[list[Array], list[Array]]:
    if options.resolve:
        velocity, error = velocities(blocks, lumas, facts, pool.map)

        def one_direction(direction: int) -> tuple[Array, Array]:
            return choose(velocity, error, lumas, direction, invert=options.invert)

        made = list(pool.map(one_direction, (PAST, FUTURE)))
        return [m[0] for m in made], [m[1] for m in made]
    fields_ = list(raw_fields(blocks))
    if not options.invert:
        fields_[FUTURE] = np.nan_to_num(np.stack([b.future for b in blocks]), nan=0.0)
    fields_[PAST][0] = fields_[FUTURE][-1] = 0
    errors = [np.zeros(f[:, 0].shape, np.float32) for f in fields_]
    for direction, t, n in _neighbours(len(blocks)):
        errors[direction][t] = matching_error(lumas[t], lumas[n], fields_[direction][t])
    return fields_, errors


def _refine_all(
    fields_: list[Array],
    errors: list[Array],
    lumas: list[Array],
    qp: npt.NDArray[np.uint8],
    is_cut: npt.NDArray[np.bool_],
    pool: ThreadPoolExecutor,
) -> None:
    """Refine every field in place, first between neighbours, then over several frames, and measure its error again."""
    blurred = list(pool.map(refinement.pre_blur, lumas))
    coarseness = [float(frame.mean()) for frame in qp]

    def one_field(pair: tuple[int, int, int]) -> None:
        direction, t, n = pair
        fields_[direction][t] = refinement.refine(blurred[t], blurred[n], fields_[direction][t], coarseness[t])

    def one_error(pair: tuple[int, int, int]) -> None:
        direction, t, n = pair
        errors[direction][t] = matching_error(lumas[t], lumas[n], fields_[direction][t])

    for _ in pool.map(one_field, _neighbours(len(lumas))):
        pass  # an error of a thread is raised here
    for direction, step in ((PAST, -1), (FUTURE, +1)):
        fields_[direction] = drift.correct(fields_[direction], step, blurred, coarseness, is_cut, pool.map)
    for _ in pool.map(one_error, _neighbours(len(lumas))):
        pass


def _scene_cuts(error: Array, past: Array) -> npt.NDArray[np.bool_]:
    """Frames that match the one before badly, far worse than their surroundings do, and mostly owe nothing to the past.

    They are intra-coded, or B-frames predicted from the future alone.
    """
    level = error.mean(axis=(1, 2))
    pastless_share = np.isnan(past[:, 0]).mean(axis=(1, 2))
    is_cut = np.zeros(len(level), np.bool_)
    for t in range(1, len(level)):
        around = np.concatenate([level[max(1, t - 3) : t], level[t + 1 : t + 4]])
        usual = float(np.median(around)) if around.size else 0.0
        is_cut[t] = level[t] > max(_CUT_ERROR, _CUT_RATIO * usual) and pastless_share[t] >= _CUT_PASTLESS_SHARE
    return is_cut
