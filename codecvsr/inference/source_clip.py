"""A window of a clip in memory as tensors for a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from codecvsr.constants import CELL
from codecvsr.engine.transfer import to_device
from codecvsr.inference.ablations import NO_ABLATIONS, Ablations
from codecvsr.inference.source import Source
from codecvsr.models import priors as prior_channels
from codecvsr.models.clip import Clip, Flows
from codecvsr.motion.field import painted_from_corner


class SourceClip(Clip):
    """The frames of a source, one sample.

    Args:
        source: frames and motion.
        device: of the tensors.
        ablations: parts to leave out inside the network.
    """

    def __init__(self, source: Source, device: torch.device, ablations: Ablations = NO_ABLATIONS) -> None:
        self._source, self._device, self._ablations = source, device, ablations
        self.use_motion = torch.full((1,), float(not ablations.mvs), device=device)
        self.use_second_order = torch.full((1,), float(not ablations.second_order), device=device)

    def __len__(self) -> int:
        """Return the frames of the source."""
        return len(self._source.names)

    def frames(self, indices: Sequence[int] | None = None) -> Tensor:
        """Return frames (1, len(indices), 3, H, W) in 0..1; all of them without indices."""
        pixels = self._source.frames if indices is None else self._source.frames[list(indices)]
        return (to_device(pixels, self._device).permute(0, 3, 1, 2).float() / 255)[None]

    def cell_fields(self) -> Flows:
        """Return the fields on cells, (1, T, 2, h, w) each."""
        motion = self._source.motion
        return to_device(motion.to_prev, self._device)[None], to_device(motion.to_next, self._device)[None]

    def dense_flows(self) -> Flows:
        """Return the motion on pixels, (1, T, 2, H, W) each: cells up-sampled bilinearly, or an optical flow."""
        return self._dense(slice(None))

    def neighbour_flow(self, index: int, step: int) -> Tensor:
        """Return the flow (1, 2, H, W) from one frame into the next or the one before."""
        return self._dense(slice(index, index + 1))[int(step > 0)][0]

    def flow(self, here: int, there: int) -> Tensor:
        """See :meth:`Clip.flow`; estimated between the two frames where the motion is an estimate."""
        if here != there and self._source.pairwise is not None:
            return to_device(self._source.pairwise(here, there), self._device)[None]
        return super().flow(here, there)

    def priors(self) -> Tensor:
        """Return the priors (1, T, 8, h, w)."""
        return to_device(priors_of(self._source, self._ablations), self._device)[None]

    def cuts(self) -> Tensor:
        """Return (1, T) bool."""
        return to_device(self._source.motion.is_cut, self._device)[None]

    def types(self) -> Tensor:
        """Return the frame types (1, T)."""
        return to_device(self._source.motion.types, self._device)[None]

    def raw_vectors(self) -> Flows | None:
        """Return the vectors of a raw source, (1, T, 2, H, W) each."""
        if not self._source.is_raw:
            return None
        motion = self._source.motion
        return (
            self._repeated(painted_from_corner(motion.past, motion.partition)),
            self._repeated(painted_from_corner(motion.future, motion.partition)),
        )

    def _repeated(self, field: npt.NDArray[np.float32]) -> Tensor:
        """A field on cells as (1, T, 2, H, W), each cell's vector at all of its pixels."""
        large = F.interpolate(to_device(field, self._device), scale_factor=CELL, mode="nearest")
        return self._cropped(large)[None]

    def _dense(self, frames: slice) -> Flows:
        source = self._source
        fields = source.dense or (source.motion.to_prev, source.motion.to_next)
        to_prev, to_next = (to_device(field[frames], self._device) for field in fields)
        if source.dense is None:
            to_prev, to_next = (
                F.interpolate(field, scale_factor=CELL, mode="bilinear", align_corners=False)
                for field in (to_prev, to_next)
            )
        return self._cropped(to_prev)[None], self._cropped(to_next)[None]

    def _cropped(self, flow: Tensor) -> Tensor:
        height, width = self._source.frames.shape[1:3]
        return flow[..., :height, :width]


def priors_of(source: Source, ablations: Ablations) -> npt.NDArray[np.float32]:
    """Return the priors of a clip (T, 8, h, w); neutral where they are to be left out."""
    priors = prior_channels.make_priors(source.motion)
    if ablations.priors:
        priors = np.zeros_like(priors)
    if ablations.mvs:
        priors[:, prior_channels.MOTION_CHANNELS] = 0
    return priors
