"""The pictures of a window and the flows between them, for the native form of ``codecvsr``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from codecvsr.engine.native.net import NativeNet
from codecvsr.engine.native.partial_steps import PartialSteps
from codecvsr.engine.native.static_tiles import Part
from codecvsr.engine.native.structs import GROUP, Array, Layer, Picture

#: A neighbour and the flow (H, W, 2) to it.
Route = tuple[int, Array]


class WindowMotion:
    """The pictures of a window's frames and the flows between them, computed on demand.

    The first pass over the window runs backwards and calls :meth:`release_after` for every frame, the second runs forwards and
    calls :meth:`release_before`.

    Attributes:
        is_used: False sets every flow to zero.
        has_second_order: False removes the routes to the frame beyond the neighbour.
    """

    def __init__(
        self,
        net: NativeNet,
        head: Sequence[Layer],
        frames: npt.NDArray[np.uint8],
        fields: Mapping[int, Array],
        is_cut: npt.NDArray[np.bool_],
        parts: Callable[[int], Part | None] | None = None,
    ) -> None:
        """Stores the inputs.

        Args:
            net: runs the steps.
            head: the layers of the flow head, none if there is none.
            frames: (T, H, W, 3) RGB.
            fields: (T, 2, h, w) in pixels by step: -1 to the frame before, +1 to the frame after.
            is_cut: (T,), frames that begin a new scene.
            parts: returns the part of a frame in which its flows are computed; elsewhere they repeat those of the next frame. None
                for all.
        """
        self._net, self._head, self._frames, self._fields, self._is_cut = net, head, frames, fields, is_cut
        self._parts, self._steps = parts, PartialSteps(net)
        self.is_used = self.has_second_order = True
        self._pictures: dict[int, Picture] = {}
        self._flows: dict[tuple[int, int], Array] = {}
        self._beyond: dict[tuple[int, int], Array] = {}
        self._no_motion = np.zeros((net.height, net.width, 2), np.float32)

    def picture(self, i: int) -> Picture:
        """Returns frame ``i`` as a picture."""
        if i not in self._pictures:
            self._pictures[i] = self._net.load(self._frames[i])
        return self._pictures[i]

    def routes(self, i: int, step: int) -> list[Route | None]:
        """Returns neighbours ``i + step`` and ``i + 2 * step`` with the flows to them; None outside the window or scene."""
        near, far = i + step, i + 2 * step
        if not self._is_open(i, near):
            return [None, None]
        first = self._flow(i, step)
        if not self.has_second_order or not self._is_open(near, far):
            return [(near, first), None]
        if not self.is_used:
            return [(near, first), (far, first)]
        if (i, step) not in self._beyond:
            beyond = self._net.alloc(2)
            self._net.warp(self._flow(near, step), first, beyond, plus=first)
            self._beyond[i, step] = beyond
        return [(near, first), (far, self._beyond[i, step])]

    def _is_open(self, i: int, j: int) -> bool:
        """Whether neighbouring frames ``i`` and ``j`` are in the window and in one scene."""
        return 0 <= j < len(self._frames) and not self._is_cut[max(i, j)]

    def _flow(self, i: int, step: int) -> Array:
        """Returns the flow (H, W, 2) in pixels from frame ``i`` to its neighbour: the codec's field plus the head's output."""
        if not self.is_used:
            return self._no_motion
        if (i, step) not in self._flows:
            self._flows[i, step] = self._computed(i, step, self._flows.get((i + 1, step)))
        return self._flows[i, step]

    def _computed(self, i: int, step: int, last: Array | None) -> Array:
        """Computes a flow; outside the frame's part, if any, it is ``last``."""
        net, steps, pictures, field = (
            self._net,
            self._steps,
            (self.picture(i), self.picture(i + step)),
            self._fields[step][i],
        )
        part = None if last is None or self._parts is None else self._parts(i)
        tiles = None if part is None else part.grown(len(self._head))
        flow, head_features = net.alloc(2), net.alloc(GROUP) if self._head else None
        with net.batch_steps():
            net.flow_input(*pictures, field, flow, head_features, tiles=tiles)
            if head_features is not None:
                steps.clear_around(head_features, tiles)
                inner = net.alloc(GROUP)
                for depth, layer in reversed(list(enumerate(reversed(self._head)))):
                    steps.conv(layer, [head_features], inner, part, depth)
                    head_features, inner = inner, head_features
                net.flow_output(head_features, flow, tiles=None if part is None else part.tiles)
                net.release(head_features, inner)
            steps.repeat(last, flow, part)
        return flow

    def release_after(self, i: int) -> None:
        """Releases pictures and flows to later frames that only frames from ``i`` on need."""
        self._net.release(self._flows.pop((i + 1, +1), None), self._beyond.pop((i, +1), None))
        self._release_picture(i + 2)

    def release_before(self, i: int) -> None:
        """Releases the picture of frame ``i`` and the flows from it to earlier frames."""
        self._net.release(self._flows.pop((i, -1), None), self._beyond.pop((i, -1), None))
        self._release_picture(i)

    def _release_picture(self, i: int) -> None:
        picture = self._pictures.pop(i, None)
        if picture is not None:
            self._net.release(picture.colours, picture.luma)
