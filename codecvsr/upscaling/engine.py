"""What upscales the frames of an input: a network, or an interpolation in a dry run, which needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from codecvsr import native_libraries
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.constants import SCALE
from codecvsr.errors import InputError
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.source import Source
from codecvsr.inference.windows import Window, longest_window
from codecvsr.motion.types import unknown_motion
from codecvsr.upscaling.options import UpscaleOptions
from codecvsr.video.probe import Media
from codecvsr.video.resize import resample

if TYPE_CHECKING:
    from codecvsr.engine.plan import Plan
    from codecvsr.inference.skip_static import DuplicateFrames, StaticBlocks
    from codecvsr.models.zoo import LoadedModel

#: Processor time of torch's interpolation of whole frames over that of :func:`resample` on parts of 320x192, by area, by whether
#: that runs in C: of 6 runs each.
_COSTS = {True: {"bicubic": 3.1, "lanczos": 3.4}, False: {"bicubic": 1.6, "lanczos": 2.4}}
_STATES = 192  # channels of a window's features: as a network without any is planned


@dataclass(frozen=True)
class Engine:
    """A network and how it is run: the same for every input."""

    model: LoadedModel
    kind: str
    plan: Plan
    options: UpscaleOptions

    @property
    def name(self) -> str:
        """Of the model."""
        return self.model.name

    @property
    def is_sliding(self) -> bool:
        """Every frame comes from a short window of its own."""
        return self.model.descriptor.is_sliding

    @property
    def radius(self) -> int:
        """Frames before and after one that a sliding network sees."""
        from codecvsr.models.registry import temporal_radius

        return temporal_radius(self.model.network)

    @property
    def has_graphs(self) -> bool:
        """The second window of a shape is captured as a CUDA graph."""
        return self.plan.graphs

    @property
    def cost(self) -> float:
        """Processor time of the work's pictures over that of :meth:`pictures`."""
        return 1.0

    def window(self, height: int, width: int) -> int:
        """Returns the maximum frames in the network at once: the option's, or as many as fit."""
        from codecvsr.inference.native_window import usual_window

        return self.options.window or usual_window(self.model.network, self.plan, height, width)

    def source(self, frames: Sequence[CodedFrame], media: Media, scratch: Path) -> Source:
        """Returns frames with their motion; ``scratch`` is a folder for a temporary file."""
        from codecvsr.upscaling.chunk_motion import make_source

        return make_source(frames, media, self.kind, self.model, scratch)

    def static(self) -> DuplicateFrames | StaticBlocks | None:
        """Returns what skips static parts of a video, and counts them; None for nothing."""
        from codecvsr.inference.native_window import is_native
        from codecvsr.inference.skip_static import skipping

        return skipping(self.options.skip_static, self.model, has_blocks=is_native(self.model.network, self.plan))

    def work_share(self, frames: Sequence[CodedFrame]) -> float:
        """Returns about what share of the network's work is done in the middle of a long shot like these frames."""
        from codecvsr.inference.native_window import usual_work_share
        from codecvsr.inference.skip_static import StaticBlocks
        from codecvsr.models.codecvsr import CodecVSR

        network = self.model.network
        if not isinstance(network, CodecVSR) or not isinstance(self.static(), StaticBlocks):
            return 1.0
        return usual_work_share(network, (frame.rgb for frame in frames), len(frames))

    def pictures(self, source: Source) -> list[npt.NDArray[np.uint8]]:
        """Returns the frames of a short clip upscaled, (4H, 4W, 3) each, without skipping blocks."""
        from codecvsr.inference.execute import upscale_frames
        from codecvsr.inference.memory_limits import MemoryLimits
        from codecvsr.inference.skip_static import StaticBlocks

        frames, static = len(source.names), self.static()
        static = None if isinstance(static, StaticBlocks) else static
        limits = MemoryLimits(frames, static=static, is_fixed=True)
        window = Window(0, frames, 0, frames)
        strength = self.options.strength
        return list(upscale_frames(self.model, source, Ablations(), limits, self.plan, [window], strength=strength))


@dataclass(frozen=True)
class InterpolationEngine:
    """An interpolation as a dry run tries it; its members are those of :class:`Engine`.

    The pictures are those of the model to the last bit but one, by matrix products instead of torch.
    """

    name: str
    options: UpscaleOptions
    kind: str = "none"
    is_sliding: bool = True
    radius: int = 0
    has_graphs: bool = False

    @property
    def cost(self) -> float:
        """Processor time of the work's pictures over that of :meth:`pictures`."""
        return _COSTS[native_libraries.field_library() is not None][self.name]

    def window(self, height: int, width: int) -> int:
        """Returns the maximum frames at once: the option's, or the least."""
        return self.options.window or longest_window(height, width, _STATES, 0)

    def source(self, frames: Sequence[CodedFrame], media: Media, scratch: Path) -> Source:
        """Returns frames without motion."""
        pixels = np.stack([frame.rgb for frame in frames])
        names = tuple(str(frame.index) for frame in frames)
        return Source(names, pixels, unknown_motion(*pixels.shape[:3]))

    def work_share(self, frames: Sequence[CodedFrame]) -> float:
        """Returns 1: nothing is skipped."""
        return 1.0

    def pictures(self, source: Source) -> list[npt.NDArray[np.uint8]]:
        """Returns the frames of a clip enlarged, (4H, 4W, 3) each."""
        height, width = (SCALE * side for side in source.frames.shape[1:3])
        return [resample(frame, height, width, kernel=self.name) for frame in source.frames]


AnyEngine: TypeAlias = Engine | InterpolationEngine


def make_engine(options: UpscaleOptions) -> Engine:
    """Loads the model and plans how it is run.

    Raises:
        InputError: the model or the device does not exist, or the model does not support the kind of motion.
        CheckpointError: the model's file is not a checkpoint.
    """
    from codecvsr.engine.device import choose_device
    from codecvsr.engine.plan import make_plan
    from codecvsr.inference.ablations import choose_motion
    from codecvsr.models.zoo import load_model

    device = choose_device(options.device)
    model = load_model(options.model)
    if model.scale != SCALE:
        raise InputError(
            f"{model.name}: restores pictures at the same size; upscale needs a network for x{SCALE}. "
            "'codecvsr infer' runs this one."
        )
    kind = choose_motion(model, options.motion, Ablations())
    plan = make_plan(device, options.precision, options.compile, architecture=model.architecture)
    return Engine(model, kind, plan, options)


def make_dry_engine(options: UpscaleOptions) -> AnyEngine:
    """Returns what a dry run tries: :func:`make_engine`, or an interpolation without torch.

    Options that only a network can have, and devices that torch must find, are left to :func:`make_engine`.

    Raises:
        CodecVSRError: see :func:`make_engine`.
    """
    is_plain = (
        options.motion is None
        and options.strength == 1
        and not options.compile
        and options.skip_static in ("off", "auto")
    )
    is_cpu = options.device in ("auto", "cpu") and options.precision in ("auto", "fp32")
    if options.model in _COSTS[True] and is_plain and is_cpu:
        return InterpolationEngine(str(options.model), options)
    return make_engine(options)
