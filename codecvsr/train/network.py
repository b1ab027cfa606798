"""Which network a recipe trains, and how a batch goes through it: one adapter per calling convention."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.constants import CELL
from codecvsr.errors import InputError
from codecvsr.inference.windows import circled, mirrored
from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.basicvsr_pp import BasicVSRPlusPlus
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.edvr import EDVR
from codecvsr.models.iconvsr import IconVSR
from codecvsr.models.layers.warp import warp
from codecvsr.models.mvsr_seed import MVSRSeed
from codecvsr.models.rate_groups import GROUP, RateGroups
from codecvsr.models.rbpn import RBPN
from codecvsr.models.registry import ARCHITECTURES, NETWORKS
from codecvsr.models.study import Study
from codecvsr.models.zoo import load_model
from codecvsr.train.recipe import Model
from codecvsr.train.sampling import Batch

CODEC, OWN, ZERO = "codec", "own", "zero"  #: kinds of motion a recipe can name
_SMALLEST = 4  # channels that RBPN's inner maps have at least

#: How each architecture's constructor calls its channels and its blocks.
_SIZES: dict[str, tuple[str, str]] = {
    "codecvsr": ("channels", "blocks"),
    "basicvsr": ("num_feat", "num_block"),
    "iconvsr": ("num_feat", "num_block"),
    "basicvsr-pp": ("mid_channels", "num_blocks"),
    "edvr": ("num_feat", "num_reconstruct_block"),
    "rbpn": ("base_filter", "n_resblock"),
    "rate-groups": ("mid_channels", "num_blocks"),
    "mvsr-seed": ("channels", "blocks"),
    "study": ("channels", "blocks"),
}
#: The motion each architecture can be trained on; OWN is the optical-flow network inside.
_MOTION: dict[str, tuple[str, ...]] = {
    "codecvsr": (CODEC,),
    "edvr": (CODEC,),  # uses none, whatever there is
    "rbpn": (CODEC, ZERO),
    "mvsr-seed": (CODEC, ZERO),
    "study": (CODEC, ZERO),
}


def build(model: Model) -> nn.Module:
    """The network of a recipe, with random weights.

    Raises:
        InputError: there is no such network, or it cannot be made or trained as the recipe says.
    """
    kind, make = NETWORKS.get(model.network, ("", None))
    if make is None or kind not in _SIZES:
        names = ", ".join(name for name, (each, _) in NETWORKS.items() if each in _SIZES)
        raise InputError(f"model.network = {model.network!r}: no network to be trained; expected one of {names}.")
    motions = _MOTION.get(kind, (CODEC, OWN, ZERO))
    if model.motion not in motions:
        raise InputError(f"model.motion = {model.motion!r}: {model.network} is trained on {' or '.join(motions)}.")
    width, depth = _SIZES[kind]
    arguments: dict[str, Any] = {width: model.channels, depth: model.blocks}
    if kind == "codecvsr":
        arguments["flow_head"] = model.flow_head
    elif not model.flow_head:
        raise InputError(f"model.network = {model.network!r}: a flow head is of 'codecvsr'.")
    if kind == "rbpn":
        arguments["feat"] = max(model.channels // 4, _SMALLEST)  # 256 and 64 as published
    parts = {
        "propagation": model.propagation,
        "alignment": model.alignment,
        "refill": model.refill,
        "coupled": model.coupled,
    }
    if kind == "study":
        arguments |= parts
    elif parts != {name: getattr(Model(), name) for name in parts}:
        raise InputError(
            f"model.network = {model.network!r}: propagation, alignment, refill and coupled are of 'study'."
        )
    try:
        network = make(**arguments)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise InputError(
            f"[model]: {model.network} cannot be made so ({' '.join(str(error).split())[:200]})."
        ) from error
    if int(getattr(network, "scale", 4)) != 4:
        raise InputError(f"model.network = {model.network!r}: keeps the size; a network for x4 was expected.")
    return network


def load_teacher(weights: str) -> nn.Module:
    """The network to learn from.

    Raises:
        InputError: it is unknown, or cannot be given a batch.
        CheckpointError: its weights cannot be read.
    """
    network = load_model(weights).network
    if not isinstance(network, CodecVSR) and type(network) not in _RUNS:
        raise InputError(
            f"distillation.weights = {weights!r}: is no network that frames can be learnt from; give a trained one."
        )
    return network.requires_grad_(False)


def metadata(model: Model, network: nn.Module) -> dict[str, str]:
    """What a weights file has to say of the network besides its tensors."""
    kind = NETWORKS[model.network][0]
    settings = ARCHITECTURES[kind].settings
    return {"architecture": kind, **{name: s.write(getattr(network, name)) for name, s in settings.items()}}


def run(network: nn.Module, batch: Batch, motion: str = CODEC) -> Tensor:
    """Super-resolve the frames of a batch that have a target.

    Args:
        network: what :func:`build` made.
        batch: on the network's device.
        motion: "codec", "own" or "zero"; samples whose motion was dropped have none in either case but "own".

    Returns:
        (N, T - 2 * context, 3, 4H, 4W).
    """
    if isinstance(network, CodecVSR):
        return network(
            batch.frames,
            batch.to_prev,
            batch.to_next,
            batch.priors,
            batch.is_cut,
            use_motion=batch.use_motion,
            use_second_order=batch.use_second_order,
            context=batch.context,
        )
    flows = None if motion == OWN else _dense(batch, motion == ZERO)
    return _RUNS[type(network)](network, batch, flows)


Flows = tuple[Tensor, Tensor]  #: to the frame before and to the one after, (N, T, 2, H, W) each, in pixels
_Run = Callable[[Any, Batch, Flows | None], Tensor]


def _dense(batch: Batch, is_zero: bool) -> Flows:
    """The batch's fields on the pixels of its frames."""
    height, width = batch.frames.shape[-2:]
    kept = batch.use_motion.view(-1, 1, 1, 1, 1) * (0 if is_zero else 1)
    n, t = batch.frames.shape[:2]
    large = [
        F.interpolate(field.flatten(0, 1).float(), scale_factor=CELL, mode="bilinear", align_corners=False)
        for field in (batch.to_prev, batch.to_next)
    ]
    to_prev, to_next = (field[..., :height, :width].unflatten(0, (n, t)) * kept for field in large)
    return to_prev, to_next


