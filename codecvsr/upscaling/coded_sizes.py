"""Sizes of pictures as an output codes them: measured in memory, on few pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import av
import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.upscaling.work import OutputForm
from codecvsr.video.segments import picture_encoder

FAST = ("ultrafast", "superfast", "veryfast")  #: presets of x264 whose lookahead is 10 frames or fewer


@dataclass(frozen=True)
class Sizes:
    """Mean bytes of coded frames.

    Attributes:
        key: of a frame that is coded by itself.
        other: of a frame that is predicted; ``key`` where all are coded by themselves.
    """

    key: float
    other: float

    def scaled(self, whole: Sizes, part: Sizes) -> Sizes:
        """Returns the sizes times ``whole / part``."""
        return Sizes(self.key * whole.key / max(part.key, 1), self.other * whole.other / max(part.other, 1))


def coded_sizes(pictures: Sequence[npt.NDArray[np.uint8]], form: OutputForm, *, fast: bool = False) -> Sizes:
    """Encodes pictures (H, W, 3) as an output of that form would be, whatever their size is.

    Args:
        pictures: consecutive ones, at least one.
        form: of the output.
        fast: with x264, for HEVC too, and not slower than its preset "veryfast".
    """
    encoder, picture = form.encoder, form.picture
    if encoder is None or picture is None:
        sizes = [len(cv2.imencode(".png", each)[1]) for each in pictures]
        return Sizes(float(np.mean(sizes)), float(np.mean(sizes)))
    height, width = (side // 2 * 2 for side in pictures[0].shape[:2])
    if encoder.codec != "ffv1" and fast:
        encoder = replace(encoder, codec="h264", preset=encoder.preset if encoder.preset in FAST else FAST[-1])
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as container:
        writer = picture_encoder(container, encoder, replace(picture, height=height, width=width))
        for index, each in enumerate(pictures):
            writer.add(np.ascontiguousarray(each[:height, :width]), round(index / picture.rate / picture.time_base))
        writer.finish()
    file.seek(0)
    keys: list[int] = []
    others: list[int] = []
    with av.open(file, "r", format="nut") as coded:
        for packet in coded.demux(video=0):
            if packet.size:
                (keys if packet.is_keyframe else others).append(packet.size)
    key = float(np.mean(keys)) if keys else 0.0
    return Sizes(key, float(np.mean(others)) if others else key)
