"""How networks are called: one adapter per calling convention, from a clip's frames and motion to its pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.constants import CELL
from codecvsr.engine.native import codecvsr as native_codecvsr
from codecvsr.engine.plan import Plan
from codecvsr.engine.transfer import to_device
from codecvsr.inference.source import Source
from codecvsr.inference.windows import OVERLAP, circled, longest_window, mirrored
from codecvsr.models import priors as prior_channels
from codecvsr.models.basicvsr_pp import BasicVSRPlusPlus
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.edvr import EDVR
from codecvsr.models.layers.warp import warp
from codecvsr.models.mvsr_seed import MVSRSeed
from codecvsr.models.rate_groups import GROUP, RateGroups
from codecvsr.models.rbpn import RBPN
from codecvsr.motion.field import painted_from_corner

_FLOWS_KEPT = 64  # between frames, by the networks whose windows overlap


class NetworkAblations(Protocol):
    """What of :class:`codecvsr.inference.infer.Ablations` concerns the networks themselves."""

    @property
    def mvs(self) -> bool:
        """Motion of any kind."""

    @property
    def second_order(self) -> bool:
        """Features from the frame beyond the neighbour."""

    @property
    def priors(self) -> bool:
        """Quantisers, frame types and matching errors."""

    @property
    def motion_jitter(self) -> bool:
        """The tremor of codec motion in long windows."""


#: Takes the network, the clip, its stretch of frames, what to leave out and where to run; yields a (1, 3, H, W) per frame.
Runner = Callable[[nn.Module, Source, slice, NetworkAblations, Plan], Iterator[Tensor]]


def _run_codecvsr(
    network: nn.Module, source: Source, part: slice, left_out: NetworkAblations, plan: Plan
) -> Iterator[Tensor]:
    """Fields on cells, priors and scene cuts, over a whole window."""
    assert isinstance(network, CodecVSR)
    motion, priors = source.motion, _priors(source, part, left_out)
    inputs = (
        pictures(source, part, plan.device),
        to_device(motion.to_prev[part], plan.device)[None],
        to_device(motion.to_next[part], plan.device)[None],
        to_device(priors, plan.device)[None],
        to_device(motion.is_cut[part], plan.device)[None],
    )
    switches: dict[str, Any] = {
        "use_motion": torch.full((1,), float(not left_out.mvs), device=plan.device),
        "use_second_order": torch.full((1,), float(not left_out.second_order), device=plan.device),
    }
    if plan.graphs:  # a graph makes a window as a whole
        return iter(network(*inputs, **switches).unbind(1))
    return network.iterate(*inputs, **switches)


def run_native(
    network: nn.Module, source: Source, part: slice, left_out: NetworkAblations, plan: Plan, passed: int = 0
) -> Iterator[npt.NDArray[np.uint8]] | None:
    """A stretch of a clip through a network's native form, where the plan is to use it and it has one; otherwise None.

    Yields the pictures (4H, 4W, 3) themselves, but for the first ``passed``.
    """
    if not _is_native(network, plan):
        return None
    assert isinstance(network, CodecVSR)
    motion = source.motion
    return native_codecvsr.FastCodecVSR(network, *source.frames.shape[1:3], dtype=plan.dtype).iterate(
        source.frames[part],
        motion.to_prev[part],
        motion.to_next[part],
        _priors(source, part, left_out),
        motion.is_cut[part],
        use_motion=not left_out.mvs,
        use_second_order=not left_out.second_order,
        skip=passed,
    )


def _priors(source: Source, part: slice, left_out: NetworkAblations) -> npt.NDArray[np.float32]:
    """What the codec knows of a stretch of a clip (T, 8, h, w), neutral where it is to be left out."""
    priors = prior_channels.make_priors(source.motion)[part]
    if left_out.priors:
        priors = np.zeros_like(priors)
    if left_out.mvs:
        priors[:, prior_channels.MOTION_CHANNELS] = 0
    return priors


def _run_on_flows(
    network: nn.Module, source: Source, part: slice, left_out: NetworkAblations, plan: Plan
) -> Iterator[Tensor]:
    """A whole window and the dense flows between its frames, both ways."""
    if isinstance(network, BasicVSRPlusPlus) and not network.is_low_res_input:  # it aligns at a quarter of the size
        to_prev, to_next = (
            to_device(f[part], plan.device) / CELL for f in (source.motion.to_prev, source.motion.to_next)
        )
    else:
        to_prev, to_next = dense_flows(source, part, plan.device)
    return iter(network(pictures(source, part, plan.device), to_prev[None, 1:], to_next[None, :-1]).unbind(1))


def _run_on_vectors(
    network: nn.Module, source: Source, part: slice, left_out: NetworkAblations, plan: Plan
) -> Iterator[Tensor]:
    """A whole window and vectors for each of its frames; raw ones the way the seed project painted and scaled them."""
    assert isinstance(network, MVSRSeed)
    motion = source.motion
    if source.is_raw:
        height, width = source.frames.shape[1:3]
        painted = (painted_from_corner(field[part], motion.partition[part]) for field in (motion.past, motion.future))
        past, future = (
            F.interpolate(to_device(field, plan.device), scale_factor=CELL, mode="nearest")[..., :height, :width]
            for field in painted
        )
    else:
        past, future = dense_flows(source, part, plan.device)
    types = to_device(motion.types[part], plan.device)[None]
    output = network(
        pictures(source, part, plan.device),
        past[None],
        future[None],
        types,
        as_published=source.is_raw,
        use_second_order=not left_out.second_order,
    )
    return iter(output.unbind(1))


def _run_sliding(
    network: nn.Module, source: Source, part: slice, left_out: NetworkAblations, plan: Plan
) -> Iterator[Tensor]:
    """A short window around every frame; at the ends the frames it would not have seen (EDVR's ``new_info``)."""
    assert isinstance(network, EDVR)
    for start in range(part.start, part.stop, plan.frames_per_step):
        step = range(start, min(start + plan.frames_per_step, part.stop))
        windows = [circled(index, len(source.names), network.num_frame // 2) for index in step]
        made = network(torch.cat([pictures(source, around, plan.device) for around in windows]))
        yield from made.split(1)


def _run_on_pairs(
    network: nn.Module, source: Source, part: slice, left_out: NetworkAblations, plan: Plan
) -> Iterator[Tensor]:
    """Every frame, its neighbours and the flows into them; where there is no neighbour, the frame itself."""
    assert isinstance(network, RBPN)
    radius, last = (network.num_frame - 1) // 2, len(source.names) - 1
    for index in range(part.start, part.stop):
        around = [i if 0 <= i <= last else index for i in range(index - radius, index + radius + 1) if i != index]
        flows = torch.stack([flow_between(source, index, i, plan.device) for i in around])
        yield network(pictures(source, [index], plan.device)[:, 0], pictures(source, around, plan.device), flows[None])


def _run_in_groups(
    network: nn.Module, source: Source, part: slice, left_out: NetworkAblations, plan: Plan
) -> Iterator[Tensor]:
    """Groups of frames at several rates around every frame, with the flows inside each; mirrored at the ends."""
    assert isinstance(network, RateGroups)
    flow = functools.lru_cache(_FLOWS_KEPT)(lambda a, b: flow_between(source, a, b, plan.device))
    half = GROUP // 2
    for index in range(part.start, part.stop):
        steps = (range(-half * rate, half * rate + 1, rate) for rate in network.rates)
        groups = [[mirrored(index + step, len(source.names)) for step in group] for group in steps]
        flows = []
        for group in groups:
            forward = torch.stack([flow(b, a) for a, b in pairwise(group)])
            backward = torch.stack([flow(a, b) for a, b in pairwise(group)])
            flows.append((forward[None], backward[None]))
        yield network([pictures(source, group, plan.device) for group in groups], flows)


def _run_frame_by_frame(
    network: nn.Module, source: Source, part: slice, left_out: NetworkAblations, plan: Plan
) -> Iterator[Tensor]:
    for start in range(part.start, part.stop, plan.frames_per_step):
        step = slice(start, min(start + plan.frames_per_step, part.stop))
        yield from network(pictures(source, step, plan.device))[0].split(1)


#: By architecture.
RUNNERS: dict[str, Runner] = {
    "codecvsr": _run_codecvsr,
    "basicvsr": _run_on_flows,
    "iconvsr": _run_on_flows,
    "basicvsr-pp": _run_on_flows,
    "study": _run_on_flows,
    "mvsr-seed": _run_on_vectors,
    "edvr": _run_sliding,
    "rbpn": _run_on_pairs,
    "rate-groups": _run_in_groups,
    "bicubic": _run_frame_by_frame,
}
#: Architectures whose every picture comes from a short window of its own: a clip need not be cut for them.
SLIDING = frozenset({"edvr", "rbpn", "rate-groups", "bicubic"})


def usual_window(network: nn.Module, plan: Plan, height: int, width: int) -> int:
    """So many frames of height x width pixels a window keeps unless the user says otherwise, to go by the plan's memory."""
    if isinstance(network, CodecVSR) and _is_native(network, plan):
        held = native_codecvsr.held_channels(network, plan.dtype)
        return longest_window(height, width, held, plan.memory_bytes, beyond=2 * OVERLAP)
    return longest_window(height, width, _kept_channels(network), plan.memory_bytes)


def _is_native(network: nn.Module, plan: Plan) -> bool:
    """Whether the network as a whole is run in its native form."""
    return plan.native and native_codecvsr.is_supported(network, plan.device, plan.dtype)


def _kept_channels(network: nn.Module) -> int:
    """Channels of features per input pixel that a recurrent network keeps of every frame of a window."""
    if isinstance(network, BasicVSRPlusPlus):
        return 6 * network.mid_channels // (1 if network.is_low_res_input else CELL**2) + 8
    return 3 * 64


def radius(network: nn.Module) -> int:
    """Frames before and after one that a network of :data:`SLIDING` looks at to make it; 0 for the others, who see all."""
    if isinstance(network, RateGroups):
        return GROUP // 2 * max(network.rates)
    return network.num_frame // 2 if isinstance(network, (EDVR, RBPN)) else 0


def pictures(source: Source, frames: slice | list[int], device: torch.device) -> Tensor:
    """Frames of a clip, (1, T, 3, H, W) in 0..1."""
    return (to_device(source.frames[frames], device).permute(0, 3, 1, 2).float() / 255)[None]


def dense_flows(source: Source, part: slice, device: torch.device) -> tuple[Tensor, Tensor]:
    """Motion to the frames before and after, (T, 2, H, W) each, in pixels."""
    fields = source.dense or (source.motion.to_prev, source.motion.to_next)
    height, width = source.frames.shape[1:3]
    flows = [to_device(field[part], device) for field in fields]
    if source.dense is None:
        flows = [F.interpolate(f, scale_factor=CELL, mode="bilinear", align_corners=False) for f in flows]
    return flows[0][..., :height, :width], flows[1][..., :height, :width]


def flow_between(source: Source, here: int, there: int, device: torch.device) -> Tensor:
    """The flow (2, H, W) on the grid of frame ``here`` that points into frame ``there``, however far away.

    Estimated between the two where the motion is an estimate; otherwise the motion of the frames in between, composed.
    """
    if here == there:
        return torch.zeros(2, *source.frames.shape[1:3], device=device)
    if source.pairwise is not None:
        return to_device(source.pairwise(here, there), device)
    step = 1 if there > here else -1
    flow: Tensor | None = None
    for index in range(here, there, step):
        one = dense_flows(source, slice(index, index + 1), device)[int(step > 0)]
        flow = one if flow is None else flow + warp(one, flow)
    assert flow is not None  # the two differ
    return flow[0]
