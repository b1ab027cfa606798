"""A decoded picture: its pixels and what the bitstream says about it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream import color
from codecvsr.bitstream.tone_mapping import ToneMapping

FrameType = Literal["I", "P", "B"]

#: One motion vector of one block, as in FFmpeg's ``AVMotionVector``. ``dst_x, dst_y`` is the block's *centre* in
#: pixels; ``motion_x, motion_y`` divided by ``motion_scale`` (4 for quarter-pels, as of H.264; 2 for half-pels) is the displacement in pixels
#: from the block to its prediction, so the vector points from the current frame to its reference. ``source`` is -1 for
#: list 0 (the past, if the encoder orders its lists as x264 does) and +1 for list 1 (the future).
VECTOR_DTYPE = np.dtype(
    [
        ("source", np.int32),
        ("w", np.uint8),
        ("h", np.uint8),
        ("dst_x", np.int16),
        ("dst_y", np.int16),
        ("motion_x", np.int32),
        ("motion_y", np.int32),
        ("motion_scale", np.uint16),
    ]
)

NO_VECTORS: npt.NDArray[np.void] = np.zeros(0, VECTOR_DTYPE)
NO_VECTORS.flags.writeable = False


@dataclass(frozen=True)
class CodedFrame:
    """One picture of a stream in display order, with what the bitstream says about it.

    Attributes:
        index: position in display order, from 0.
        decode_index: position in decode order, from 0 (the order of the packets).
        pts_seconds: presentation time in seconds, or None where the container has none.
        type: ``"I"``, ``"P"`` or ``"B"``.
        is_reference: other pictures may be predicted from this one (``nal_ref_idc`` of its slices is not 0;
            H.264 clause 7.4.1). Before H.264: it is no B-frame.
        is_idr: an instantaneous decoding refresh: nothing after it, in decode order, refers to anything before it.
        vectors: (n,) array of :data:`VECTOR_DTYPE`, empty for intra pictures.
        qp: (ceil(H/16), ceil(W/16)) int8, the luma QP of each macroblock, or None where it is not exported.
        picture: the decoded picture in the stream's own pixel format.
        max_references: pictures that the stream stores for reference at once (``max_num_ref_frames`` of H.264 clause
            7.4.2.1.1), or None where it is not known.
        references_per_list: pictures that the vectors of one list can mean; None: no fewer than are stored.
        is_field_coded: its blocks may have been predicted from fields (PAFF, MBAFF), so it has no vectors here, as theirs
            do not refer to whole pictures.
        is_deinterlaced: the picture was made from fields; it has no vectors.
        pixel_aspect: width / height of a pixel, as the coded stream states it; None where it does not.
        tone_mapping: how ``rgb`` is made of an HDR picture; None to take its values as they are.
    """

    index: int
    decode_index: int
    pts_seconds: float | None
    type: FrameType
    is_reference: bool
    is_idr: bool
    vectors: npt.NDArray[np.void]
    qp: npt.NDArray[np.int8] | None
    picture: av.VideoFrame
    max_references: int | None = None
    references_per_list: int | None = None
    is_field_coded: bool = False
    is_deinterlaced: bool = False
    pixel_aspect: Fraction | None = None
    tone_mapping: ToneMapping | None = None

    @property
    def is_interlaced(self) -> bool:
        """Whether the stream flags the picture as two fields from two moments."""
        return bool(self.picture.interlaced_frame)

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.picture.height

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.picture.width

    @cached_property
    def rgb(self) -> npt.NDArray[np.uint8]:
        """The picture as (H, W, 3) uint8 RGB; BT.601 limited range unless the stream says otherwise."""
        return color.to_rgb(self.picture) if self.tone_mapping is None else self.tone_mapping.to_rgb(self.picture)

    @cached_property
    def luma(self) -> npt.NDArray[np.uint8]:
        """The decoded luma plane as (H, W) uint8, untouched by any colour conversion."""
        return color.luma_plane(self.picture)
