"""Tiles for recurrent networks whose window of whole frames is larger than the memory of a CPU."""

from __future__ import annotations

import logging
import math

from torch import nn

from codecvsr.engine.hardware import detect_hardware
from codecvsr.engine.plan import Plan
from codecvsr.inference.tiles import BLOCK, MARGIN, MIN_TILE
from codecvsr.inference.windows import OVERLAP
from codecvsr.models.registry import architecture_of

_SHARE = 0.5  # of the machine's memory that a window may take: a system that runs out ends the process without an error
_HEAD_CHANNELS = 2 * 64 * 4**2  # float32 values per input pixel in the last layers of torch, whose maps are whole

log = logging.getLogger(__name__)


def usual_tile(
    network: nn.Module, plan: Plan, frames: int, height: int, width: int, *, memory: int | None = None
) -> int:
    """Return the side of tiles in which a network on the CPU runs over windows of ``frames`` frames; 0 for whole frames.

    A GPU reports when its memory runs out, and windows and tiles then become smaller; a CPU's system ends the process.

    Args:
        network: of any architecture; one that does not state its channels per frame is not tiled.
        plan: how it is run.
        frames: that a window sees, see :func:`seen_frames`.
        height: of the frames.
        width: of the frames.
        memory: of the machine in bytes; None for this machine's.
    """
    total = detect_hardware().memory_bytes if memory is None else memory
    channels = architecture_of(network).frame_channels
    if plan.device.type != "cpu" or channels is None or not total:
        return 0
    each = 4 * (channels(network) * frames + (0 if plan.native else _HEAD_CHANNELS))
    pixels = _SHARE * total / each
    if height * width <= pixels:
        return 0
    side = max(MIN_TILE, (math.isqrt(int(pixels)) - 2 * MARGIN) // BLOCK * BLOCK)
    log.warning(
        "Tiles of %d pixels: a window of %d whole frames of %dx%d needs %.1f GB, and this machine has %.1f.",
        side, frames, width, height, each * height * width / 1e9, total / 1e9,
    )  # fmt: skip
    return side


def seen_frames(window: int, frames: int) -> int:
    """Return how many of a clip's ``frames`` a window sees that makes ``window`` of them."""
    return min(window + 2 * OVERLAP, frames)
