"""A window of a clip through a network, whole or in tiles."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codecvsr.engine.plan import Plan
from codecvsr.engine.run import prepare, running
from codecvsr.engine.transfer import to_host
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.motion_jitter import TRAINED_FRAMES, jittered
from codecvsr.inference.runners import RUNNERS, SLIDING, NetworkAblations, run_native
from codecvsr.inference.skip_static import DuplicateFrames, thinned
from codecvsr.inference.source import Source
from codecvsr.inference.tiles import assembled, split_frame
from codecvsr.inference.windows import Window
from codecvsr.models.zoo import LoadedModel


class Overflow(Exception):
    """The numbers of half precision did not suffice: something is infinite or no number."""


def upscale_window(
    model: LoadedModel, source: Source, left_out: NetworkAblations, window: Window, limits: MemoryLimits, plan: Plan
) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames that a window keeps, upscaled in one piece or in tiles: (scale * H, scale * W, 3) each.

    Args:
        model: any of the zoo.
        source: the clip, with the motion to use.
        left_out: parts to leave out inside the network.
        window: frames to look at, and to keep.
        limits: tiles, and whether frames that show nothing new are left out.
        plan: how to run the network.

    Raises:
        Overflow: the plan's precision does not suffice.
    """
    if source.has_motion_jitter and not left_out.motion_jitter and window.stop - window.start > TRAINED_FRAMES:
        source = jittered(source, window.start, window.stop)
    size = source.frames.shape[1], source.frames.shape[2]
    tiles = split_frame(*size, limits.tile)
    parts = [source] if len(tiles) == 1 else [source.crop(part.rows, part.columns) for part in tiles]
    share = 1 / len(parts)
    made = [_pictures_of(model, part, left_out, window, limits.duplicates, share, plan) for part in parts]
    yield from made[0] if len(tiles) == 1 else assembled(tiles, made, size, model.scale)


def _pictures_of(
    model: LoadedModel,
    source: Source,
    left_out: NetworkAblations,
    window: Window,
    duplicates: DuplicateFrames | None,
    share: float,
    plan: Plan,
) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames that a window keeps of a clip, or of a tile that is ``share`` of it."""
    prepare(model.network, plan)
    first = window.keep_start if model.architecture in SLIDING else window.start
    stands = np.arange(first, window.stop) if duplicates is None else duplicates.stand_ins(source, first, window.stop)
    wanted = stands[window.keep_start - first : window.keep_stop - first].tolist()
    if not wanted:
        return
    kept, shown = np.unique(stands), -1
    with running(plan):
        made = _made(model, source, kept, int(np.searchsorted(kept, wanted[0])), left_out, plan)
        for index, stand in enumerate(wanted, window.keep_start):
            if stand != shown:
                picture, shown = next(made), stand
            if duplicates is not None and stand != index:
                duplicates.left_out += share
            yield picture


def _made(
    model: LoadedModel, source: Source, kept: npt.NDArray[np.int64], passed: int, left_out: NetworkAblations, plan: Plan
) -> Iterator[npt.NDArray[np.uint8]]:
    """What the network makes of the frames ``kept``, in order, but for the first ``passed`` of them."""
    native = None
    part = slice(int(kept[0]), int(kept[-1]) + 1)
    if len(kept) == part.stop - part.start:
        native = run_native(model.network, source, part, left_out, plan, passed)
    elif model.architecture not in SLIDING:
        source, part = thinned(source, kept), slice(0, len(kept))
        native = run_native(model.network, source, part, left_out, plan, passed)
    if native is not None:
        yield from native
        return
    run = RUNNERS[model.architecture]
    if len(kept) == part.stop - part.start:
        outputs = run(model.network, source, part, left_out, plan)
    else:  # those of SLIDING look at the frames around one, whether these are made or not
        each = (slice(index, index + 1) for index in kept.tolist())
        outputs = itertools.chain.from_iterable(run(model.network, source, one, left_out, plan) for one in each)
    outputs = itertools.islice(outputs, passed, None)
    yield from to_host((_as_bytes(output[0], plan) for output in outputs), plan.device)


def _as_bytes(output: Tensor, plan: Plan) -> Tensor:
    """A network's picture (3, H, W) in 0..1 as (H, W, 3) uint8, on its device.

    Raises:
        Overflow: see there.
    """
    if plan.dtype == torch.float16 and not bool(output.isfinite().all()):
        raise Overflow
    picture = output.float().clamp(0, 1).mul_(255).round_().to(torch.uint8)
    return picture.permute(1, 2, 0).contiguous()