def _core(batch: Batch) -> range:
    """The frames that have a target."""
    return range(batch.context, batch.frames.shape[1] - batch.context)


def _recurrent(network: nn.Module, batch: Batch, flows: Flows | None) -> Tensor:
    given = () if flows is None else (flows[0][:, 1:], flows[1][:, :-1])
    output = network(batch.frames, *given)
    return output[:, batch.context : output.shape[1] - batch.context]


def _seed(network: MVSRSeed, batch: Batch, flows: Flows | None) -> Tensor:
    assert flows is not None  # build() allows no other motion
    types = torch.zeros(batch.frames.shape[:2], dtype=torch.uint8, device=batch.frames.device)
    output = network(batch.frames, *flows, types, as_published=False)
    return output[:, batch.context : output.shape[1] - batch.context]


def _sliding(network: EDVR, batch: Batch, flows: Flows | None) -> Tensor:
    t = batch.frames.shape[1]
    around = [circled(i, t, network.num_frame // 2) for i in _core(batch)]
    return torch.stack([network(batch.frames[:, window]) for window in around], dim=1)


def _pairs(network: RBPN, batch: Batch, flows: Flows | None) -> Tensor:
    assert flows is not None  # build() allows no other motion
    radius, last = (network.num_frame - 1) // 2, batch.frames.shape[1] - 1
    output = []
    for i in _core(batch):
        around = [j if 0 <= j <= last else i for j in range(i - radius, i + radius + 1) if j != i]
        moved = torch.stack([_between(flows, i, j) for j in around], dim=1)
        output.append(network(batch.frames[:, i], batch.frames[:, around], moved))
    return torch.stack(output, dim=1)


def _groups(network: RateGroups, batch: Batch, flows: Flows | None) -> Tensor:
    t, half = batch.frames.shape[1], GROUP // 2
    output = []
    for i in _core(batch):
        groups = [[mirrored(i + k * rate, t) for k in range(-half, half + 1)] for rate in network.rates]
        given = None
        if flows is not None:
            given = [
                (
                    torch.stack([_between(flows, b, a) for a, b in pairwise(group)], dim=1),
                    torch.stack([_between(flows, a, b) for a, b in pairwise(group)], dim=1),
                )
                for group in groups
            ]
        output.append(network([batch.frames[:, group] for group in groups], given))
    return torch.stack(output, dim=1)


def _between(flows: Flows, here: int, there: int) -> Tensor:
    """The flow (N, 2, H, W) on the grid of frame ``here`` that points into frame ``there``: those in between, composed."""
    if here == there:
        return torch.zeros_like(flows[0][:, here])
    step = 1 if there > here else -1
    steps = flows[int(step > 0)]
    flow = steps[:, here]
    for i in range(here + step, there, step):
        flow = flow + warp(steps[:, i], flow)
    return flow


_RUNS: dict[type[nn.Module], _Run] = {
    BasicVSR: _recurrent,
    IconVSR: _recurrent,
    BasicVSRPlusPlus: _recurrent,
    Study: _recurrent,
    MVSRSeed: _seed,
    EDVR: _sliding,
    RBPN: _pairs,
    RateGroups: _groups,
}
