"""A window of a clip through a network, whole or in tiles."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codecvsr.engine.device import autocast
from codecvsr.models.zoo import LoadedModel
from codecvsr.pipeline.budget import Budget
from codecvsr.pipeline.runners import RUNNERS, SLIDING, LeftOut, run_fast
from codecvsr.pipeline.source import Source
from codecvsr.pipeline.still import StillFrames, thinned
from codecvsr.pipeline.tiles import assembled, split_frame
from codecvsr.pipeline.window import Window


def upscale_window(
    model: LoadedModel,
    source: Source,
    left_out: LeftOut,
    window: Window,
    budget: Budget,
    device: torch.device,
    dtype: torch.dtype,
    by_layers: bool,
) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames that a window keeps, upscaled in one piece or in tiles: (scale * H, scale * W, 3) each.

    Args:
        model: any of the zoo.
        source: the clip, with the motion to use.
        left_out: parts to leave out inside the network.
        window: frames to look at, and to keep.
        budget: tiles, and whether frames that show nothing new are left out.
        device: where to run.
        dtype: what to run in.
        by_layers: call the network's own layers even where there is a faster form of it.
    """
    size = source.frames.shape[1], source.frames.shape[2]
    tiles = split_frame(*size, budget.tile)
    parts = [source] if len(tiles) == 1 else [source.crop(part.rows, part.columns) for part in tiles]
    told = window, budget.still, 1 / len(parts), device, dtype, by_layers
    made = [_pictures_of(model, part, left_out, *told) for part in parts]
    yield from made[0] if len(tiles) == 1 else assembled(tiles, made, size, model.scale)


def _pictures_of(
    model: LoadedModel,
    source: Source,
    left_out: LeftOut,
    window: Window,
    still: StillFrames | None,
    share: float,
    device: torch.device,
    dtype: torch.dtype,
    by_layers: bool,
) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames that a window keeps of a clip, or of a tile that is ``share`` of it."""
    first = window.keep_start if model.architecture in SLIDING else window.start
    stands = np.arange(first, window.stop) if still is None else still.stand_ins(source, first, window.stop)
    kept, picture, shown = np.unique(stands), np.empty(0, np.uint8), -1
    with torch.inference_mode(), autocast(device, dtype):
        made = _made(model, source, kept, left_out, device, dtype, by_layers)
        for index, stand in enumerate(stands.tolist(), first):
            if index >= window.keep_stop:
                break
            output = next(made) if stand != shown else None
            shown = stand
            if output is not None and stands[min(window.keep_start, window.stop - 1) - first] <= stand:
                picture = output if isinstance(output, np.ndarray) else _bytes(output[0])
            if window.keep_start <= index:
                if still is not None and stand != index:
                    still.left_out += share
                yield picture


def _made(
    model: LoadedModel,
    source: Source,
    kept: npt.NDArray[np.int64],
    left_out: LeftOut,
    device: torch.device,
    dtype: torch.dtype,
    by_layers: bool,
) -> Iterator[Tensor | npt.NDArray[np.uint8]]:
    """What the network makes of the frames ``kept``, in order: (1, 3, H, W) values, or pictures."""
    run = RUNNERS[model.architecture]
    part = slice(int(kept[0]), int(kept[-1]) + 1)
    if len(kept) < part.stop - part.start:
        if model.architecture in SLIDING:  # they look at the frames around one, whether these are made or not
            for index in kept.tolist():
                yield from run(model.network, source, slice(index, index + 1), left_out, device)
            return
        source, part = thinned(source, kept), slice(0, len(kept))
    made = None if by_layers else run_fast(model.network, source, part, left_out, device, dtype)
    yield from run(model.network, source, part, left_out, device) if made is None else made


def _bytes(values: Tensor) -> npt.NDArray[np.uint8]:
    """Values (3, H, W) in 0..1 as a picture (H, W, 3)."""
    picture = values.float().clamp(0, 1).mul_(255).round_().to(torch.uint8)
    return picture.permute(1, 2, 0).contiguous().cpu().numpy()
