"""Strength: a network's pictures blended with bicubic interpolation, for those who find them too crisp.

Torch is imported where pictures are blended, as the command line checks its options without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from codecvsr.errors import InputError

if TYPE_CHECKING:
    import torch


def check_strength(strength: float) -> None:
    """Checks a strength.

    Raises:
        InputError: it is not a number from 0 to 1.
    """
    if not 0 <= strength <= 1:
        raise InputError(f"a strength of {strength:g} is outside 0 (bicubic) to 1 (the network's pictures).")


def blended(
    frame: npt.NDArray[np.uint8], picture: npt.NDArray[np.uint8], strength: float, device: torch.device
) -> npt.NDArray[np.uint8]:
    """Returns ``strength`` times a network's picture plus the rest of the interpolated frame, rounded.

    Args:
        frame: the input, (H, W, 3).
        picture: the network's output, (H, W, 3) or (4H, 4W, 3).
        strength: 1 for ``picture`` itself, 0 for the picture of the model "bicubic".
        device: to interpolate on.
    """
    if strength == 1:
        return picture
    import torch

    from codecvsr.models.bicubic import Bicubic

    base = torch.from_numpy(frame).to(device).permute(2, 0, 1).float() / 255
    if picture.shape != frame.shape:
        base = Bicubic()(base[None, None])[0, 0]
    base = base.clamp(0, 1).mul_(255).permute(1, 2, 0)
    mixed = torch.from_numpy(picture).to(device).float().mul_(strength).add_(base, alpha=1 - strength)
    return np.asarray(mixed.round_().clamp_(0, 255).to(torch.uint8).cpu().numpy())
