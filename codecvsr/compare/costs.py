"""What a variant costs: multiply-accumulates, and the time to repair vectors."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from codecvsr.compare.clips import TestClip
from codecvsr.compare.variants import Variant, windows_of
from codecvsr.engine.cost import counting_macs
from codecvsr.engine.device import place
from codecvsr.engine.plan import make_plan
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.motion_source import with_motion
from codecvsr.inference.source import Source
from codecvsr.models.zoo import LoadedModel
from codecvsr.motion import MotionOptions, motion_fields

COUNTED_SIDE = 64  #: side in pixels of the corner on which multiply-accumulates are counted
_COUNTED_FRAMES = 15, 3  # of a clip: recurrent networks, sliding networks


def repair_ms(clip: TestClip, options: MotionOptions) -> float | None:
    """Returns milliseconds per frame to decode a clip with its vectors and repair them; None if it has no stream."""
    if clip.folder.stream is None:
        return None
    begun = time.perf_counter()
    motion = motion_fields(clip.folder.stream, options)
    return 1e3 * (time.perf_counter() - begun) / len(motion)


def macs_per_pixel(variant: Variant, model: LoadedModel, source: Source, kind: str) -> float:
    """Returns multiply-accumulates per low-resolution pixel and frame, counted on the CPU on a corner of the first frames.

    Convolutions cost the same at every pixel, so the corner represents the frame. Padding to multiples of 32 pixels is not
    counted.
    """
    frames = min(len(source.names), max(_COUNTED_FRAMES[model.descriptor.is_sliding], variant.window, variant.segments))
    height, width = (min(COUNTED_SIDE, side) for side in source.frames.shape[1:3])
    corner = source.cut(0, frames).crop(slice(0, height), slice(0, width))
    plan = replace(make_plan("cpu", "fp32", compile=False), native=False)
    place(model.network, plan.device)
    with counting_macs() as macs:
        moved = with_motion(corner, kind, model)
        windows = windows_of(variant, model, frames)
        for _ in upscale_frames(model, moved, variant.ablations, MemoryLimits(frames, is_fixed=True), plan, windows):
            pass
    return macs.total / frames / math.prod(corner.frames.shape[1:3])
