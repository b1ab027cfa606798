"""A clip with the motion a network runs on: the codec's, an optical flow, or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from codecvsr.engine.device import place
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.source import Source, load_source, with_dis, with_flows, without_motion
from codecvsr.inference.source_clip import SourceClip
from codecvsr.models.spynet import SPyNet
from codecvsr.models.zoo import LoadedModel, load_model
from codecvsr.motion import MotionOptions

_CPU = torch.device("cpu")
SPYNET_FROM = "basicvsr-reds4"  #: the model whose SPyNet serves networks without one


def load_motion(
    path: Path, kind: str, ablations: Ablations, *, model: LoadedModel | None = None, allow_damaged: bool = False
) -> Source:
    """Load a clip with the motion of ``kind``.

    Args:
        path: a clip folder or a video.
        kind: as :func:`codecvsr.inference.ablations.choose_motion` returns it.
        ablations: parts of the repair to leave out.
        model: its own SPyNet estimates the flow, or that of :data:`SPYNET_FROM` where it has none.
        allow_damaged: use the frames before the damage of a damaged video.

    Raises:
        InputError: the clip cannot be used, or SPyNet's weights are not there.
    """
    options = MotionOptions(resolve=False, refine=False) if kind == "raw" else ablations.motion_options
    source = load_source(path, options, needs_vectors=kind in ("codec", "raw"), allow_damaged=allow_damaged)
    return with_motion(source, kind, model)


def with_motion(source: Source, kind: str, model: LoadedModel | None = None) -> Source:
    """Return a clip that has codec data with the motion of ``kind``; the same motion for "codec", "raw" and "none"."""
    if kind == "dis":
        return with_dis(source)
    if kind == "spynet":
        return _with_spynet(source, model)
    if kind == "zero":
        return without_motion(source)
    return replace(
        source,
        is_raw=kind == "raw",
        has_motion_jitter=kind == "codec" and model is not None and model.has_motion_jitter,
    )


def _with_spynet(source: Source, model: LoadedModel | None) -> Source:
    """Return the same clip with SPyNet's optical flow for its motion: the model's own SPyNet where it has one."""
    spynet = getattr(model.network, "spynet", None) if model is not None else None
    if spynet is None:
        weight = next(model.network.parameters(), None) if model is not None else None
        spynet = place(load_model(SPYNET_FROM).network, _CPU if weight is None else weight.device).spynet
    assert isinstance(spynet, SPyNet)

    def between(here: int, there: int) -> npt.NDArray[np.float32]:
        device = spynet.mean.device
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            frames = SourceClip(source, device).frames([here, there])[0]
            return spynet(frames[:1], frames[1:])[0].cpu().numpy()

    count = len(source.names)
    to_prev = np.zeros((count, 2, *source.frames.shape[1:3]), np.float32)
    to_next = np.zeros_like(to_prev)
    for t in range(1, count):
        to_prev[t], to_next[t - 1] = between(t, t - 1), between(t - 1, t)
    return replace(with_flows(source, to_prev, to_next), pairwise=between)
