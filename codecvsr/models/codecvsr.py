"""The network ``codecvsr``: bidirectional recurrent super-resolution on motion from the bitstream.

Propagation and alignment of features follow BasicVSR (Chan et al., CVPR 2021), second-order propagation BasicVSR++ (Chan
et al., CVPR 2022). The differences: no optical-flow network, as the motion is the codec's, repaired; a small head may correct it;
and what else the codec knows (QP, frame types, matching errors) enters as priors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.constants import SCALE
from codecvsr.models import priors as prior_channels
from codecvsr.models.bicubic import Bicubic
from codecvsr.models.layers import shift_add
from codecvsr.models.layers.blocks import SLOPE, ConvResidualBlocks, ResidualBlock, ShuffleConv, leaky_relu
from codecvsr.models.layers.shift_add import luma, shift_and_add
from codecvsr.models.layers.warp import Mode, warp

GAIN = 4.0  #: brings differences between aligned pictures to the size of the other inputs


class CodecVSR(nn.Module):
    """x4 super-resolution of a window of frames: (N, T, 3, H, W), fields and priors to (N, T, 3, 4H, 4W).

    Args:
        channels: width of every feature map.
        blocks: residual blocks of each propagation direction.
        flow_head: a small head sees every pair of pictures and corrects the codec's motion.
    """

    def __init__(self, *, channels: int = 32, blocks: int = 4, flow_head: bool = True) -> None:
        super().__init__()
        self.channels, self.blocks = channels, blocks
        self.extract = nn.Conv2d(3, channels, 3, padding=1)
        self.prior = nn.Conv2d(prior_channels.CHANNELS, channels, 3, padding=1)
        self.neighbours = nn.Conv2d(4 * 3 + shift_add.CHANNELS, channels, 3, padding=1)
        self.encode = ResidualBlock(channels)
        self.flow_head = _flow_head() if flow_head else None
        self.backward_step = ConvResidualBlocks(3 * channels, channels, blocks)
        self.forward_step = ConvResidualBlocks(4 * channels, channels, blocks)
        self.fuse = nn.Conv2d(2 * channels, channels, 1)
        self.reconstruct = ResidualBlock(channels)
        self.to_rgb = ShuffleConv(channels, 3, SCALE)
        self.bicubic = Bicubic()
        merges = (_merge_conv(self.backward_step), _merge_conv(self.forward_step))
        for conv in (self.extract, self.prior, *merges, self.fuse):
            nn.init.kaiming_normal_(conv.weight, a=SLOPE)
        with torch.no_grad():  # start frame by frame; what the neighbours' states are good for is learnt
            merges[0].weight[:, channels:] = 0
            merges[1].weight[:, 2 * channels :] = 0
        # Start as: the frame alone, the codec's motion, a bicubic picture.
        for last in (self.neighbours, self.to_rgb, *([] if self.flow_head is None else [self.flow_head[-1]])):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> CodecVSR:
        """Build the network a state dict belongs to; its hyper-parameters follow from the keys and shapes."""
        blocks = len({key.split(".")[3] for key in state if key.startswith("backward_step.main.2.")})
        head = "flow_head.0.weight" in state
        network = cls(channels=state["extract.weight"].shape[0], blocks=blocks, flow_head=head)
        network.load_state_dict({key: value.float() for key, value in state.items()})
        return network

    def forward(
        self,
        frames: Tensor,
        to_prev: Tensor,
        to_next: Tensor,
        priors: Tensor,
        is_cut: Tensor | None = None,
        *,
        use_motion: Tensor | None = None,
        use_second_order: Tensor | None = None,
        use_future: Tensor | None = None,
        context: int = 0,
    ) -> Tensor:
        """Upscale a window.

        Args:
            frames: (N, T, 3, H, W), RGB in 0..1.
            to_prev: (N, T, 2, h, w), motion to the frame before in pixels on cells, h = ceil(H/4), w = ceil(W/4).
            to_next: (N, T, 2, h, w), motion to the frame after.
            priors: (N, T, 8, h, w), see :func:`codecvsr.models.priors.make_priors`.
            is_cut: (N, T) bool, frames that begin a new scene: no state is carried into them from before, nor back.
            use_motion: (N,) 0 or 1; 0 leaves no motion for that sample (the caller makes its motion priors neutral).
            use_second_order: (N,) 0 or 1; 0 leaves out the pictures and features of the frame beyond the neighbour.
            use_future: (N,) 0 or 1; with 0 no frame of that sample sees a later one, as in a stream without look-ahead (the
                caller makes its priors say so).
            context: so many frames at either end are only looked at, not upscaled.

        Returns:
            (N, T - 2 * context, 3, 4H, 4W), not clamped.
        """
        frame_by_frame = self.iterate(
            frames,
            to_prev,
            to_next,
            priors,
            is_cut,
            use_motion=use_motion,
            use_second_order=use_second_order,
            use_future=use_future,
            context=context,
        )
        return torch.stack(list(frame_by_frame), dim=1)

    def iterate(
        self,
        frames: Tensor,
        to_prev: Tensor,
        to_next: Tensor,
        priors: Tensor,
        is_cut: Tensor | None = None,
        *,
        use_motion: Tensor | None = None,
        use_second_order: Tensor | None = None,
        use_future: Tensor | None = None,
        context: int = 0,
        first: int = 0,
        stop: int | None = None,
        states: dict[int, Tensor] | None = None,
    ) -> Iterator[Tensor]:
        """:meth:`forward`, one frame (N, 3, 4H, 4W) after the other: a long window's output is never held at once.

        A stream is made in windows that carry the forward states on. The first ``first`` frames were made by an earlier window: they
        have pictures and motion, and ``states`` has the forward states (N, C, H, W) of ``first - 1`` and ``first - 2``, where they
        are known; afterwards it has those of the last two frames before ``stop``. Frames from ``stop`` on are look-ahead, seen by
        the pass backward in time alone.
        """
        t = frames.shape[1]
        core = range(max(context, first), t - context)
        motion, second = _per_sample(use_motion, frames), _per_sample(use_second_order, frames)
        keep = None if is_cut is None else (~is_cut).to(frames.dtype)
        past = self._flows(frames[:, 1:], frames[:, :-1], to_prev[:, 1:], motion)  # index i: frame i + 1 to i
        future = self._flows(frames[:, :-1], frames[:, 1:], to_next[:, :-1], motion)  # index i: frame i to i + 1
        before = {i: _routes(i, -1, t, past, keep, second) for i in core}
        later = keep
        if use_future is not None:
            allowed = _per_sample(use_future, frames)[..., 0, 0].expand(-1, t)
            later = allowed if keep is None else allowed * keep
        after = {i: _routes(i, +1, t, future, later, second) for i in core}
        lumas = luma(frames)
        features = {i: self._features(i, frames, lumas, priors, [*before[i], *after[i]]) for i in core}

        backward: dict[int, Tensor] = {}
        for i in reversed(core):
            aligned = _states(backward, after[i], features[i])
            backward[i] = self.backward_step(torch.cat([features[i], *aligned], dim=1))
        forward: dict[int, Tensor] = {} if states is None else states
        for i in core if stop is None else range(core.start, stop):
            aligned = _states(forward, before[i], features[i])
            forward[i] = self.forward_step(torch.cat([features.pop(i), backward[i], *aligned], dim=1))
            forward.pop(i - 2, None)
            yield self._output(forward[i], backward.pop(i), frames[:, i])

    def _features(
        self, i: int, frames: Tensor, lumas: Tensor, priors: Tensor, routes: Sequence[_Route | None]
    ) -> Tensor:
        """Features of frame ``i`` (N, C, H, W): its picture, its priors, and what its neighbours' pictures add."""
        pictures, lumas_by_frame = frames.unbind(1), lumas.unbind(1)
        here = pictures[i].contiguous(memory_format=torch.channels_last)
        height, width = here.shape[2:]
        known = F.interpolate(self.prior(priors[:, i]), scale_factor=4, mode="nearest")[..., :height, :width]
        added = shift_and_add(lumas_by_frame[i], [(lumas_by_frame[r.source], r.flow, r.gate) for r in routes if r])
        samples, shares = added.chunk(2, dim=1)
        near = self.neighbours(torch.cat([*_differences(pictures, routes, here), samples, shares / GAIN], dim=1) * GAIN)
        return self.encode(leaky_relu(self.extract((here - 0.5) * 2) + known + near))

    def _flows(self, here: Tensor, there: Tensor, field: Tensor, motion: Tensor) -> list[Tensor]:
        """Dense flow (N, 2, H, W) from each frame to its neighbour: the codec's field and what a head adds."""
        n, pairs, _, height, width = here.shape
        if pairs == 0:
            return []
        flow = F.interpolate(field.flatten(0, 1), scale_factor=4, mode="bilinear", align_corners=False)
        gate = motion.repeat_interleave(pairs, 0)
        flow = flow[..., :height, :width] * gate
        if self.flow_head is not None:
            here, there = here.flatten(0, 1), there.flatten(0, 1)
            residual = self.flow_head(torch.cat([here, warp(there, flow), flow * 0.1], dim=1))
            flow = flow + residual * gate
        return list(flow.view(n, pairs, 2, height, width).unbind(1))

    def _output(self, forward: Tensor, backward: Tensor, frame: Tensor) -> Tensor:
        fused = leaky_relu(self.fuse(torch.cat([forward, backward], dim=1)))
        return self.to_rgb(self.reconstruct(fused)) + self.bicubic(frame[:, None])[:, 0]


