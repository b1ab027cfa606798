"""The motion of one stretch of a video, whatever codec it came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.encode import PROXY_CRF, EncodeSettings, encode_h264
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.reader import read_video
from codecvsr.inference.infer import with_motion
from codecvsr.inference.motion_jitter import has_motion_jitter
from codecvsr.inference.source import Source
from codecvsr.models.zoo import LoadedModel
from codecvsr.motion import MotionOptions, estimate_motion
from codecvsr.motion.clip_motion import unknown_motion
from codecvsr.video.probe import Media
from codecvsr.video.segments import unique


def describe_motion(media: Media, kind: str) -> str:
    """Where the motion of an input comes from, in words."""
    if kind in ("codec", "raw"):
        if media.kind == "h264":
            return f"{kind}: the vectors of the H.264 stream"
        what = "pictures have" if media.kind == "pictures" else f"{media.codec} exports"
        return f"{kind}: {what} no motion vectors, so each stretch is coded with x264, only to estimate its motion"
    return {
        "dis": "dis: DIS optical flow",
        "spynet": "spynet: SPyNet optical flow",
        "zero": "zero: no motion",
        "none": "none: every frame by itself",
    }[kind]


def make_source(frames: Sequence[CodedFrame], media: Media, kind: str, model: LoadedModel, scratch: Path) -> Source:
    """A stretch of a video in memory, with its motion.

    Optical flow trembles like codec motion where the network needs it (:mod:`codecvsr.inference.motion_jitter`), other than in
    ``infer`` and ``compare``, which run published networks as published.

    Args:
        frames: the stretch, in display order.
        media: what it was read from.
        kind: what ``infer.choose_motion`` said.
        model: whose SPyNet is used, where that is the motion.
        scratch: folder for a file that is removed again.
    """
    pixels = np.stack([frame.rgb for frame in frames])
    names = tuple(str(frame.index) for frame in frames)
    options = MotionOptions(resolve=False, refine=False) if kind == "raw" else MotionOptions()
    if kind in ("codec", "raw"):
        coded = frames if media.kind == "h264" else proxy(frames, media.rate, scratch / f".companion.{unique()}.mp4")
        return with_motion(Source(names, pixels, estimate_motion(coded, options)), kind, model)
    if media.kind == "h264" and kind != "none":
        motion = estimate_motion(frames, options)
    else:
        motion = unknown_motion(*pixels.shape[:3])
    source = with_motion(Source(names, pixels, motion), kind, model)
    return replace(source, has_motion_jitter=kind in ("spynet", "dis") and has_motion_jitter(model))


def proxy(frames: Sequence[CodedFrame], rate: Fraction, path: Path) -> list[CodedFrame]:
    """The same pictures with the vectors x264 finds in them; their quantisers stay unknown.

    Args:
        frames: pictures of any codec.
        rate: frames per second.
        path: a file to write and remove.
    """
    try:
        settings = EncodeSettings(PROXY_CRF, preset="medium", fps=min(max(rate, Fraction(1)), Fraction(1000)))
        encode_h264((_even(frame.rgb) for frame in frames), path, settings)
        coded = read_video(path, backend="pyav")
        return [replace(c, picture=f.picture, qp=None) for c, f in zip(coded, frames, strict=True)]
    finally:
        path.unlink(missing_ok=True)


def _even(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The picture with its last row and column repeated where 4:2:0 asks for it."""
    return np.pad(rgb, ((0, rgb.shape[0] % 2), (0, rgb.shape[1] % 2), (0, 0)), mode="edge")
