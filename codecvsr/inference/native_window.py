"""The network codecvsr through its native form, and how many frames a window then has room for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from torch import nn

from codecvsr.constants import SCALE
from codecvsr.engine.native import codecvsr as native_codecvsr
from codecvsr.engine.native.static_tiles import usual_share
from codecvsr.engine.native.weights import held_channels, pass_depth
from codecvsr.engine.plan import Plan
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.skip_static import StaticBlocks
from codecvsr.inference.source import Source
from codecvsr.inference.source_clip import priors_of
from codecvsr.inference.steps import ShareHandler, StepCounter
from codecvsr.inference.windows import OVERLAP, longest_window
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.registry import architecture_of
from codecvsr.native_libraries import net_library


def run_native(
    network: nn.Module,
    source: Source,
    ablations: Ablations,
    plan: Plan,
    skip: int = 0,
    on_share: ShareHandler | None = None,
    blocks: StaticBlocks | None = None,
    share: float = 1.0,
    scale: int = SCALE,
) -> Iterator[npt.NDArray[np.uint8]] | None:
    """Run a window through a network's native form.

    Args:
        network: any.
        source: the frames of the window.
        ablations: parts to leave out inside the network.
        plan: how to run it.
        skip: first frames to compute without making their pictures.
        on_share: called with the share of the window that is done.
        blocks: counts the work that static blocks save; None to compute everything.
        share: of the frame that the source shows.
        scale: of the pictures, 1 to 4.

    Returns:
        The pictures (scale * H, scale * W, 3) of the frames after the first ``skip``; None where the plan or the network has no
        native form.
    """
    if not is_native(network, plan):
        return None
    assert isinstance(network, CodecVSR)
    motion = source.motion
    form = native_codecvsr.FastCodecVSR(network, *source.frames.shape[1:3], dtype=plan.dtype)
    pictures = form.iterate(
        source.frames,
        motion.to_prev,
        motion.to_next,
        priors_of(source, ablations),
        motion.is_cut,
        use_motion=not ablations.mvs,
        use_second_order=not ablations.second_order,
        skip=skip,
        on_step=None if on_share is None else StepCounter(2 * len(source.names), on_share).step,
        skip_static=blocks is not None,
        scale=scale,
    )
    return pictures if blocks is None else _counted(pictures, form, blocks, share)


def _counted(
    pictures: Iterator[npt.NDArray[np.uint8]], form: native_codecvsr.FastCodecVSR, blocks: StaticBlocks, share: float
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the pictures, and count for each the work that was left out."""
    for picture in pictures:
        blocks.skipped_frames += share * (1 - form.work_share)
        yield picture


def usual_work_share(network: CodecVSR, frames: Iterable[npt.NDArray[np.uint8]], count: int) -> float:
    """Return about what share of the work is done per frame of a long shot where static blocks are skipped.

    Args:
        network: one that :func:`is_native`.
        frames: of the shot, (H, W, 3) RGB each.
        count: of frames.
    """
    library = net_library()
    assert library is not None
    return usual_share(library, frames, count, pass_depth(network))


def usual_window(network: nn.Module, plan: Plan, height: int, width: int) -> int:
    """Return the frames of height x width pixels per window that the plan's memory has room for."""
    if isinstance(network, CodecVSR) and is_native(network, plan):
        channels = held_channels(network, plan.dtype)
        return longest_window(height, width, channels, plan.memory_bytes, beyond=2 * OVERLAP)
    return longest_window(height, width, architecture_of(network).state_channels(network), plan.memory_bytes)


def is_native(network: nn.Module, plan: Plan) -> bool:
    """Return whether a network runs in its native form, which can skip static blocks."""
    return plan.native and native_codecvsr.is_supported(network, plan.device, plan.dtype)