def _flow_head() -> nn.Sequential:
    """Sees a picture, its neighbour pulled onto it and the flow; makes a correction of the flow."""
    return nn.Sequential(
        nn.Conv2d(8, 16, 3, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(16, 2, 3, padding=1),
    )


def _merge_conv(step: ConvResidualBlocks) -> nn.Conv2d:
    """The first convolution of a propagation step, which sees everything that is concatenated."""
    conv = step.main[0]
    assert isinstance(conv, nn.Conv2d)
    return conv


@dataclass(frozen=True)
class _Route:
    """From a frame to one of its neighbours: which, along what flow (N, 2, H, W), and 0 for samples that must not go."""

    source: int
    flow: Tensor
    gate: Tensor  # (N, 1, 1, 1)

    def pull(self, sources: Sequence[Tensor] | Mapping[int, Tensor], mode: Mode = "bilinear") -> Tensor:
        """The source's picture or state (N, C, H, W), seen from where the route begins."""
        return warp(sources[self.source], self.flow, mode=mode) * self.gate


def _routes(
    i: int, step: int, frames: int, flows: list[Tensor], keep: Tensor | None, second: Tensor
) -> tuple[_Route | None, _Route | None]:
    """The routes from frame ``i`` to frames ``i + step`` and ``i + 2 * step``; None where there is no such frame.

    ``flows[k]`` joins frames k and k + 1, from the one further along ``step``'s source side; ``keep`` (N, T) is 0 for
    frames across whose start nothing may pass.
    """
    near, far = i + step, i + 2 * step
    if not 0 <= near < frames:
        return None, None
    open_ = torch.ones_like(second)
    gate = open_ if keep is None else keep[:, max(i, near), None, None, None]
    first = _Route(near, flows[min(i, near)], gate)
    if not 0 <= far < frames:
        return first, None
    beyond = first.flow + warp(flows[min(near, far)], first.flow)
    gate = gate if keep is None else gate * keep[:, max(near, far), None, None, None]
    return first, _Route(far, beyond, gate * second)


def _states(states: Mapping[int, Tensor], routes: Sequence[_Route | None], like: Tensor) -> list[Tensor]:
    """The states the routes lead to; zeros where there are none."""
    return [r.pull(states) if r and r.source in states else torch.zeros_like(like) for r in routes]


def _differences(pictures: Sequence[Tensor], routes: Sequence[_Route | None], here: Tensor) -> list[Tensor]:
    """How the pictures the routes lead to differ from the one ``here``; zeros where there are none."""
    return [r.pull(pictures, "bicubic") - here * r.gate if r else torch.zeros_like(here) for r in routes]


def _per_sample(flags: Tensor | None, like: Tensor) -> Tensor:
    """(N,) flags, all 1 by default, as (N, 1, 1, 1) factors."""
    flags = torch.ones(like.shape[0]) if flags is None else flags
    return flags.to(like.device, like.dtype).view(-1, 1, 1, 1)
