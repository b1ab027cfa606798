"""Muon: orthogonal updates of convolutions, Adam for all other weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from codecvsr.errors import InputError
from codecvsr.train.loop import learning_rate
from codecvsr.train.optimiser import Muon, make_optimiser, orthogonalised
from codecvsr.train.recipe import Optimisation, recipe_from

CPU = torch.device("cpu")


@pytest.mark.parametrize("shape", [(16, 144), (48, 16), (32, 32)])
def test_singular_values_become_about_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    matrix = torch.randn(shape)
    values = torch.linalg.svdvals(orthogonalised(matrix))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert values.min() > 0.3 and values.max() < 1.3
    assert ((orthogonalised(matrix) * (u @ v)).sum() / min(shape)) > 0.8  # the same directions


def test_convolutions_and_other_weights_get_updates_of_one_size() -> None:
    torch.manual_seed(2)
    layer = nn.Conv2d(8, 16, 3)
    optimiser = make_optimiser(layer, 1e-2, CPU, kind="muon")
    assert isinstance(optimiser, Muon)
    before = layer.weight.detach().clone(), layer.bias.detach().clone()
    layer(torch.randn(2, 8, 9, 9)).square().mean().backward()
    gradient = layer.weight.grad
    optimiser.step()
    moved = (layer.weight - before[0]).detach()
    assert layer.weight.grad is gradient
    assert 0.5 < moved.square().mean().sqrt() / (0.2 * 1e-2) < 1.5
    assert (layer.bias - before[1]).abs().allclose(torch.tensor(1e-2), rtol=1e-3)  # Adam's first step
    assert set(optimiser.state[layer.weight]) == {"step", "exp_avg"}


def test_the_rate_is_constant_until_its_decay() -> None:
    settings = Optimisation(steps=100, learning_rate=1.0, warmup=10, decay=0.2)
    rates = [learning_rate(settings, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and set(rates[9:81]) == {1.0}
    assert rates[81] < 1 and rates[90] == pytest.approx(0.5) and rates[99] < 0.01
    assert rates[9:] == sorted(rates[9:], reverse=True)


@pytest.mark.parametrize(("key", "value", "message"), [
    ("optimiser", "sgd", "recipe.toml, .optimisation.: optimiser = 'sgd'; one of adam, muon was expected"),
    ("decay", 0.0, "decay = 0.0; a share above 0 and up to 1 was expected"),
])  # fmt: skip
def test_other_values_are_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe_from({"optimisation": {key: value}}, "recipe.toml")
