"""The seed project's network: second-order recurrence on motion vectors, with its motion as published or as it should be.

The published arithmetic divides vectors by 4 that are in pixels already, and means to invert a P-frame's past vectors where
there are no future ones, but tests for the code of I-frames. Both mistakes can be left out: then the fields are used
unchanged. State-dict keys are the seed project's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from codecvsr.models.layers.blocks import SLOPE, Residual, ShuffleConv, count_blocks
from codecvsr.models.layers.warp import warp

_I_FRAME = 1  # in the published codes: 1 I, 2 P, 3 B


class MVSRSeed(nn.Module):
    """x4 super-resolution of a window of frames along given motion: (N, T, 3, H, W) to (N, T, 3, 4H, 4W).

    After BasicVSR (Chan et al., CVPR 2021), with motion vectors in place of optical flow.

    Args:
        channels: of every feature map.
        blocks: residual blocks of each direction.
    """

    scale = 4

    def __init__(self, *, channels: int = 64, blocks: int = 15) -> None:
        super().__init__()
        self.channels = channels
        self.feat_extract = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
        )
        self.mv_refiner = _Refiner()
        self.backward_resblocks = nn.Sequential(*(_Residual(channels) for _ in range(blocks)))
        self.forward_resblocks = nn.Sequential(*(_Residual(channels) for _ in range(blocks)))
        self.fusion = nn.Conv2d(2 * channels, channels, 1)
        self.refinement = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(SLOPE, inplace=True))
        self.up = nn.Sequential(
            ShuffleConv(channels, channels),
            nn.Identity(),  # the published shuffle, which has no keys
            nn.LeakyReLU(SLOPE, inplace=True),
            ShuffleConv(channels, channels),
            nn.Identity(),  # the published shuffle, which has no keys
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(channels, 3, 3, padding=1),
        )

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> MVSRSeed:
        """Build the network a state dict belongs to, hyper-parameters read off it, and load it strictly.

        Raises:
            KeyError, RuntimeError: the state dict is not this network's.
        """
        network = cls(
            channels=state["feat_extract.0.weight"].shape[0], blocks=count_blocks(state, "backward_resblocks.")
        )
        network.load_state_dict(state)
        return network

    def forward(
        self,
        frames: Tensor,
        mv_fwd: Tensor,
        mv_bwd: Tensor,
        types: Tensor,
        *,
        as_published: bool = True,
        use_second_order: bool = True,
    ) -> Tensor:
        """Super-resolve a window.

        Args:
            frames: (N, T, 3, H, W) RGB in 0..1, any size from 1x1 and any T from 1.
            mv_fwd: (N, T, 2, H, W) in pixels, x then y: motion to the frame before (what carries features forward).
            mv_bwd: (N, T, 2, H, W): motion to the frame after.
            types: (N, T), 1 for I, 2 for P, 3 for B; only the published arithmetic asks.
            as_published: with the two mistakes; False: the fields as they are.
            use_second_order: also the state of the frame beyond the neighbour.

        Returns:
            (N, T, 3, 4H, 4W), not clipped.

        Raises:
            ValueError: a shape is not one of the above.
        """
        n, t, _, height, width = frames.shape
        if mv_fwd.shape != (n, t, 2, height, width) or mv_bwd.shape != mv_fwd.shape or types.shape != (n, t):
            raise ValueError(
                f"mv_fwd.shape, mv_bwd.shape, types.shape = {tuple(mv_fwd.shape)}, {tuple(mv_bwd.shape)}, "
                f"{tuple(types.shape)}; expected {(n, t, 2, height, width)} twice and {(n, t)}."
            )
        if as_published:
            intra = (types == _I_FRAME)[:, :, None, None, None]
            mv_fwd, mv_bwd = mv_fwd / 4, torch.where(intra, -mv_fwd, mv_bwd) / 4
        features = self.feat_extract(frames.flatten(0, 1)).unflatten(0, (n, t))
        to_prev, to_next = (self.mv_refiner(mv.flatten(0, 1)).unflatten(0, (n, t)) for mv in (mv_fwd, mv_bwd))
        order = list(reversed(range(t)))
        from_future = self._propagate(self.backward_resblocks, features, to_next, order, use_second_order)[::-1]
        from_past = self._propagate(self.forward_resblocks, features, to_prev, order[::-1], use_second_order)
        output = []
        for future, past in zip(from_future, from_past, strict=True):
            output.append(self.up(self.refinement(self.fusion(torch.cat((past, future), dim=1)))))
        return torch.stack(output, dim=1)

    def _propagate(
        self, blocks: nn.Module, features: Tensor, flows: Tensor, order: list[int], use_second_order: bool
    ) -> list[Tensor]:
        """The states (N, C, H, W) of the frames in ``order``; each frame's flow leads to the one visited before it."""
        states = [torch.zeros_like(features[:, 0])]  # the state before the first frame is warped like any other
        for k, i in enumerate(order):
            state = warp(states[-1], flows[:, i])
            if use_second_order and k > 1:
                far = flows[:, i] + warp(flows[:, order[k - 1]], flows[:, i])
                state = (state + warp(states[-2], far)) / 2
            states.append(blocks(state + features[:, i]))
        return states[1:]


class _Refiner(nn.Module):
    """Vectors and what two convolutions add to them. Key ``net``."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(2, 32, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(32, 2, 3, padding=1))

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, 2, H, W) to the same."""
        return vectors + self.net(vectors)


class _Residual(Residual):
    """conv - ReLU - conv, added to its input. Key ``body``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def layers(self) -> tuple[nn.Conv2d, nn.Module, nn.Conv2d, nn.Module | None]:
        first, between, second = self.body
        assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
        return first, between, second, None

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)
