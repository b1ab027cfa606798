"""Warping and blurring of planes, in numpy."""

from __future__ import annotations

import cv2
import numpy as np

from codecvsr.motion.ops.records import MAX_VECTOR
from codecvsr.motion.types import Array


def warp(picture: Array, flow: Array) -> Array:
    """See ``MotionOps.warp``; here ``picture`` may also have channels, (H, W, C)."""
    flow = np.clip(np.where(np.isnan(flow), np.float32(0), flow), -MAX_VECTOR, MAX_VECTOR)
    whole = np.floor(flow)
    part = flow - whole  # mixed here: some versions of OpenCV round positions in their own bilinear sampling
    if picture.ndim == 3:
        part = part[..., None]
    x = whole[0] + np.arange(picture.shape[1], dtype=np.float32)
    y = whole[1] + np.arange(picture.shape[0], dtype=np.float32)[:, None]
    lines = []
    for line in (y, y + 1):
        left, right = (
            cv2.remap(picture, column, line, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            for column in (x, x + 1)
        )
        lines.append(left + (right - left) * part[0])
    return np.asarray(lines[0] + (lines[1] - lines[0]) * part[1], np.float32)


def blur(picture: Array, taps: Array) -> Array:
    """Returns a picture (H, W) after a symmetric filter along columns and rows, the border repeated.

    ``taps``: from the middle outwards (``records.gaussian_taps``).
    """
    kernel = np.concatenate([taps[:0:-1], taps])
    return np.asarray(cv2.sepFilter2D(picture, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE), np.float32)
