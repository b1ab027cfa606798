"""The stages from blocks to fields, frame after frame: a stream of any length in a window of bounded memory.

A stage processes a frame as soon as the frames it depends on are there, so the result does not depend on how many frames are
added at once. Only the choice of motion to the next frame runs backwards in time, each frame helping the one before it; on an
endless stream it restarts every few frames (``restart``).

A live stream cannot wait for all those later frames. There the motion is estimated as if the stream ended with the last frame that
was read, and that of the last frames is estimated again when more are known (``final``).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.frame import CodedFrame
from codecvsr.motion import ops
from codecvsr.motion.block_search import search
from codecvsr.motion.coded_frames import CodedFrames
from codecvsr.motion.confidence import confidence_of
from codecvsr.motion.drift import FRAMES
from codecvsr.motion.finishing import Finishing
from codecvsr.motion.frame_store import discard_before, discard_from
from codecvsr.motion.ops.records import run
from codecvsr.motion.references import (
    MAX_REFERENCE,
    Velocity,
    best_motion,
    block_velocity,
    raw_field,
    usable_references,
)
from codecvsr.motion.refine import refine
from codecvsr.motion.scene_cuts import CONTEXT, SceneCuts
from codecvsr.motion.static_smoothing import RADIUS, smooth_static, static_share
from codecvsr.motion.types import FUTURE, PAST, STEPS, Array, ClipMotion, Mapper, MotionOptions, Prepared, Sums

_STORED = max(FRAMES + 1, RADIUS)  # finished frames that later frames need
_BATCH = 8  # frames that one stage refines before the next uses them, while they are in the cache


class MotionStream:
    """Reads the frames of a stream one by one and returns their motion in parts.

    Stores the pictures and fields that later frames need: about 35 frames and ``restart``, and up to 32 reference
    pictures before them.
    """

    def __init__(self, options: MotionOptions, restart: int | None, mapper: Mapper = map) -> None:
        """Starts with no frames.

        Args:
            options: parts of the repair that are on.
            restart: number of frames in which the motion to the next frame is chosen backwards at once; None: the whole
                clip, and nothing is returned before its end.
            mapper: runs the frames of a stage, which do not depend on each other.
        """
        self._options, self._restart, self._mapper = options, restart, mapper
        self._refines = options.resolve and options.refine
        self._coded = CodedFrames()
        self._cuts = SceneCuts(self._coded)
        self._finishing = Finishing(both=options.invert)
        self._resolved = self._prepared_until = self._refined_until = self._done = 0
        self._chosen_until = [0, 0]
        self._velocities: dict[int, tuple[Velocity | None, Velocity | None]] = {}
        self._chosen: tuple[dict[int, tuple[Array, Array]], ...] = ({}, {})  # field and error by frame
        self._static: dict[int, npt.NDArray[np.bool_]] = {}  # cells without motion before refinement
        self._prepared: dict[int, Prepared] = {}

    def add(self, frame: CodedFrame) -> None:
        """Adds the next frame in display order, of the size of the others."""
        self._coded.add(frame)

    def advance(self, *, ended: bool = False, final: int | None = None) -> ClipMotion | None:
        """Returns the motion of the frames that can be finished now, None if there are none.

        Args:
            ended: no frames will be added; or, with ``final``, the later ones are not known yet.
            final: the motion of frames from this one on is returned too, and again by the next call.
        """
        count = self._coded.count
        again = None if final is None else min(final, count - 1)  # the motion of the last frame to the next is unknown
        if self._options.resolve:
            self._resolve(count if ended else max(count - MAX_REFERENCE[FUTURE], 0))
        self._choose(ended)
        past, future = self._chosen_until
        self._cuts.find(count if ended else past - CONTEXT)
        done = count if ended else min(past, future, self._cuts.known - 1)
        if self._refines:
            done = self._refine_and_finish(min(past, future), ended, again)
        if done <= self._done:
            return None
        part = self._assemble(range(self._done, done))
        self._done = done if final is None else min(done, final)
        if again is not None:
            self._rewind(again)
        self._discard()
        return part

    def _resolve(self, end: int) -> None:
        """Finds the references and velocities of the blocks of frames before ``end``."""
        if end <= self._resolved:
            return
        first, facts = self._coded.facts_from, self._coded.facts()

        def one_frame(t: int) -> None:
            block = self._coded.blocks[t]

            def velocity(direction: int, raw: Array) -> Velocity | None:
                references = [r + first for r in usable_references(facts, t - first, direction)]
                return block_velocity(t, raw, references, self._coded.lumas)

            self._velocities[t] = velocity(PAST, block.past), velocity(FUTURE, block.future)

        run(self._mapper, one_frame, range(self._resolved, end))
        self._resolved = end

    def _choose(self, ended: bool) -> None:
        """Chooses the motion of all frames that it can be chosen for, in both directions."""
        count = self._coded.count
        if self._options.resolve:
            known = count if ended else max(self._resolved - 1, 0)  # a frame needs the velocities of the next
        else:
            known = count if ended else max(count - 1, 0)
        forwards = range(self._chosen_until[PAST], known)
        backwards = []
        begin = self._chosen_until[FUTURE]
        while begin < known:
            end = known if self._restart is None else min(begin + self._restart, known)
            if not ended and (self._restart is None or end - begin < self._restart):
                break
            backwards.append(range(end - 1, begin - 1, -1))
            begin = end

        def one_direction(direction: int) -> None:
            if direction == PAST:
                before = forwards.start - 1
                found = {before: self._chosen[PAST][before]} if before > 0 else {}
                self._choose_in_order(PAST, forwards, found)
            else:
                for frames in backwards:
                    self._choose_in_order(FUTURE, frames, {})

        run(self._mapper, one_direction, (PAST, FUTURE))
        self._chosen_until = [max(known, self._chosen_until[PAST]), begin]

    def _choose_in_order(self, direction: int, frames: range, found: dict[int, tuple[Array, Array]]) -> None:
        """Chooses motion in one direction; ``found``: results of frames before in this order."""
        step, coded, options = STEPS[direction], self._coded, self._options
        chosen, lumas = self._chosen[direction], self._coded.lumas
        for t in frames:
            block = coded.blocks[t]
            has_neighbour = coded.exists(t + step)
            sums: Sums | None = None
            if not has_neighbour:
                chosen[t] = np.zeros_like(block.past), np.zeros(block.past.shape[1:], np.float32)
            elif options.resolve:
                field, error, sums = best_motion(t, direction, lumas, self._velocities, found, invert=options.invert)
                chosen[t] = field, error
            else:
                is_empty = direction == FUTURE and not options.invert
                field = np.nan_to_num(block.future, nan=0.0) if is_empty else raw_field(block, direction)
                chosen[t] = field, ops.table().matching_error(lumas[t], lumas[t + step], field)
            if direction == PAST:  # before the search, which finds something across a cut too
                self._cuts.error[t] = float(chosen[t][1].mean())
            if has_neighbour and options.resolve:
                if options.invert:
                    chosen[t] = search(lumas[t], lumas[t + step], *chosen[t], coded.mean_qp[t], sums)
                found[t] = chosen[t]

    def _refine_and_finish(self, chosen: int, ended: bool, again: int | None) -> int:
        """Runs the stages after the choice on frames before ``chosen``; returns how many frames are finished."""
        count = self._coded.count
        for end in [*range(self._refined_until + _BATCH, chosen, _BATCH), chosen]:
            self._refine(end)
            last = ended and end == count
            known = count if last else min(self._refined_until, self._cuts.known - 1, count - 1)
            pictures = self._prepared, self._coded.mean_qp
            self._finishing.advance(known, *pictures, self._cuts.stays_in_scene, self._mapper, ended=last, again=again)
            done = self._finishing.done if again is None else min(self._finishing.done, again)
            discard_before(done - _STORED, self._prepared)
        return self._finishing.done

    def _refine(self, end: int) -> None:
        """Refines by sub-pixel steps, and prepares the pictures for them and for the matches over several frames."""
        table, coded = ops.table(), self._coded

        def prepare(t: int) -> None:
            self._prepared[t] = table.prepare(coded.lumas[t])

        def one_frame(t: int) -> None:
            for direction, step in enumerate(STEPS):
                field = self._chosen[direction][t][0]
                if coded.exists(t + step):
                    field = refine(self._prepared[t], self._prepared[t + step], field, coded.mean_qp[t])
                self._finishing.add(direction, t, field)

        prepared_until = min(end + FRAMES, coded.count)
        run(self._mapper, prepare, range(self._prepared_until, prepared_until))
        run(self._mapper, one_frame, range(self._refined_until, end))
        self._prepared_until = max(self._prepared_until, prepared_until)
        self._refined_until = max(self._refined_until, end)

    def _is_static(self, t: int) -> npt.NDArray[np.bool_]:
        """Returns (h, w): whether the motion chosen for a cell, to each neighbour in the scene, is zero."""
        if t not in self._static:
            neighbours = [d for d, step in enumerate(STEPS) if self._cuts.stays_in_scene(t, t + step)]
            fields = [self._chosen[direction][t][0] for direction in neighbours]
            shape = self._coded.blocks[t].past.shape[1:]
            self._static[t] = ~np.any(fields, axis=(0, 1)) if fields else np.ones(shape, np.bool_)
        return self._static[t]

    def _final_fields(self, t: int) -> list[Array]:
        """Returns both fields of frame ``t``, smoothed where the codec saw no motion."""
        if not self._refines:
            return [self._chosen[direction][t][0] for direction in (PAST, FUTURE)]
        fields = [self._finishing.pop(direction, t) for direction in (PAST, FUTURE)]
        stays = self._cuts.stays_in_scene
        share = static_share([self._is_static(k) for k in range(t - RADIUS, t + RADIUS + 1) if stays(t, k)])
        if share is None:
            return fields
        return [smooth_static(f, share) if stays(t, t + step) else f for f, step in zip(fields, STEPS, strict=True)]

    def _assemble(self, frames: range) -> ClipMotion:
        """Returns the motion of frames whose fields are finished."""
        coded, lumas, is_cut = self._coded, self._coded.lumas, self._cuts.is_cut
        blocks = [coded.blocks[t] for t in frames]
        shape = (len(frames), *blocks[0].past.shape)
        error, confidence = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        past, future, *to = (np.empty(shape, np.float32) for _ in range(4))

        def one_frame(i: int) -> None:
            t = frames[i]
            past[i], future[i] = blocks[i].past, blocks[i].future
            for direction, (step, field) in enumerate(zip(STEPS, self._final_fields(t), strict=True)):
                to[direction][i] = field
                if not coded.exists(t + step):
                    continue
                if self._refines:
                    error[i, direction] = ops.table().matching_error(lumas[t], lumas[t + step], field)
                else:
                    error[i, direction] = self._chosen[direction][t][1]
                if is_cut[max(t, t + step)]:
                    to[direction][i] = 0
                else:
                    confidence[i, direction] = confidence_of(error[i, direction])

        run(self._mapper, one_frame, range(len(frames)))
        facts = coded.facts(frames.start, frames.stop)
        return ClipMotion(
            past=past,
            future=future,
            to_prev=to[PAST],
            to_next=to[FUTURE],
            confidence=confidence,
            error=error,
            partition=np.stack([b.partition for b in blocks]),
            qp=np.stack([coded.qp[t] for t in frames]),
            types=facts.types,
            is_reference=facts.is_reference,
            is_idr=facts.is_idr,
            decode_order=facts.decode_order,
            is_cut=np.array([is_cut[t] for t in frames]),
        )

    def _rewind(self, first: int) -> None:
        """Deletes the motion of frames from ``first`` on, which is estimated again."""
        self._resolved, self._refined_until = min(self._resolved, first), min(self._refined_until, first)
        self._chosen_until = [min(until, first) for until in self._chosen_until]
        discard_from(first, self._velocities, *self._chosen, self._static)
        self._cuts.rewind(first)
        self._finishing.rewind(first, self._done)

    def _discard(self) -> None:
        """Deletes what no later frame can need."""
        first = self._done - _STORED
        discard_before(first, self._velocities, *self._chosen, self._static)
        self._cuts.discard_before(first)
        self._coded.discard(first, self._resolved, self._done)
