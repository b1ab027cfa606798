"""The network codecvsr through its native form, and how many frames a window then has room for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from torch import nn

from codecvsr.engine.native import codecvsr as native_codecvsr
from codecvsr.engine.plan import Plan
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.source import Source
from codecvsr.inference.source_clip import priors_of
from codecvsr.inference.steps import ShareHandler, StepCounter
from codecvsr.inference.windows import OVERLAP, longest_window
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.registry import architecture_of


def run_native(
    network: nn.Module,
    source: Source,
    ablations: Ablations,
    plan: Plan,
    skip: int = 0,
    on_share: ShareHandler | None = None,
) -> Iterator[npt.NDArray[np.uint8]] | None:
    """Run a window through a network's native form.

    Args:
        network: any.
        source: the frames of the window.
        ablations: parts to leave out inside the network.
        plan: how to run it.
        skip: first frames to compute without making their pictures.
        on_share: called with the share of the window that is done.

    Returns:
        The pictures (4H, 4W, 3) of the frames after the first ``skip``; None where the plan or the network has no native form.
    """
    if not is_native(network, plan):
        return None
    assert isinstance(network, CodecVSR)
    motion = source.motion
    return native_codecvsr.FastCodecVSR(network, *source.frames.shape[1:3], dtype=plan.dtype).iterate(
        source.frames,
        motion.to_prev,
        motion.to_next,
        priors_of(source, ablations),
        motion.is_cut,
        use_motion=not ablations.mvs,
        use_second_order=not ablations.second_order,
        skip=skip,
        on_step=None if on_share is None else StepCounter(2 * len(source.names), on_share).step,
    )


def usual_window(network: nn.Module, plan: Plan, height: int, width: int) -> int:
    """Return the frames of height x width pixels per window that the plan's memory has room for."""
    if isinstance(network, CodecVSR) and is_native(network, plan):
        channels = native_codecvsr.held_channels(network, plan.dtype)
        return longest_window(height, width, channels, plan.memory_bytes, beyond=2 * OVERLAP)
    return longest_window(height, width, architecture_of(network).state_channels(network), plan.memory_bytes)


def is_native(network: nn.Module, plan: Plan) -> bool:
    """Return whether the plan runs a network through its native form."""
    return plan.native and native_codecvsr.is_supported(network, plan.device, plan.dtype)
