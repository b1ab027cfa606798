"""The network codecvsr on a stream: windows that slide, and carry the states of the past on.

Every frame is made once. A window has the frames that are made, some look-ahead after them, and the two frames before, whose forward
states were computed when they were made; so nothing of the past is computed again, and only the pass backward in time is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from codecvsr.engine.native import codecvsr as native_codecvsr
from codecvsr.engine.plan import Plan
from codecvsr.engine.run import prepare, running
from codecvsr.engine.transfer import to_host
from codecvsr.errors import InputError
from codecvsr.inference.ablations import NO_ABLATIONS
from codecvsr.inference.execute import as_bytes
from codecvsr.inference.native_window import is_native
from codecvsr.inference.source import Source
from codecvsr.inference.source_clip import SourceClip, priors_of
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.zoo import LoadedModel
from codecvsr.motion.types import ClipMotion, join

PAST = 2  #: frames before a window that its first frames see

Frames = npt.NDArray[np.uint8]  #: (T, H, W, 3) RGB


class SlidingNetwork:
    """A network codecvsr for the frames of a stream, all of one size, in display order."""

    def __init__(self, model: LoadedModel, plan: Plan) -> None:
        """Computes nothing yet.

        Args:
            model: a network of the architecture codecvsr.
            plan: how to run it, see :func:`without_graphs`.

        Raises:
            InputError: the model is of another architecture.
        """
        if not isinstance(model.network, CodecVSR):
            raise InputError(
                f"{model.name}: {model.descriptor.title} needs whole windows; a stream runs through codecvsr, codecvsr-fast, weights "
                "of that architecture, or bicubic."
            )
        self._network, self._plan = model.network, plan
        self._native: native_codecvsr.FastCodecVSR | None = None
        self._size = 0, 0
        self.reset()

    def reset(self) -> None:
        """Forgets the past: the next frame begins a stream."""
        self._frames: Frames | None = None
        self._motion: ClipMotion | None = None
        self._states: dict[int, Any] = {}

    def upscale(
        self, frames: Frames, motion: ClipMotion, made: int, on_step: Callable[[], None] | None = None
    ) -> Iterator[Frames]:
        """Upscales the next frames of the stream. Use up the iterator, or call :meth:`reset`.

        Args:
            frames: (T, H, W, 3): those to be made, then the look-ahead, which the next call passes again.
            motion: of these T frames; ``to_prev`` of the first one points into the last frame made.
            made: number of frames to make, at least 1.
            on_step: called after each step of the native form; an exception from it ends the window.

        Yields:
            ``made`` pictures (4H, 4W, 3).
        """
        past, states, self._states = 0, self._states, {}
        if self._frames is not None and self._motion is not None:
            past = len(self._frames)
            frames, motion = np.concatenate([self._frames, frames]), join([self._motion, motion])
        stop = past + made
        source = Source(tuple(map(str, range(len(frames)))), frames, motion)
        begin = max(stop - PAST, 0)
        if is_native(self._network, self._plan):
            yield from self._run_native(source, past, stop, states, on_step)
        else:
            yield from self._run_readable(source, past, stop, states)
        self._frames, self._motion = frames[begin:stop].copy(), motion.cut(begin, stop)
        self._states = {i - begin: states[i] for i in range(begin, stop) if i in states}

    def _run_native(
        self, source: Source, first: int, stop: int, states: dict[int, Any], on_step: Callable[[], None] | None
    ) -> Iterator[Frames]:
        size = source.frames.shape[1], source.frames.shape[2]
        if self._native is None or self._size != size:
            self._native = native_codecvsr.FastCodecVSR(self._network, *size, dtype=self._plan.dtype)
            self._size = size
        motion = source.motion
        yield from self._native.iterate(
            source.frames, motion.to_prev, motion.to_next, priors_of(source, NO_ABLATIONS), motion.is_cut,
            first=first, stop=stop, states=states, on_step=on_step,
        )  # fmt: skip

    def _run_readable(self, source: Source, first: int, stop: int, states: dict[int, Any]) -> Iterator[Frames]:
        prepare(self._network, self._plan)
        clip = SourceClip(source, self._plan.device)
        with running(self._plan):
            outputs = self._network.iterate(
                clip.frames(), *clip.cell_fields(), clip.priors(), clip.cuts(), first=first, stop=stop, states=states
            )
            yield from to_host((as_bytes(output[0], self._plan) for output in outputs), self._plan.device)


def without_graphs(plan: Plan) -> Plan:
    """Returns a plan for windows whose length varies: without CUDA graphs, and not compiled; fp32 where fp16 may overflow."""
    dtype = torch.float32 if plan.dtype == torch.float16 else plan.dtype
    return replace(plan, graphs=False, compile=False, compile_from=None, dtype=dtype)
