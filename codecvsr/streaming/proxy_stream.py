"""Motion of a live stream without readable vectors: every frame is encoded with x264 as it comes, and its vectors are read."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np

from codecvsr.bitstream import color, h264
from codecvsr.bitstream.encode import PROXY_CRF
from codecvsr.bitstream.frame import NO_VECTORS, CodedFrame
from codecvsr.bitstream.side_data import vectors_of

_PRESET = "veryfast"  # "medium", which files get, takes three times as long
_LOW_DELAY = 1 << 19  # AV_CODEC_FLAG_LOW_DELAY: a picture comes out when it was decoded
_INTRA = 1  # AV_PICTURE_TYPE_I


class ProxyStream:
    """Encodes and decodes frames of one size, without delay."""

    def __init__(self, height: int, width: int, rate: Fraction) -> None:
        """``height`` and ``width`` in pixels; ``rate`` in frames per second."""
        encoder = av.CodecContext.create("libx264", "w")
        encoder.height, encoder.width, encoder.pix_fmt = height + height % 2, width + width % 2, "yuv420p"
        encoder.time_base, encoder.framerate = 1 / rate, rate
        encoder.thread_count = 1
        encoder.options = {"crf": f"{PROXY_CRF:g}", "preset": _PRESET, "tune": "zerolatency", "bf": "0", "g": "250"}
        decoder = av.CodecContext.create("h264", "r")
        decoder.thread_count = 1
        decoder.flags |= _LOW_DELAY
        decoder.options = {"flags2": "+export_mvs", "export_side_data": "mvs"}
        self._encoder, self._decoder, self._count = encoder, decoder, 0
        self._facts = h264.UNKNOWN

    def add(self, frame: CodedFrame) -> CodedFrame:
        """Returns the next frame, in display order, with the vectors of its encode; its QP is unknown."""
        rgb = frame.rgb
        padded = np.pad(rgb, ((0, rgb.shape[0] % 2), (0, rgb.shape[1] % 2), (0, 0)), mode="edge")
        picture = color.from_rgb(np.ascontiguousarray(padded))
        picture.pts = self._count
        index, self._count = self._count, self._count + 1
        vectors, is_key = NO_VECTORS, False
        for packet in self._encoder.encode(picture):
            if packet.is_keyframe:
                self._facts = h264.sequence_facts(bytes(packet))
            for made in self._decoder.decode(packet):
                vectors, is_key = vectors_of(made), int(made.pict_type) == _INTRA
        return replace(
            frame, index=index, decode_index=index, type="I" if is_key else "P", is_reference=True, is_idr=is_key,
            vectors=vectors, qp=None, max_references=self._facts.max_references, references_per_list=None,
            is_field_coded=False,
        )  # fmt: skip
