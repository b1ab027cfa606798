"""Every network of the zoo equals its publication: state-dict keys, shapes and outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from codecvsr.models.basicvsr_pp import BasicVSRPlusPlus
from codecvsr.models.edvr import EDVR
from codecvsr.models.iconvsr import IconVSR
from codecvsr.models.mvsr_seed import MVSRSeed
from codecvsr.models.rate_groups import RateGroups
from codecvsr.models.rbpn import RBPN
from tests.goldens.published import TOLERANCE, fill, moving_frames, noise, published_output, published_shapes

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "EDVR_M": EDVR,
    "EDVR_M_woTSA": lambda: EDVR(with_tsa=False),
    "EDVR_L": lambda: EDVR(num_feat=128, num_reconstruct_block=40),
    "IconVSR": IconVSR,
    "BasicVSRPP": BasicVSRPlusPlus,
    "RBPN": RBPN,
    "SeedMVSR": MVSRSeed,
    "MStage": RateGroups,
    "MStageMH": lambda: RateGroups(multi_head=True),
}


def _inputs(name: str, t: int, h: int, w: int) -> tuple[Tensor, ...]:
    """The arguments of the published forward; frames, flows and vectors are those of the goldens' README."""
    if name.startswith("MStage"):
        return (moving_frames(name, 15, h, w).reshape(1, 3, 5, 3, h, w).unbind(1),)
    frames = moving_frames(name, t, h, w)
    if name == "RBPN":
        return frames[:, 3], frames[:, [0, 1, 2, 4, 5, 6]], noise("RBPNflow", (1, 6, 2, h, w)) * 2
    if name == "SeedMVSR":
        vectors = (noise(f"SeedMVSR{direction}", (1, t, 2, h, w)) * 3 for direction in "fb")
        return frames, *vectors, torch.tensor([[1] + [2] * (t - 1)])
    return (frames,)


@pytest.mark.parametrize("name", NETWORKS)
def test_keys_and_shapes_are_the_published_ones(name: str) -> None:
    state = NETWORKS[name]().state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == published_shapes(name)


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("name", NETWORKS)
def test_output_is_the_published_one(name: str) -> None:
    expected, shape, size = published_output(name)
    output = fill(NETWORKS[name]())(*_inputs(name, *size))
    assert tuple(output.shape) == shape
    assert np.abs(output[..., ::4, 1::4].numpy() - expected).max() <= TOLERANCE
