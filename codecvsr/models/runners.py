"""One runner per calling convention: from a clip to the published ``forward`` of a network, frame by frame.

Inference, comparison and training call networks through these alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import torch
from torch import Tensor

from codecvsr.constants import CELL
from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.basicvsr_pp import BasicVSRPlusPlus
from codecvsr.models.bicubic import Bicubic
from codecvsr.models.clip import Clip
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.edvr import EDVR
from codecvsr.models.iconvsr import IconVSR
from codecvsr.models.mvsr_seed import MVSRSeed
from codecvsr.models.rate_groups import GROUP, RateGroups
from codecvsr.models.rbpn import RBPN
from codecvsr.models.study import Study

_MAX_FLOWS = 64  # between pairs of frames, cached because groups overlap


@dataclass(frozen=True)
class Execution:
    """How a runner calls its network.

    Attributes:
        frames_per_step: frames per call, of networks that make each frame from a window of its own.
        whole_window: one call of ``forward`` per window, for CUDA graphs; otherwise frame by frame where the network can.
    """

    frames_per_step: int = 1
    whole_window: bool = False


FRAME_BY_FRAME = Execution()

#: Called with the network, the clip, the ascending indices of the frames to make, and how; yields (N, 3, scale * H, scale * W)
#: for each. For a recurrent network, the indices leave out equally many frames at both ends.
Runner = Callable[[Any, Clip, Sequence[int], Execution], Iterator[Tensor]]


def run_codecvsr(network: CodecVSR, clip: Clip, wanted: Sequence[int], execution: Execution) -> Iterator[Tensor]:
    """Pass fields on cells, priors and scene cuts of a whole window."""
    inputs = (clip.frames(), *clip.cell_fields(), clip.priors(), clip.cuts())
    switches: dict[str, Any] = {
        "use_motion": clip.use_motion,
        "use_second_order": clip.use_second_order,
        "use_future": clip.use_future,
        "context": wanted[0],
    }
    if execution.whole_window:
        return iter(network(*inputs, **switches).unbind(1))
    return network.iterate(*inputs, **switches)


def run_on_flows(
    network: BasicVSR | IconVSR | BasicVSRPlusPlus | Study, clip: Clip, wanted: Sequence[int], execution: Execution
) -> Iterator[Tensor]:
    """Pass a whole window and the dense flows between its frames, both ways."""
    flows: tuple[Tensor, ...] = ()
    if isinstance(network, BasicVSRPlusPlus) and not network.is_low_res_input:  # aligns at a quarter of the size
        flows = tuple(field / CELL for field in clip.cell_fields())
    elif clip.has_motion:
        flows = clip.dense_flows()
    if flows:
        flows = flows[0][:, 1:], flows[1][:, :-1]
    if execution.whole_window or not isinstance(network, BasicVSR | IconVSR | BasicVSRPlusPlus):
        return iter(network(clip.frames(), *flows)[:, wanted[0] : wanted[-1] + 1].unbind(1))
    return islice(network.iterate(clip.frames(), *flows), wanted[0], wanted[-1] + 1)


def run_on_vectors(network: MVSRSeed, clip: Clip, wanted: Sequence[int], execution: Execution) -> Iterator[Tensor]:
    """Pass a whole window and vectors for each of its frames; raw vectors go through the published arithmetic."""
    raw = clip.raw_vectors()
    output = network(
        clip.frames(),
        *(clip.dense_flows() if raw is None else raw),
        clip.types(),
        as_published=raw is not None,
        use_second_order=bool(clip.use_second_order.any()),
    )
    return iter(output[:, wanted[0] : wanted[-1] + 1].unbind(1))


def run_sliding(network: EDVR, clip: Clip, wanted: Sequence[int], execution: Execution) -> Iterator[Tensor]:
    """Pass a short window around every frame; at the ends, frames from the other side (EDVR's ``new_info``)."""
    for step in _steps(wanted, execution):
        windows = [clip.frames(circled(index, len(clip), network.num_frame // 2)) for index in step]
        yield from network(torch.cat(windows)).split(len(windows[0]))


def run_on_pairs(network: RBPN, clip: Clip, wanted: Sequence[int], execution: Execution) -> Iterator[Tensor]:
    """Pass every frame, its neighbours and the flows into them; the frame itself stands in for a missing neighbour."""
    radius, last = (network.num_frame - 1) // 2, len(clip) - 1
    for index in wanted:
        around = [i if 0 <= i <= last else index for i in range(index - radius, index + radius + 1) if i != index]
        flows = torch.stack([clip.flow(index, i) for i in around], dim=1)
        yield network(clip.frames([index])[:, 0], clip.frames(around), flows)


def run_in_groups(network: RateGroups, clip: Clip, wanted: Sequence[int], execution: Execution) -> Iterator[Tensor]:
    """Pass groups of frames at several rates around every frame and the flows inside each; mirrored at the ends."""
    radius = GROUP // 2
    cache: dict[tuple[int, int], Tensor] = {}

    def flow(here: int, there: int) -> Tensor:
        key = (here, there)
        if key not in cache:
            if len(cache) >= _MAX_FLOWS:
                cache.pop(next(iter(cache)))
            cache[key] = clip.flow(here, there)
        return cache[key]

    for index in wanted:
        steps = (range(-radius * rate, radius * rate + 1, rate) for rate in network.rates)
        groups = [[mirrored(index + step, len(clip)) for step in group] for group in steps]
        flows = None
        if clip.has_motion:
            flows = [
                (
                    torch.stack([flow(b, a) for a, b in pairwise(group)], dim=1),
                    torch.stack([flow(a, b) for a, b in pairwise(group)], dim=1),
                )
                for group in groups
            ]
        yield network([clip.frames(group) for group in groups], flows)


def run_frame_by_frame(network: Bicubic, clip: Clip, wanted: Sequence[int], execution: Execution) -> Iterator[Tensor]:
    """Pass frames alone."""
    for step in _steps(wanted, execution):
        yield from network(clip.frames(step)).unbind(1)


def circled(centre: int, frames: int, radius: int) -> list[int]:
    """Return the ``2 * radius + 1`` frames around ``centre``.

    For those beyond an end come the next ones on the other side, farthest first (EDVR's ``new_info``: 4, 3, 0, 1, 2 around
    0); in a clip too short for that, the nearest frame.
    """
    last = frames - 1
    around = []
    for i in range(centre - radius, centre + radius + 1):
        if i < 0:
            i = centre + radius - i
        elif i > last:
            i = centre - radius - (i - last)
        around.append(min(max(i, 0), last))
    return around


def mirrored(index: int, frames: int) -> int:
    """Return the frame at ``index`` of a clip that is continued by its mirror image at both ends, repeatedly."""
    if frames == 1:
        return 0
    index %= 2 * (frames - 1)
    return min(index, 2 * (frames - 1) - index)


def _steps(wanted: Sequence[int], execution: Execution) -> Iterator[Sequence[int]]:
    for start in range(0, len(wanted), execution.frames_per_step):
        yield wanted[start : start + execution.frames_per_step]
