"""codecvsr/engine/native/gradients.py: outputs and gradients equal torch's up to rounding."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr import native_libraries
from codecvsr.engine.native.gradients import install_for_training, weight_gradient
from codecvsr.engine.native.library import is_worth_it
from codecvsr.models.layers.blocks import ShuffleConv

_library = native_libraries.net_library()
needs_library = pytest.mark.skipif(
    _library is None or not is_worth_it(_library), reason="no native library, or neither AVX2 nor AVX-512"
)


@needs_library
@pytest.mark.parametrize(("height", "width"), [(4, 4), (1, 3), (13, 22), (48, 40)])
def test_gradient_of_weights(height: int, width: int) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 7, height, width), torch.zeros(5, 7, 3, 3, requires_grad=True)
    gradient = torch.randn(2, 5, height, width)
    F.conv2d(x, weight, padding=1).backward(gradient)
    assert weight.grad is not None
    close(weight_gradient(x, gradient), weight.grad)


@needs_library
@pytest.mark.parametrize("has_bias", [True, False])
def test_network_with_and_without_the_library(has_bias: bool) -> None:
    """Channels that are no multiple of 16, a shuffle, in-place activations, and weights that change between steps."""
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.Conv2d(35, 64, 3, padding=1, bias=has_bias),
        nn.LeakyReLU(0.1, inplace=True),
        ShuffleConv(64, 32),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 3, 3, padding=1),
    )
    native = copy.deepcopy(plain)
    assert install_for_training(native) == 2  # not the last: three channels
    for _ in range(2):
        results = []
        for network in (plain, native):
            x = torch.randn(2, 35, 10, 13, generator=torch.Generator().manual_seed(1)).requires_grad_()
            y = network(x)
            y.pow(2).mean().backward()
            results.append([y.detach(), x.grad, *(p.grad for p in network.parameters())])
            with torch.no_grad():
                for parameter in network.parameters():
                    assert parameter.grad is not None
                    parameter.sub_(parameter.grad)
            network.zero_grad()
        for ours, reference in zip(results[1], results[0], strict=True):
            assert ours is not None and reference is not None
            close(ours, reference)


@needs_library
def test_other_precisions_go_to_torch() -> None:
    conv = nn.Conv2d(32, 32, 3, padding=1)
    x = torch.randn(1, 32, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        expected = conv(x)
        install_for_training(conv)
        assert torch.equal(conv(x), expected)
    close(conv.double()(x.double()), F.conv2d(x.double(), conv.weight, conv.bias, padding=1))


@needs_library
def test_frozen_weights_pass_gradients_on() -> None:
    conv = nn.Conv2d(32, 32, 3, padding=1).requires_grad_(False)
    install_for_training(conv)
    x = torch.randn(1, 32, 8, 8, requires_grad=True)
    conv(x).sum().backward()
    assert x.grad is not None and conv.weight.grad is None
    close(x.grad, F.conv_transpose2d(torch.ones(1, 32, 8, 8), conv.weight, padding=1))


def close(ours: Tensor, reference: Tensor) -> None:
    assert ours.shape == reference.shape
    assert (ours - reference).abs().max() <= 1e-4 * reference.abs().max()
