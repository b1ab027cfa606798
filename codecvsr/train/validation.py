"""Validation: PSNR on whole frames of clips that are not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from codecvsr.engine.device import autocast
from codecvsr.models import priors as prior_channels
from codecvsr.models.bicubic import Bicubic
from codecvsr.train.data import TrainingClip
from codecvsr.train.network import run
from codecvsr.train.sampling import Batch


@torch.no_grad()
def validate(
    network: nn.Module,
    clips: Sequence[TrainingClip],
    device: torch.device,
    motion: str = "codec",
    dtype: torch.dtype = torch.float32,
) -> dict[str, dict[str, float]]:
    """Returns mean RGB PSNR (dB) with motion, without, and of bicubic, by benchmark folder and therefore by CRF."""
    sums: dict[str, list[tuple[float, float, float]]] = {}
    bicubic = Bicubic()
    network.eval()
    for clip in clips:
        fields, priors = (part[None].to(device).float() for part in (clip.fields, clip.priors))
        frames, target = (_pixels(part, device) for part in (clip.lr, clip.hr))
        one = torch.ones(1, device=device)
        values = []
        for share in (one, one * 0):
            masked = priors.clone()
            masked[:, :, prior_channels.MOTION_CHANNELS] *= share
            batch = Batch(
                frames, fields[:, :, :2], fields[:, :, 2:], masked, clip.is_cut[None].to(device), share, one, target
            )
            with autocast(device, dtype):
                predicted = run(network, batch, motion)
            values.append(_psnr(predicted, target))
        sums.setdefault(clip.name.split("/")[0], []).append((values[0], values[1], _psnr(bicubic(frames), target)))
    network.train()
    means = {name: np.mean(rows, axis=0).tolist() for name, rows in sums.items()}
    return {name: dict(zip(("psnr_rgb", "without_motion", "bicubic"), row, strict=True)) for name, row in means.items()}


def _pixels(frames: Tensor, device: torch.device) -> Tensor:
    return frames[None].to(device).permute(0, 1, 4, 2, 3).float() / 255


def _psnr(predicted: Tensor, target: Tensor) -> float:
    difference = (predicted.float() * 255).round().clamp(0, 255) - target * 255
    error = (difference**2).mean(dim=(2, 3, 4)).clamp_min(1e-8)
    return float((10 * torch.log10(255**2 / error)).mean().item())
