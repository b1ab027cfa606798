"""x4 super-resolution of compressed video, guided by the codec's own motion vectors.

The names below are the library; the command line (``codecvsr --help``) mirrors them. They are imported when first used, so
that ``import codecvsr`` alone stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codecvsr.bitstream.reader import read_video
    from codecvsr.inference.infer import infer
    from codecvsr.metrics.psnr import psnr
    from codecvsr.metrics.ssim import ssim
    from codecvsr.models.zoo import load_model
    from codecvsr.motion import motion_fields, stream_motion
    from codecvsr.streaming.api import live
    from codecvsr.upscaling.api import upscale

__version__ = "0.1.0"

__all__ = ["infer", "live", "load_model", "motion_fields", "psnr", "read_video", "ssim", "stream_motion", "upscale"]

_HOME = {
    "infer": "codecvsr.inference.infer",
    "live": "codecvsr.streaming.api",
    "load_model": "codecvsr.models.zoo",
    "motion_fields": "codecvsr.motion",
    "psnr": "codecvsr.metrics.psnr",
    "read_video": "codecvsr.bitstream.reader",
    "ssim": "codecvsr.metrics.ssim",
    "stream_motion": "codecvsr.motion",
    "upscale": "codecvsr.upscaling.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
