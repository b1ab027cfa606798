"""The optimisers of training: Adam for all weights, or Muon for convolutions beside Adam for the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_RMS = 0.2  # of an update at a rate of 1, as Adam's usually is: one learning rate serves both kinds of weights
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


def make_optimiser(network: nn.Module, rate: float, device: torch.device, *, kind: str = "adam") -> torch.optim.Adam:
    """Returns the optimiser of all trained parameters of ``network``; on a GPU capturable, with the learning rate as a tensor.

    Args:
        network: the network to be trained.
        rate: learning rate.
        device: the network's.
        kind: ``adam`` or ``muon``.
    """
    on_gpu = device.type == "cuda"
    lr = torch.tensor(rate, device=device) if on_gpu else rate
    options: dict[str, Any] = {"lr": lr, "betas": (0.9, 0.99), "capturable": on_gpu, "fused": on_gpu or None}
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return (Muon if kind == "muon" else torch.optim.Adam)(trained, **options)


class Muon(torch.optim.Adam):
    """Muon for the weights of convolutions, seen as matrices (outputs, inputs x kernel), and Adam for all others.

    An update of a matrix is its Nesterov momentum made orthogonal: all its singular values become about 1 (K. Jordan et al.,
    "Muon: an optimizer for hidden layers in neural networks", 2024), scaled to the root mean square of Adam's updates
    (arXiv 2502.16982, section 2.2), so that both kinds of weights have the same learning rate.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        if closure is not None:
            raise TypeError("Muon computes no loss itself: call it without a closure.")
        matrices: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.ndim == 4 and weight.grad is not None:
                    self._update(weight, group["lr"])
                    matrices.append((weight, weight.grad))
                    weight.grad = None  # so that Adam passes it over
        super().step()
        for weight, gradient in matrices:
            weight.grad = gradient

    def _update(self, weight: Tensor, rate: float | Tensor) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros((), device=weight.device)  # loading a state expects it of every weight
            state["exp_avg"] = torch.zeros_like(weight)
        state["step"] += 1
        momentum, gradient = state["exp_avg"], weight.grad
        assert gradient is not None
        momentum.lerp_(gradient, 1 - _MOMENTUM)
        direction = orthogonalised(gradient.lerp(momentum, _MOMENTUM).flatten(1))
        scale = _RMS * max(direction.shape) ** 0.5
        weight.sub_(direction.view_as(weight) * (rate * scale))


def orthogonalised(matrix: Tensor) -> Tensor:
    """Returns the nearest (semi-)orthogonal matrix to ``matrix`` (M, N), roughly: singular values between 0.7 and 1.2.

    Five Newton-Schulz iterations with Jordan's coefficients, which need products of matrices only.
    """
    a, b, c = _COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / (x.norm() + 1e-12)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if is_tall else x
