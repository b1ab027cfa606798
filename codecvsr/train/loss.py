"""The loss of training: a Charbonnier distance, with more weight where the original is flat."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

_WINDOW = 9  # pixels: side of the neighbourhood in which a place is flat
_FLAT = 0.006  # mean distance to the local mean, for values in 0..1: about 1.5 levels of 255


def charbonnier(predicted: Tensor, target: Tensor, epsilon: float, weights: Tensor | None = None) -> Tensor:
    """Returns the mean of sqrt(d^2 + epsilon^2) - epsilon: L1 for large differences, quadratic below ``epsilon``.

    Args:
        predicted: (N, T, C, H, W).
        target: of the same shape.
        epsilon: end of the quadratic part.
        weights: (N, T, 1, H, W), a factor of every pixel; None for 1.
    """
    distance = ((predicted - target) ** 2 + epsilon**2).sqrt() - epsilon
    return (distance if weights is None else distance * weights).mean()


def flat_weights(target: Tensor, extra: float) -> Tensor:
    """Returns the factor of every pixel, (N, T, 1, H, W): 1 in texture, up to 1 + ``extra`` where the original is flat.

    A line of three levels in a clear sky is seen at once, and hardly changes a mean over all pixels.

    Args:
        target: originals, (N, T, C, H, W) with values in 0..1.
        extra: additional weight of flat places.
    """
    grey = target.mean(2).flatten(0, 1)[:, None]
    detail = (grey - _mean(grey, 3)).abs()
    flatness = (-((_mean(detail, _WINDOW) / _FLAT) ** 2)).exp()
    return 1 + extra * flatness.view(*target.shape[:2], 1, *target.shape[3:])


def _mean(picture: Tensor, side: int) -> Tensor:
    padded = F.pad(picture, (side // 2,) * 4, mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, (side, 1), stride=1), (1, side), stride=1)  # a box is separable
