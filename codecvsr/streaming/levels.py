"""The networks a live stream can run through, the best first and the fastest last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from codecvsr import native_libraries
from codecvsr.constants import SCALE
from codecvsr.engine.device import choose_device
from codecvsr.engine.native.buffers import empty_bytes
from codecvsr.engine.native.library import is_worth_it
from codecvsr.engine.native.net import NativeNet
from codecvsr.engine.plan import Plan, make_plan
from codecvsr.inference.sliding import SlidingNetwork, without_graphs
from codecvsr.models.bicubic import Bicubic
from codecvsr.models.zoo import LoadedModel, load_model
from codecvsr.motion.types import ClipMotion

_BICUBIC, _FAST = "bicubic", "codecvsr-fast"
_GRID = SCALE**2

Frames = npt.NDArray[np.uint8]


class Level(Protocol):
    """One network.

    Attributes:
        name: of the model.
        needs_motion: whether it sees motion and the frames around; otherwise each frame by itself.
    """

    name: str
    needs_motion: bool

    def upscale(
        self, frames: Frames, motion: ClipMotion | None, made: int, on_step: Callable[[], None] | None
    ) -> Iterator[Frames]:
        """Yields the pictures of the first ``made`` frames: see :meth:`SlidingNetwork.upscale`."""

    def reset(self) -> None:
        """Forgets the past."""


class NetworkLevel:
    """A network codecvsr."""

    needs_motion = True

    def __init__(self, model: LoadedModel, plan: Plan) -> None:
        """Raises InputError for a model of another architecture."""
        self.name = model.name
        self._network = SlidingNetwork(model, plan)

    def upscale(
        self, frames: Frames, motion: ClipMotion | None, made: int, on_step: Callable[[], None] | None
    ) -> Iterator[Frames]:
        """See :class:`Level`."""
        assert motion is not None
        return self._network.upscale(frames, motion, made, on_step)

    def reset(self) -> None:
        """See :class:`Level`."""
        self._network.reset()


class BicubicLevel:
    """Interpolation, frame by frame: in the native library where it is built, for its speed."""

    name, needs_motion = _BICUBIC, False

    def __init__(self, plan: Plan) -> None:
        self._device = plan.device
        library = native_libraries.net_library() if plan.device.type == "cpu" else None
        self._library = library if library is not None and is_worth_it(library) else None
        self._net: NativeNet | None = None
        self._residual: npt.NDArray[np.float32] | None = None

    def upscale(
        self, frames: Frames, motion: ClipMotion | None, made: int, on_step: Callable[[], None] | None
    ) -> Iterator[Frames]:
        """See :class:`Level`."""
        for frame in frames[:made]:
            yield self._enlarged(frame)

    def _enlarged(self, frame: Frames) -> Frames:
        height, width = frame.shape[:2]
        if self._library is None:
            pixels = torch.from_numpy(frame).to(self._device).permute(2, 0, 1).float() / 255
            enlarged = Bicubic()(pixels[None, None])[0, 0].clamp(0, 1).mul_(255).round_().to(torch.uint8)
            return np.ascontiguousarray(enlarged.permute(1, 2, 0).cpu().numpy())
        if self._net is None or (self._net.height, self._net.width) != (height, width):
            self._net = NativeNet(self._library, height, width)
            self._residual = np.zeros((height, width, 3 * _GRID), np.float32)
        assert self._residual is not None
        picture = self._net.load(frame)
        output = empty_bytes(_GRID * frame.size).reshape(SCALE * height, SCALE * width, 3)
        self._net.finish(picture, self._residual, output)
        self._net.release(picture.colours, picture.luma)
        return output

    def reset(self) -> None:
        """See :class:`Level`."""


def load_levels(model: str, device: str, precision: str) -> tuple[Sequence[Level], Plan]:
    """Loads ``model`` and the faster networks below it, and plans how they run.

    Raises:
        InputError: there is no such model or device, or the model is of an architecture that cannot run on a stream.
        CheckpointError: the model's file is not a checkpoint.
    """
    target = choose_device(device)
    plan = without_graphs(make_plan(target, precision, architecture="codecvsr"))
    levels: list[Level] = []
    if model != _BICUBIC:
        best = load_model(model)
        levels.append(NetworkLevel(best, plan))
        if best.name != _FAST and best.parameters > (fast := load_model(_FAST)).parameters:
            levels.append(NetworkLevel(fast, plan))
    return [*levels, BicubicLevel(plan)], plan
