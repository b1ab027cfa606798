"""What a network is given: frames and their motion as tensors on one device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from codecvsr.models.layers.warp import warp

Flows = tuple[Tensor, Tensor]  #: to the frame before and to the frame after, in pixels, x then y


class Clip(ABC):
    """N samples of T frames of H x W pixels; h = ceil(H/4) and w = ceil(W/4) count 4x4 cells.

    Inference makes one from a window of a video, training one from a batch. Runners (:mod:`codecvsr.models.runners`) ask
    for what their network needs; nothing else is converted or moved to the device.

    Attributes:
        use_motion: (N,) 0 or 1; 0: the sample has no motion.
        use_second_order: (N,) 0 or 1; 0: nothing comes from the frame beyond the neighbour.
        use_future: (N,) 0 or 1; 0: no frame sees a later one. None: all do.
        has_motion: False: the network estimates motion itself.
    """

    use_motion: Tensor
    use_second_order: Tensor
    use_future: Tensor | None = None
    has_motion: bool = True

    @abstractmethod
    def __len__(self) -> int:
        """Return T."""

    @abstractmethod
    def frames(self, indices: Sequence[int] | None = None) -> Tensor:
        """Return frames (N, len(indices), 3, H, W), RGB in 0..1; all T without indices."""

    @abstractmethod
    def cell_fields(self) -> Flows:
        """Return motion on 4x4 cells, (N, T, 2, h, w) each."""

    @abstractmethod
    def dense_flows(self) -> Flows:
        """Return motion on pixels, (N, T, 2, H, W) each."""

    @abstractmethod
    def neighbour_flow(self, index: int, step: int) -> Tensor:
        """Return the flow (N, 2, H, W) on frame ``index`` that points into frame ``index + step``; step is -1 or 1."""

    @abstractmethod
    def priors(self) -> Tensor:
        """Return what the codec knows besides motion, (N, T, 8, h, w): :func:`codecvsr.models.priors.make_priors`."""

    @abstractmethod
    def cuts(self) -> Tensor:
        """Return (N, T) bool: the frame begins a new scene."""

    @abstractmethod
    def types(self) -> Tensor:
        """Return frame types (N, T) uint8: 0 unknown, 1 I, 2 P, 3 B."""

    def raw_vectors(self) -> Flows | None:
        """Return the stream's vectors as the seed project painted them, (N, T, 2, H, W); None where motion is repaired."""
        return None

    def flow(self, here: int, there: int) -> Tensor:
        """Return the flow (N, 2, H, W) on frame ``here`` that points into frame ``there``, composed of neighbours' flows."""
        if here == there:
            return torch.zeros_like(self.frames([here])[:, 0, :2], memory_format=torch.contiguous_format)
        step = 1 if there > here else -1
        flow = self.neighbour_flow(here, step)
        for index in range(here + step, there, step):
            flow = flow + warp(self.neighbour_flow(index, step), flow)
        return flow
