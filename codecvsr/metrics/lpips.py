"""LPIPS, the learned perceptual distance (Zhang et al., CVPR 2018), version 0.1 on AlexNet.

Neither part of its weights is shipped here: the linear layers come out of the authors' wheel (``codecvsr models fetch
lpips-alex``), AlexNet's from PyTorch's model zoo, by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.errors import CheckpointError, InputError
from codecvsr.models.checkpoints.fetch import cached_path, models_folder, sha256_of
from codecvsr.models.checkpoints.reading import read_state_dict

LINEAR_LAYERS = "lpips-alex"  #: their name for ``codecvsr models fetch``
ALEXNET = ("alexnet-owt-7be5be79.pth", "alexnet-owt-4df8aa71.pth")  #: the same weights in two formats; SHA-256 prefixes
ALEXNET_PLACE = "https://download.pytorch.org/models/"
_WIDTHS = (64, 192, 384, 256, 256)
_POSITIONS = (0, 3, 6, 8, 10)  # of the convolutions in torchvision's ``features``
_SHIFT = (-0.030, -0.088, -0.188)  # of RGB in -1..1, to what AlexNet was trained on
_SCALE = (0.458, 0.448, 0.450)
_TINY = 1e-10

Picture = npt.NDArray[np.uint8]


class Lpips(nn.Module):
    """The distance of two pictures: 0 for equal ones, about 0.1 to 0.7 for visibly different ones; lower is better.

    Features of AlexNet's five layers, each pixel's scaled to unit length; squared differences weighted per channel,
    averaged over the picture, summed over the layers.
    """

    smallest = 31  #: pixels along a side that AlexNet's convolutions need
    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        first, second, *others = _WIDTHS
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(3, first, 11, stride=4, padding=2),
                nn.Conv2d(first, second, 5, padding=2),
                *(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(_WIDTHS[1:], others, strict=False)),
            ]
        )
        self.weights = nn.ParameterList(nn.Parameter(torch.zeros(width)) for width in _WIDTHS)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(3, 1, 1), persistent=False)

    @classmethod
    def from_state_dicts(cls, alexnet: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> Lpips:
        """Build it of torchvision's AlexNet (``features.0.weight`` ...) and the linear layers (``lin0.model.1.weight`` ...).

        Raises:
            KeyError, RuntimeError: a state dict is not that.
        """
        state = {}
        for layer, position in enumerate(_POSITIONS):
            for part in ("weight", "bias"):
                state[f"convs.{layer}.{part}"] = alexnet[f"features.{position}.{part}"]
            state[f"weights.{layer}"] = linear[f"lin{layer}.model.1.weight"].flatten()
        network = cls()
        network.load_state_dict(state)
        return network.requires_grad_(False).eval()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances (N,) of two batches of pictures (N, 3, H, W), RGB in -1..1, from 31 x 31 pixels."""
        x = torch.cat([a, b])
        x = (x - self.shift) / self.scale
        total = x.new_zeros(len(a))
        for layer, (conv, weight) in enumerate(zip(self.convs, self.weights, strict=True)):
            if layer in (1, 2):
                x = F.max_pool2d(x, 3, stride=2)
            x = F.relu(conv(x))
            unit = x / (x.square().sum(1, keepdim=True).sqrt() + _TINY)
            difference = (unit[: len(a)] - unit[len(a) :]).square()
            total = total + (difference * weight.view(-1, 1, 1)).sum(1).mean((1, 2))
        return total

    def distance(self, a: Picture, b: Picture, crop_border: int = 0) -> float:
        """The distance of two pictures (H, W, 3) uint8, without ``crop_border`` pixels on each side.

        Raises:
            ValueError: a side of the cropped picture is shorter than 31 pixels.
        """
        height, width = a.shape[:2]
        if min(height, width) - 2 * crop_border < self.smallest:
            raise ValueError(
                f"LPIPS needs {self.smallest} pixels along each side, got {width}x{height} less {crop_border} each side."
            )
        inside = (slice(crop_border, height - crop_border), slice(crop_border, width - crop_border))
        pair = (torch.from_numpy(np.ascontiguousarray(x[inside])).permute(2, 0, 1)[None] / 127.5 - 1 for x in (a, b))
        with torch.inference_mode():
            return float(self(*pair))


def load_lpips() -> Lpips:
    """LPIPS with the weights in the cache.

    Raises:
        InputError: a file is missing; the message says how to get it.
        CheckpointError: a file is not what its name says.
    """
    linear, folder = cached_path(LINEAR_LAYERS), models_folder()
    alexnet = next((folder / name for name in ALEXNET if (folder / name).is_file()), None)
    missing = []
    if not linear.is_file():
        missing.append(f"its linear layers (run 'codecvsr models fetch {LINEAR_LAYERS}')")
    if alexnet is None:
        missing.append(f"AlexNet's weights (download {ALEXNET_PLACE}{ALEXNET[0]} into {folder})")
    if missing or alexnet is None:
        raise InputError(f"LPIPS needs {' and '.join(missing)}.")
    _check_prefix(alexnet)
    try:
        return Lpips.from_state_dicts(read_state_dict(alexnet)[0], read_state_dict(linear)[0])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{alexnet} or {linear}: not the weights LPIPS needs ({error}).") from error


def _check_prefix(path: Path) -> None:
    """The name of a file of PyTorch's model zoo ends in the first digits of its SHA-256."""
    expected, found = path.stem.rpartition("-")[2], sha256_of(path)
    if not found.startswith(expected):
        raise CheckpointError(f"{path}: its SHA-256 begins with {found[:8]}, expected {expected}; download it again.")
