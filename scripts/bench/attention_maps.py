"""Pictures of the attention weights of the frame-rate-group model; used by experiments.py."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from codecvsr import drawing
from codecvsr.drawing import Picture
from codecvsr.inference.source import Source
from codecvsr.inference.source_clip import SourceClip
from codecvsr.models.rate_groups import RateGroups
from codecvsr.models.runners import FRAME_BY_FRAME
from codecvsr.models.zoo import LoadedModel

_PAD, _CAPTION = 10, 30
_MIN_WIDTH = 200  # pixels that a map's caption needs


def attention_weights(model: LoadedModel, source: Source, index: int) -> npt.NDArray[np.float32]:
    """Returns the attention weights of one frame, (heads, groups, H, W): means over channels that sum to 1 over the groups.

    Raises:
        TypeError: the model is not a frame-rate-group model.
    """
    network = model.network
    if not isinstance(network, RateGroups):
        raise TypeError(f"{model.name} is not a frame-rate-group model.")
    seen: list[Tensor] = []

    def capture(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(network.attention_maps(inputs[0]))

    handle = network.attention.register_forward_pre_hook(capture)
    device = next(network.parameters()).device
    try:
        with torch.inference_mode():
            list(model.descriptor.runner(network, SourceClip(source, device), [index], FRAME_BY_FRAME))
    finally:
        handle.remove()
    return seen[0][0].float().mean(dim=1).cpu().numpy()


def draw_attention(model: LoadedModel, source: Source, index: int) -> Picture:
    """Draws the frame beside its attention maps: one line per head, one column per rate, dark to bright over their range."""
    weights = attention_weights(model, source, index)
    rates = model.network.rates
    assert isinstance(rates, tuple)
    zoom = -(-_MIN_WIDTH // weights.shape[3])
    weights = weights.repeat(zoom, axis=2).repeat(zoom, axis=3)
    frame = source.frames[index].repeat(zoom, axis=0).repeat(zoom, axis=1)
    heads, groups, height, width = weights.shape
    low, high = float(weights.min()), float(weights.max())
    canvas = drawing.blank(heads * (height + _CAPTION) + _PAD, (groups + 1) * (width + _PAD) + _PAD)
    for head in range(heads):
        top = _PAD + head * (height + _CAPTION)
        if head == 0:
            canvas[top : top + height, _PAD : _PAD + width] = frame
            drawing.text(canvas, f"frame {index}", _PAD, top + height + 12, size=9)
        for group in range(groups):
            left = _PAD + (group + 1) * (width + _PAD)
            values = weights[head, group]
            canvas[top : top + height, left : left + width] = drawing.heat(values, low, high)
            caption = f"head {head + 1}, rate 1/{rates[group]}, mean {values.mean():.3f}"
            drawing.text(canvas, caption, left, top + height + 12, size=8, color=drawing.MUTED)
    return canvas
