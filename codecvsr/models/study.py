"""A recurrent network whose parts can be exchanged, one at a time: what the experiments of the BasicVSR paper ask for.

Chan et al., "BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond", CVPR 2021: propagation and
alignment (section 3), information refill and coupled propagation (section 4). The paper publishes no code of the
exchanged parts; what each of them is here is said below. Motion is given; there is no optical-flow network inside.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from codecvsr.models.edvr import FeatureExtractor
from codecvsr.models.iconvsr import continued, inside
from codecvsr.models.layers.blocks import (
    ConvResidualBlocks,
    X4Head,
    bilinear_x4,
    count_blocks,
    leaky_relu,
    pad_to_multiple,
)
from codecvsr.models.layers.warp import warp

PROPAGATIONS = ("bidirectional", "unidirectional", "local")
ALIGNMENTS = ("feature", "image", "none")
LOCAL_RADIUS = 2  #: frames to either side that local propagation sees
REFILL_STRIDE = 5  #: every so many frames, and the last, are refilled
_REFILL_RADIUS = 2
_MULTIPLE = 4  # of the sides, for the pyramid of EDVR


class Study(X4Head):
    """x4 super-resolution of a window of frames along given flows: (N, T, 3, H, W) to (N, T, 3, 4H, 4W).

    After Chan et al., "BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond", CVPR 2021.

    Args:
        channels: of the recurrent features.
        blocks: residual blocks of each direction.
        propagation: "bidirectional"; "unidirectional", from the past alone; or "local", from the two frames to either side,
            with the parts of "bidirectional".
        alignment: "feature" pulls the recurrent features along the motion; "image" leaves them where they are and adds the
            neighbour's picture, pulled; "none" leaves them where they are.
        refill: features of EDVR's alignment are mixed into every fifth frame's, and the last's.
        coupled: the features from the future are an input of those from the past, instead of being fused with them.
    """

    scale = 4

    def __init__(
        self,
        *,
        channels: int = 64,
        blocks: int = 30,
        propagation: str = "bidirectional",
        alignment: str = "feature",
        refill: bool = False,
        coupled: bool = False,
    ) -> None:
        super().__init__(channels)
        if propagation not in PROPAGATIONS or alignment not in ALIGNMENTS:
            raise ValueError(f"propagation = {propagation!r}, alignment = {alignment!r}: {PROPAGATIONS}, {ALIGNMENTS}.")
        if coupled and propagation == "unidirectional":
            raise ValueError(
                "coupled = True needs features from the future, which propagation = 'unidirectional' has not."
            )
        self.channels, self.propagation, self.alignment, self.coupled = channels, propagation, alignment, coupled
        inputs = channels + (6 if alignment == "image" else 3)
        self.trunks = nn.ModuleDict()
        if propagation != "unidirectional":
            self.trunks["future"] = ConvResidualBlocks(inputs, channels, blocks)
        self.trunks["past"] = ConvResidualBlocks(inputs + (channels if coupled else 0), channels, blocks)
        self.fusion = nn.Conv2d(2 * channels, channels, 1) if propagation != "unidirectional" and not coupled else None
        self.edvr = FeatureExtractor(channels, 2 * _REFILL_RADIUS + 1) if refill else None
        self.refills = nn.ModuleDict()
        if refill:
            self.refills.update({name: nn.Conv2d(2 * channels, channels, 3, padding=1) for name in self.trunks})

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> Study:
        """Build the network a state dict belongs to, what can be read off it read off, and load it strictly.

        Only the file's settings show whether features are aligned and whether propagation is local.

        Raises:
            KeyError, RuntimeError: the state dict is not a Study's.
        """
        channels, inputs = state["trunks.past.main.0.weight"].shape[:2]
        has_backward = "trunks.future.main.0.weight" in state
        coupled = has_backward and "fusion.weight" not in state
        network = cls(
            channels=channels,
            blocks=count_blocks(state, "trunks.past.main.2."),
            propagation="bidirectional" if has_backward else "unidirectional",
            alignment="image" if inputs - channels * (2 if coupled else 1) == 6 else "feature",
            refill="refills.past.weight" in state,
            coupled=coupled,
        )
        network.load_state_dict(state)
        return network

    def forward(self, x: Tensor, flows_forward: Tensor, flows_backward: Tensor) -> Tensor:
        """Super-resolve a window.

        Args:
            x: (N, T, 3, H, W) RGB in 0..1, any size from 1x1 and any T from 1.
            flows_forward: (N, T - 1, 2, H, W) in pixels, from frame t + 1 to frame t.
            flows_backward: the same shape, from frame t to frame t + 1.

        Returns:
            (N, T, 3, 4H, 4W), not clipped.

        Raises:
            ValueError: a shape is not one of the above.
        """
        n, t, _, height, width = x.shape
        if flows_forward.shape != (n, t - 1, 2, height, width) or flows_backward.shape != flows_forward.shape:
            raise ValueError(
                f"flows_forward.shape, flows_backward.shape = {tuple(flows_forward.shape)}, "
                f"{tuple(flows_backward.shape)}; expected {(n, t - 1, 2, height, width)} twice."
            )
        if self.edvr is not None:
            x = pad_to_multiple(x, _MULTIPLE)
            both = torch.stack((flows_forward, flows_backward), dim=1).flatten(1, 2)
            padded = continued(both, (height, width), x.shape[-2:])
            assert padded is not None  # what is given comes back
            flows_forward, flows_backward = padded.unflatten(1, (2, t - 1)).unbind(1)
        if self.propagation == "local":
            windows = [slice(max(0, i - LOCAL_RADIUS), min(t, i + LOCAL_RADIUS + 1)) for i in range(t)]
            features = []
            for i, w in enumerate(windows):
                joins = slice(w.start, w.stop - 1)
                features.append(
                    self._propagate(x[:, w], flows_forward[:, joins], flows_backward[:, joins])[i - w.start]
                )
        else:
            features = self._propagate(x, flows_forward, flows_backward)
        pictures = [self.enlarge(f) + bilinear_x4(x[:, i]) for i, f in enumerate(features)]
        return torch.stack(pictures, dim=1)[..., : 4 * height, : 4 * width]

    def _propagate(self, x: Tensor, flows_forward: Tensor, flows_backward: Tensor) -> list[Tensor]:
        """The features (N, C, H, W) that every frame's picture is made from."""
        t = x.shape[1]
        refill = self._refill(x)
        from_future: list[Tensor] = []
        if "future" in self.trunks:
            state: Tensor | None = None
            for i in reversed(range(t)):
                flow = flows_backward[:, i] if i < t - 1 else None
                state = self._step("future", x, i, i + 1, state, flow, refill, None)
                from_future.insert(0, state)
        features = []
        state = None
        for i in range(t):
            flow = flows_forward[:, i - 1] if i else None
            coupled = from_future[i] if self.coupled else None
            state = self._step("past", x, i, i - 1, state, flow, refill, coupled)
            fused = state
            if self.fusion is not None:
                fused = leaky_relu(self.fusion(torch.cat((from_future[i], state), dim=1)))
            features.append(fused)
        return features

    def _step(
        self,
        direction: str,
        x: Tensor,
        here: int,
        there: int,
        state: Tensor | None,
        flow: Tensor | None,
        refill: Mapping[int, Tensor],
        coupled: Tensor | None,
    ) -> Tensor:
        """The features of frame ``here`` from those of its neighbour ``there``; None at the end where it begins."""
        frame = x[:, here]
        if state is None or flow is None:
            state, pulled = x.new_zeros(x.shape[0], self.channels, *x.shape[-2:]), torch.zeros_like(frame)
        else:
            pulled = warp(x[:, there], flow) if self.alignment == "image" else frame
            state = warp(state, flow, padding="zeros") if self.alignment == "feature" else state
        if here in refill:
            state = self.refills[direction](torch.cat((state, refill[here]), dim=1))
        parts = [
            frame,
            *([pulled] if self.alignment == "image" else []),
            *([] if coupled is None else [coupled]),
            state,
        ]
        return self.trunks[direction](torch.cat(parts, dim=1))

    def _refill(self, x: Tensor) -> dict[int, Tensor]:
        """EDVR's features (N, C, H, W) of the refilled frames."""
        if self.edvr is None:
            return {}
        last = x.shape[1] - 1
        found = {}
        for i in {*range(0, last + 1, REFILL_STRIDE), last}:
            window = [inside(j, last, _REFILL_RADIUS) for j in range(i - _REFILL_RADIUS, i + _REFILL_RADIUS + 1)]
            found[i] = self.edvr(x[:, window])
        return found
