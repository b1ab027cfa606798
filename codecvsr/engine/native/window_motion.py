"""The pictures of a window and the motion between them, as the fast form of ``codecvsr`` goes through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from codecvsr.engine.native.net import Layer, NativeNet
from codecvsr.engine.native.structs import GROUP, Array, Picture

#: A neighbour and the flow (H, W, 2) to it.
Route = tuple[int, Array]


class WindowMotion:
    """The pictures of a window's frames and the flows between them, made when they are wanted.

    The first pass goes backwards and leaves one frame after the other, the second goes forwards and passes them.

    Attributes:
        is_used: False for no motion: every flow is zero.
        has_second_order: False to have no routes to the frame beyond the neighbour.
    """

    def __init__(
        self,
        net: NativeNet,
        head: Sequence[Layer],
        frames: npt.NDArray[np.uint8],
        fields: Mapping[int, Array],
        is_cut: npt.NDArray[np.bool_],
    ) -> None:
        """``fields`` (T, 2, h, w) are the codec's by step: -1 to the frame before, +1 to the frame after."""
        self._net, self._head, self._frames, self._fields, self._is_cut = net, head, frames, fields, is_cut
        self.is_used = self.has_second_order = True
        self._pictures: dict[int, Picture] = {}
        self._flows: dict[tuple[int, int], Array] = {}
        self._beyond: dict[tuple[int, int], Array] = {}
        self._still = np.zeros((net.height, net.width, 2), np.float32)

    def picture(self, i: int) -> Picture:
        """Frame ``i``."""
        if i not in self._pictures:
            self._pictures[i] = self._net.load(self._frames[i])
        return self._pictures[i]

    def routes(self, i: int, step: int) -> list[Route | None]:
        """The neighbours ``i + step`` and ``i + 2 * step`` and the flows to them; None for what is not there."""
        near, far = i + step, i + 2 * step
        if not self._is_open(i, near):
            return [None, None]
        first = self._flow(i, step)
        if not self.has_second_order or not self._is_open(near, far):
            return [(near, first), None]
        if not self.is_used:
            return [(near, first), (far, first)]
        if (i, step) not in self._beyond:
            beyond = self._net.take(2)
            self._net.warp(self._flow(near, step), first, beyond, plus=first)
            self._beyond[i, step] = beyond
        return [(near, first), (far, self._beyond[i, step])]

    def _is_open(self, i: int, j: int) -> bool:
        """Whether anything passes between neighbouring frames."""
        return 0 <= j < len(self._frames) and not self._is_cut[max(i, j)]

    def _flow(self, i: int, step: int) -> Array:
        """The flow (H, W, 2) from frame ``i`` to its neighbour: the codec's field and what the head adds."""
        if not self.is_used:
            return self._still
        if (i, step) not in self._flows:
            net, pictures, field = self._net, (self.picture(i), self.picture(i + step)), self._fields[step][i]
            flow, seen = net.take(2), net.take(GROUP) if self._head else None
            with net.together():
                net.flow_input(*pictures, field, flow, seen)
                if seen is not None:
                    inner = net.take(GROUP)
                    for layer in self._head:
                        net.conv(layer, [seen], inner)
                        seen, inner = inner, seen
                    net.flow_output(seen, flow)
                    net.give(seen, inner)
            self._flows[i, step] = flow
        return self._flows[i, step]

    def leave(self, i: int) -> None:
        """Let go of what only frames from ``i`` on need of the pictures and of the motion to what follows."""
        self._net.give(self._flows.pop((i + 1, +1), None), self._beyond.pop((i, +1), None))
        self._drop_picture(i + 2)

    def pass_by(self, i: int) -> None:
        """Let go of what frames up to ``i`` need."""
        self._net.give(self._flows.pop((i, -1), None), self._beyond.pop((i, -1), None))
        self._drop_picture(i)

    def _drop_picture(self, i: int) -> None:
        picture = self._pictures.pop(i, None)
        if picture is not None:
            self._net.give(picture.colours, picture.luma)
