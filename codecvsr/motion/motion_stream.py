"""The stages from blocks to fields, frame after frame: a stream of any length in a window of bounded memory.

A stage does a frame as soon as what it depends on is there, so what comes out does not depend on how many frames were
given at once. Only the choice of motion to the next frame runs backwards in time, each frame helping the one before it;
on an endless stream it starts anew every few frames (``stretch``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.frame import CodedFrame
from codecvsr.motion import refine as refinement
from codecvsr.motion.block_search import search
from codecvsr.motion.clip_motion import TYPE_CODES, ClipMotion, MotionOptions, confidence_of
from codecvsr.motion.drift import FRAMES
from codecvsr.motion.field import BlockField, rasterise
from codecvsr.motion.finishing import Finishing
from codecvsr.motion.ops.frame_arrays import Placed
from codecvsr.motion.ops.native import Mapper, run
from codecvsr.motion.ops.reference import Array, Luma, matching_error, pad_to_cells
from codecvsr.motion.references import (
    FUTURE,
    MAX_REFERENCE,
    PAST,
    StreamFacts,
    Velocity,
    block_velocity,
    choose,
    raw_field,
    usable_references,
)
from codecvsr.motion.static_smoothing import RADIUS, even, static_share

_CUT_ERROR = 10.0  # luma steps
_CUT_RATIO = 3.0
_CUT_PASTLESS_SHARE = 0.5  # of the cells
_CUT_AROUND = 3  # frames on either side that a frame is compared with
_STEPS = ((PAST, -1), (FUTURE, +1))
_FACTS_KEPT = 256  # frames; what the stream says of those before has no bearing on which references are usable
_KEPT = max(FRAMES + 1, RADIUS)  # finished frames that frames to come look at
_AT_ONCE = 8  # frames that one stage refines before the next takes them up, while they are still at hand


class _Lumas(dict[int, Luma]):
    """Pictures padded to whole cells by frame; made from the decoded ones where they are first asked for."""

    def __init__(self) -> None:
        self.decoded: dict[int, Luma] = {}

    def __missing__(self, t: int) -> Luma:
        self[t] = padded = pad_to_cells(self.decoded[t])
        return padded


class MotionStream:
    """Takes the frames of a stream one by one and gives their motion back in pieces.

    Of pictures and fields it keeps what frames to come need: about 35 frames and ``stretch``, and up to 32 reference
    pictures before them.
    """

    def __init__(self, options: MotionOptions, stretch: int | None, mapper: Mapper = map) -> None:
        """Nothing was read yet.

        Args:
            options: what to leave out.
            stretch: frames in which the motion to the next frame is chosen backwards in one go; None: the whole clip,
                and nothing comes out before it has ended.
            mapper: runs the frames of a stage, which do not depend on each other.
        """
        self._options, self._stretch, self._mapper = options, stretch, mapper
        self._refines = options.resolve and options.refine
        self._read = self._resolved = self._cuts_known = self._prepared_until = self._refined_until = self._done = 0
        self._chosen_until = [0, 0]
        self._facts: list[tuple[int, bool, bool, int]] = []
        self._facts_from = 0
        self._max_references: int | None = None
        self._blocks: dict[int, BlockField] = {}
        self._qp: dict[int, npt.NDArray[np.uint8]] = {}
        self._coarseness: dict[int, float] = {}
        self._lumas = _Lumas()
        self._prepared = Placed()
        self._velocities: dict[int, tuple[Velocity | None, Velocity | None]] = {}
        self._chosen: tuple[dict[int, tuple[Array, Array]], ...] = ({}, {})  # field and error by frame
        self._level: dict[int, float] = {}
        self._is_cut: dict[int, bool] = {}
        self._scene: dict[int, int] = {}  # by frame: how many cuts came before
        self._finishing = Finishing(both=options.invert)
        self._static: dict[int, npt.NDArray[np.bool_]] = {}  # cells for which only steps of refinement found motion

    def add(self, frame: CodedFrame) -> None:
        """The next frame in display order, of the size of the others."""
        t = self._read
        self._read += 1
        self._facts.append((TYPE_CODES[frame.type], frame.is_reference, frame.is_idr, frame.decode_index))
        self._max_references = frame.max_references
        self._blocks[t] = rasterise(frame.vectors, frame.height, frame.width)
        self._lumas.decoded[t] = frame.luma
        rows, columns = -(-frame.height // 16), -(-frame.width // 16)
        qp = np.zeros((rows, columns), np.uint8) if frame.qp is None else frame.qp.clip(0, 51).astype(np.uint8)
        self._qp[t], self._coarseness[t] = qp, float(qp.mean())

    def take(self, *, ended: bool = False) -> ClipMotion | None:
        """The motion of the frames that can be finished now, None where there is none; ``ended``: no more will be added."""
        read = self._read
        if self._options.resolve:
            self._resolve(read if ended else max(read - MAX_REFERENCE[FUTURE], 0))
        self._choose(ended)
        past, future = self._chosen_until
        self._find_cuts(read if ended else past - _CUT_AROUND)
        done = read if ended else min(past, future, self._cuts_known - 1)
        if self._refines:
            chosen = min(past, future)
            for end in [*range(self._refined_until + _AT_ONCE, chosen, _AT_ONCE), chosen]:
                self._refine(end)
                last = ended and end == read
                known = read if last else min(self._refined_until, self._cuts_known - 1, read - 1)
                pictures = self._prepared, self._coarseness
                self._finishing.advance(known, *pictures, self._stays_in_scene, self._mapper, ended=last)
                self._prepared.drop_before(self._finishing.done - _KEPT)
            done = self._finishing.done
        if done <= self._done:
            return None
        piece = self._finish(range(self._done, done))
        self._done = done
        self._forget()
        return piece

    def _exists(self, t: int) -> bool:
        """Frame ``t`` was read; to a stage whose turn has come, a frame that was not does not exist."""
        return 0 <= t < self._read

    def _resolve(self, end: int) -> None:
        if end <= self._resolved:
            return
        first = self._facts_from
        types, is_reference, is_idr, decode_order = zip(*self._facts, strict=True)
        facts = StreamFacts(
            np.array(types, np.uint8),
            np.array(is_reference),
            np.array(is_idr),
            np.array(decode_order, np.int32),
            self._max_references,
        )

        def one_frame(t: int) -> None:
            block = self._blocks[t]

            def velocity(direction: int, raw: Array) -> Velocity | None:
                references = [r + first for r in usable_references(facts, t - first, direction)]
                return block_velocity(t, raw, references, self._lumas)

            self._velocities[t] = velocity(PAST, block.past), velocity(FUTURE, block.future)

        run(self._mapper, one_frame, range(self._resolved, end))
        self._resolved = end

    def _choose(self, ended: bool) -> None:
        if self._options.resolve:
            known = self._read if ended else max(self._resolved - 1, 0)  # a frame looks at the velocities of the next
        else:
            known = self._read if ended else max(self._read - 1, 0)
        forwards = range(self._chosen_until[PAST], known)
        stretches = []
        begin = self._chosen_until[FUTURE]
        while begin < known:
            end = known if self._stretch is None else min(begin + self._stretch, known)
            if not ended and (self._stretch is None or end - begin < self._stretch):
                break
            stretches.append(range(end - 1, begin - 1, -1))
            begin = end

        def one_direction(direction: int) -> None:
            if direction == PAST:
                before = forwards.start - 1
                found = {before: self._chosen[PAST][before]} if before > 0 else {}
                self._choose_in_turn(PAST, forwards, found)
            else:
                for stretch in stretches:
                    self._choose_in_turn(FUTURE, stretch, {})

        run(self._mapper, one_direction, (PAST, FUTURE))
        self._chosen_until = [max(known, self._chosen_until[PAST]), begin]

    def _choose_in_turn(self, direction: int, frames: range, found: dict[int, tuple[Array, Array]]) -> None:
        """``found``: what was chosen for frames before in this order."""
        _, step = _STEPS[direction]
        chosen, options = self._chosen[direction], self._options
        for t in frames:
            if not self._exists(t + step):
                chosen[t] = np.zeros_like(self._blocks[t].past), np.zeros(self._blocks[t].past.shape[1:], np.float32)
            elif options.resolve:
                chosen[t] = choose(t, direction, self._lumas, self._velocities, found, invert=options.invert)
            else:
                block = self._blocks[t]
                is_empty = direction == FUTURE and not options.invert
                field = np.nan_to_num(block.future, nan=0.0) if is_empty else raw_field(block, direction)
                chosen[t] = field, matching_error(self._lumas[t], self._lumas[t + step], field)
            if direction == PAST:
                self._level[t] = float(
                    chosen[t][1].mean()
                )  # before the search, which finds something beyond a cut, too
            if self._exists(t + step) and options.resolve:
                if options.invert:
                    chosen[t] = search(self._lumas[t], self._lumas[t + step], *chosen[t], self._coarseness[t])
                found[t] = chosen[t]

    def _find_cuts(self, end: int) -> None:
        """Frames that match the one before badly, far worse than their surroundings do, and mostly owe nothing to the past.

        They are intra-coded, or B-frames predicted from the future alone.
        """
        for t in range(self._cuts_known, end):
            self._is_cut[t] = False
            if t > 0 and self._level[t] > _CUT_ERROR:
                near = range(max(t - _CUT_AROUND, 1), t + _CUT_AROUND + 1)
                around = [self._level[k] for k in near if k != t and self._exists(k)]
                usual = float(np.median(around)) if around else 0.0
                pastless_share = np.isnan(self._blocks[t].past[0]).mean()
                self._is_cut[t] = bool(self._level[t] > _CUT_RATIO * usual and pastless_share >= _CUT_PASTLESS_SHARE)
            self._scene[t] = self._scene.get(t - 1, 0) + self._is_cut[t]
        self._cuts_known = max(self._cuts_known, end)

    def _refine(self, end: int) -> None:
        """Sub-pixel steps between neighbours, and the prepared pictures they and the matches over several frames need."""

        def prepare(t: int) -> None:
            self._prepared.put(t, refinement.prepare(self._lumas[t]))

        def one_frame(t: int) -> None:
            for direction, step in _STEPS:
                field = self._chosen[direction][t][0]
                if self._exists(t + step):
                    pictures = self._prepared[t], self._prepared[t + step]
                    field = refinement.refine(*pictures, field, self._coarseness[t])
                self._finishing.add(direction, t, field)

        prepared_until = min(end + FRAMES, self._read)
        run(self._mapper, prepare, range(self._prepared_until, prepared_until))
        run(self._mapper, one_frame, range(self._refined_until, end))
        self._prepared_until = max(self._prepared_until, prepared_until)
        self._refined_until = max(self._refined_until, end)

    def _is_static(self, t: int) -> npt.NDArray[np.bool_]:
        """(h, w): whether the motion chosen for a cell, to either neighbour in the scene, is none."""
        if t not in self._static:
            fields = [self._chosen[d][t][0] for d, step in _STEPS if self._stays_in_scene(t, t + step)]
            shape = self._blocks[t].past.shape[1:]
            self._static[t] = ~np.any(fields, axis=(0, 1)) if fields else np.ones(shape, np.bool_)
        return self._static[t]

    def _evened(self, t: int, fields: list[list[Array]], i: int) -> None:
        near = [self._is_static(k) for k in range(t - RADIUS, t + RADIUS + 1) if self._stays_in_scene(t, k)]
        share = static_share(near)
        if share is not None:
            for direction, step in _STEPS:
                if self._stays_in_scene(t, t + step):
                    fields[direction][i] = even(fields[direction][i], share)

    def _stays_in_scene(self, t: int, end: int) -> bool:
        return self._exists(t) and self._exists(end) and self._scene[t] == self._scene[end]

    def _finish(self, frames: range) -> ClipMotion:
        shape = (len(frames), *self._blocks[frames[0]].past.shape)
        error = np.zeros(shape, np.float32)
        if self._refines:
            fields = [[self._finishing.take(direction, t) for t in frames] for direction, _ in _STEPS]
        else:
            fields = [[self._chosen[direction][t][0] for t in frames] for direction, _ in _STEPS]

        def one_frame(i: int) -> None:
            t = frames[i]
            if self._refines:
                self._evened(t, fields, i)
            for direction, step in _STEPS:
                if not self._exists(t + step):
                    continue
                if self._refines:
                    error[i, direction] = matching_error(self._lumas[t], self._lumas[t + step], fields[direction][i])
                else:
                    error[i, direction] = self._chosen[direction][t][1]
                if self._is_cut[max(t, t + step)]:
                    fields[direction][i] = np.zeros(shape[1:], np.float32)

        run(self._mapper, one_frame, range(len(frames)))
        confidence = confidence_of(error)
        for i, t in enumerate(frames):
            for direction, step in _STEPS:
                if not self._exists(t + step) or self._is_cut[max(t, t + step)]:
                    confidence[i, direction] = 0.0
        facts = self._facts[frames.start - self._facts_from : frames.stop - self._facts_from]
        types, is_reference, is_idr, decode_order = zip(*facts, strict=True)
        blocks = [self._blocks[t] for t in frames]
        return ClipMotion(
            past=np.stack([b.past for b in blocks]),
            future=np.stack([b.future for b in blocks]),
            to_prev=np.stack(fields[PAST]),
            to_next=np.stack(fields[FUTURE]),
            confidence=confidence,
            error=error,
            partition=np.stack([b.partition for b in blocks]),
            qp=np.stack([self._qp[t] for t in frames]),
            types=np.array(types, np.uint8),
            is_reference=np.array(is_reference),
            is_idr=np.array(is_idr),
            decode_order=np.array(decode_order, np.int32),
            is_cut=np.array([self._is_cut[t] for t in frames]),
        )

    def _forget(self) -> None:
        """Let go of what no frame to come can need."""
        first = self._done - _KEPT
        kept: tuple[dict[int, Any], ...] = (
            self._blocks, self._qp, self._coarseness, self._velocities, *self._chosen, self._level,
            self._is_cut, self._scene, self._static,
        )  # fmt: skip
        drop_before(first, *kept)
        oldest = self._resolved - MAX_REFERENCE[PAST]
        for pictures in (self._lumas, self._lumas.decoded):
            for t in [t for t in pictures if t < first and (t < oldest or not self._facts[t - self._facts_from][1])]:
                del pictures[t]
        surplus = self._done - _FACTS_KEPT - self._facts_from
        if surplus > 0:
            del self._facts[:surplus]
            self._facts_from += surplus


def drop_before(first: int, *kept: dict[int, Any]) -> None:
    """Take out what belongs to frames before ``first``."""
    for by_frame in kept:
        for t in [t for t in by_frame if t < first]:
            del by_frame[t]
