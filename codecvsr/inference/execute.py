"""The frames of a clip through a network: window by window, whole or in tiles, with less at once where memory runs out."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codecvsr.engine.plan import Plan
from codecvsr.engine.run import prepare, running
from codecvsr.engine.transfer import to_host
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.motion_jitter import TRAINED_FRAMES, jittered
from codecvsr.inference.native_window import run_native
from codecvsr.inference.skip_static import DuplicateFrames, StaticBlocks, without_duplicates
from codecvsr.inference.source import Source
from codecvsr.inference.source_clip import SourceClip
from codecvsr.inference.steps import ShareHandler, counted
from codecvsr.inference.strength import blended
from codecvsr.inference.tiles import assembled, split_frame
from codecvsr.inference.windows import Window, split
from codecvsr.models.runners import Execution
from codecvsr.models.zoo import LoadedModel


class Overflow(Exception):
    """A network's output in fp16 is not finite."""


def upscale_frames(
    model: LoadedModel,
    source: Source,
    ablations: Ablations,
    limits: MemoryLimits,
    plan: Plan,
    windows: Sequence[Window] | None = None,
    *,
    strength: float = 1.0,
    on_share: ShareHandler | None = None,
    scale: int | None = None,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Upscale the frames of a clip, in order: (scale * H, scale * W, 3) uint8 each.

    Where memory runs out, the remaining frames are made in shorter windows or in tiles; where fp16 overflows, in fp32.
    ``limits`` is updated accordingly.

    Args:
        model: any of the zoo.
        source: the clip, with the motion to use.
        ablations: parts to leave out inside the network.
        limits: frames per window (sliding networks do without), and tiles.
        plan: how to run it.
        windows: replaces the windows that ``limits`` implies; only the frames that they keep come out.
        strength: see :func:`codecvsr.inference.strength.blended`.
        on_share: called with the share of the running window that is done, where the network has steps before its pictures.
        scale: of the pictures; None for that of the model. They are shrunk to a smaller one as by
            :func:`codecvsr.video.resize.resample`, only where the network has a native form, and with a strength of 1.

    Raises:
        InputError: memory does not suffice for the smallest tiles.
    """
    scale = scale or model.scale
    height, width = source.frames.shape[1:3]
    waiting = deque(split(len(source.names), limits.window) if windows is None else windows)
    while waiting:
        window = waiting.popleft()
        done = window.keep_start
        try:
            chosen = plan.fp32() if limits.is_fp32 else plan
            for picture in upscale_window(model, source, ablations, window, limits, chosen, on_share, scale):
                yield picture if strength == 1 else blended(source.frames[done], picture, strength, plan.device)
                done += 1
        except Overflow:
            limits.use_fp32()
            waiting.appendleft(replace(window, keep_start=done))
        except (MemoryError, RuntimeError) as error:
            by_window = not model.descriptor.is_sliding
            limits.shrink(error, window.keep_stop - done, height, width, by_window=by_window)
            waiting.appendleft(replace(window, keep_start=done))
            waiting = deque(shorter for each in waiting for shorter in each.shortened(limits.window))
        if done < window.keep_stop and plan.device.type == "cuda":  # the failed window's memory is unused by now
            torch.cuda.empty_cache()


def upscale_window(
    model: LoadedModel,
    source: Source,
    ablations: Ablations,
    window: Window,
    limits: MemoryLimits,
    plan: Plan,
    on_share: ShareHandler | None = None,
    scale: int | None = None,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Upscale the frames that a window keeps, whole or in tiles: (scale * H, scale * W, 3) each.

    Args:
        model: any of the zoo.
        source: the clip, with the motion to use.
        ablations: parts to leave out inside the network.
        window: frames to see, and to keep.
        limits: tiles, and what is skipped.
        plan: how to run the network.
        on_share: called with the share of the window that is done.
        scale: of the pictures, as of :func:`upscale_frames`.

    Raises:
        Overflow: the plan's precision does not suffice.
    """
    if source.has_motion_jitter and not ablations.motion_jitter and window.stop - window.start > TRAINED_FRAMES:
        source = jittered(source, window.start, window.stop)
    scale = scale or model.scale
    size = source.frames.shape[1], source.frames.shape[2]
    tiles = split_frame(*size, limits.tile)
    sources = [source] if len(tiles) == 1 else [source.crop(tile.rows, tile.columns) for tile in tiles]
    share = 1 / len(sources)
    made = [
        _upscale_tile(
            model, each, ablations, window, limits.static, share, plan, _part_of(on_share, number, share), scale
        )
        for number, each in enumerate(sources)
    ]
    yield from made[0] if len(tiles) == 1 else assembled(tiles, made, size, scale)


def _part_of(on_share: ShareHandler | None, number: int, share: float) -> ShareHandler | None:
    """Return the handler for one of several tiles."""
    return None if on_share is None else lambda done: on_share((number + done) * share)


def _upscale_tile(
    model: LoadedModel,
    source: Source,
    ablations: Ablations,
    window: Window,
    static: DuplicateFrames | StaticBlocks | None,
    share: float,
    plan: Plan,
    on_share: ShareHandler | None,
    scale: int,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Upscale the frames that a window keeps of a clip, or of a tile that is ``share`` of it."""
    prepare(model.network, plan)
    duplicates = static if isinstance(static, DuplicateFrames) else None
    blocks = static if isinstance(static, StaticBlocks) else None
    first = window.keep_start if model.descriptor.is_sliding else window.start
    originals = (
        np.arange(first, window.stop) if duplicates is None else duplicates.originals(source, first, window.stop)
    )
    wanted = originals[window.keep_start - first : window.keep_stop - first].tolist()
    if not wanted:
        return
    indices, shown = np.unique(originals), -1
    with running(plan):
        skip = int(np.searchsorted(indices, wanted[0]))
        made = _upscale(model, source, indices, skip, ablations, plan, on_share, blocks, share, scale)
        for index, original in enumerate(wanted, window.keep_start):
            if original != shown:
                picture, shown = next(made), original
            if duplicates is not None and original != index:
                duplicates.skipped_frames += share
            yield picture


def _upscale(
    model: LoadedModel,
    source: Source,
    indices: npt.NDArray[np.int64],
    skip: int,
    ablations: Ablations,
    plan: Plan,
    on_share: ShareHandler | None,
    blocks: StaticBlocks | None,
    share: float,
    scale: int,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Upscale the frames ``indices``, in order, except the first ``skip`` of them; ``share`` is that of the tile."""
    runner = model.descriptor.runner
    execution = Execution(plan.frames_per_step, whole_window=plan.graphs)
    counting = None if plan.graphs or plan.compile else on_share
    if model.descriptor.is_sliding:  # it sees all frames around one, whether these are made or not
        wanted = indices[skip:].tolist()
        outputs = runner(model.network, SourceClip(source, plan.device, ablations), wanted, execution)
        yield from to_host((as_bytes(output[0], plan) for output in outputs), plan.device)
        return
    first, stop = int(indices[0]), int(indices[-1]) + 1
    has_all = len(indices) == stop - first
    window = source.cut(first, stop) if has_all else without_duplicates(source, indices)
    native = run_native(model.network, window, ablations, plan, skip, on_share, blocks, share, scale)
    if native is not None:
        yield from native
        return
    assert scale == model.scale
    clip = SourceClip(window, plan.device, ablations)
    with counted(model.network, len(clip), counting):
        outputs = itertools.islice(runner(model.network, clip, range(len(clip)), execution), skip, None)
        yield from to_host((as_bytes(output[0], plan) for output in outputs), plan.device)


def as_bytes(output: Tensor, plan: Plan) -> Tensor:
    """Return a network's picture (3, H, W) in 0..1 as (H, W, 3) uint8, on its device.

    Raises:
        Overflow: a value is not finite.
    """
    if plan.dtype == torch.float16 and not bool(output.isfinite().all()):
        raise Overflow
    picture = output.float().clamp(0, 1).mul_(255).round_().to(torch.uint8)
    return picture.permute(1, 2, 0).contiguous()
