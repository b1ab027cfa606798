"""The motion of one chunk of a video of any codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codecvsr.bitstream.frame import CodedFrame
from codecvsr.inference.proxy_encode import needs_proxy, proxy
from codecvsr.inference.source import Source
from codecvsr.motion import MotionOptions, estimate_motion
from codecvsr.motion.types import unknown_motion
from codecvsr.video.probe import Media
from codecvsr.video.scan import Scan
from codecvsr.video.segments import unique

if TYPE_CHECKING:
    from codecvsr.models.zoo import LoadedModel

_NAMES = {"h264": "H.264", "mpeg1video": "MPEG-1", "mpeg2video": "MPEG-2", "mpeg4": "MPEG-4"}


def describe_motion(media: Media, scan: Scan, kind: str) -> str:
    """Returns, in words, where the motion of an input comes from."""
    if media.is_single_picture:
        return "none, as it is one picture"
    if kind in ("codec", "raw"):
        if media.kind == "mpeg" and scan.keys.all():
            what = "I-frames have no motion vectors"
        elif media.has_vectors:
            text = f"{kind}: the vectors of the {_NAMES.get(media.codec, media.codec)} stream"
            if not scan.without_vectors:
                return text
            if scan.without_vectors < len(scan):
                return f"{text}; {scan.without_vectors} frames have none of whole pictures, and chunks with them are encoded with x264"
            what = "de-interlaced pictures have no vectors" if scan.deinterlaced else "the vectors are of fields"
        elif media.kind == "pictures":
            what = "pictures have no motion vectors"
        else:
            what = f"motion vectors of {media.codec} cannot be read"
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
    from codecvsr.inference.motion_source import with_motion  # imports torch

    pixels = np.stack([frame.rgb for frame in frames])
    names = tuple(str(frame.index) for frame in frames)
    options = MotionOptions(resolve=False, refine=False) if kind == "raw" else MotionOptions()
    has_vectors = media.has_vectors and not needs_proxy(frames)
    if kind in ("codec", "raw"):
        coded = frames if has_vectors else proxy(frames, media.rate, scratch / f".proxy.{unique()}.mp4")
        return with_motion(Source(names, pixels, estimate_motion(coded, options)), kind, model)
    if has_vectors and kind != "none":
        motion = estimate_motion(frames, options)
    else:
        motion = unknown_motion(*pixels.shape[:3])
    source = with_motion(Source(names, pixels, motion), kind, model)
    return replace(source, has_motion_jitter=kind in ("spynet", "dis") and model.has_motion_jitter)
