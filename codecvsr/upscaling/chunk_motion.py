"""The motion of one chunk of a video of any codec."""

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
from codecvsr.inference.motion_source import with_motion
from codecvsr.inference.source import Source
from codecvsr.models.zoo import LoadedModel
from codecvsr.motion import MotionOptions, estimate_motion
from codecvsr.motion.types import unknown_motion
from codecvsr.video.probe import Media
from codecvsr.video.segments import unique

_NAMES = {"h264": "H.264", "mpeg1video": "MPEG-1", "mpeg2video": "MPEG-2", "mpeg4": "MPEG-4"}


def describe_motion(media: Media, kind: str) -> str:
    """Returns, in words, where the motion of an input comes from."""
    if kind in ("codec", "raw"):
        if media.has_vectors:
            return f"{kind}: the vectors of the {_NAMES.get(media.codec, media.codec)} stream"
        is_folder = media.kind == "pictures"
        what = "pictures have no motion vectors" if is_folder else f"motion vectors of {media.codec} cannot be read"
        return f"{kind}: {what}; each chunk is encoded with x264 to estimate its motion"
    return {
        "dis": "dis: DIS optical flow",
        "spynet": "spynet: SPyNet optical flow",
        "zero": "zero: no motion",
        "none": "none: every frame by itself",
    }[kind]


def make_source(frames: Sequence[CodedFrame], media: Media, kind: str, model: LoadedModel, scratch: Path) -> Source:
    """Returns the frames of a chunk with their motion.

    Optical flow gets motion jitter where the network needs it (:mod:`codecvsr.inference.motion_jitter`); ``infer`` and
    ``compare`` run published networks without it, as published.

    Args:
        frames: of the chunk, in display order.
        media: the input.
        kind: kind of motion, from :func:`codecvsr.inference.ablations.choose_motion`.
        model: has the SPyNet for motion of that kind.
        scratch: folder for a temporary file.
    """
    pixels = np.stack([frame.rgb for frame in frames])
    names = tuple(str(frame.index) for frame in frames)
    options = MotionOptions(resolve=False, refine=False) if kind == "raw" else MotionOptions()
    if kind in ("codec", "raw"):
        coded = frames if media.has_vectors else proxy(frames, media.rate, scratch / f".proxy.{unique()}.mp4")
        return with_motion(Source(names, pixels, estimate_motion(coded, options)), kind, model)
    if media.has_vectors and kind != "none":
        motion = estimate_motion(frames, options)
    else:
        motion = unknown_motion(*pixels.shape[:3])
    source = with_motion(Source(names, pixels, motion), kind, model)
    return replace(source, has_motion_jitter=kind in ("spynet", "dis") and model.has_motion_jitter)


def proxy(frames: Sequence[CodedFrame], rate: Fraction, path: Path) -> list[CodedFrame]:
    """Encodes pictures with x264 and returns them with its vectors; their QP is None.

    Args:
        frames: pictures of any codec.
        rate: frames per second.
        path: of a temporary file.
    """
    try:
        settings = EncodeSettings(PROXY_CRF, preset="medium", fps=min(max(rate, Fraction(1)), Fraction(1000)))
        encode_h264((_pad_to_even(frame.rgb) for frame in frames), path, settings)
        coded = read_video(path, backend="pyav")
        return [replace(c, picture=f.picture, qp=None) for c, f in zip(coded, frames, strict=True)]
    finally:
        path.unlink(missing_ok=True)


def _pad_to_even(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Repeats the last row and column of a picture with an odd size, for 4:2:0."""
    return np.pad(rgb, ((0, rgb.shape[0] % 2), (0, rgb.shape[1] % 2), (0, 0)), mode="edge")
