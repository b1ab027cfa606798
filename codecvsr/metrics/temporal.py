"""Steadiness in time: how far a picture is from the one before it, pulled along the codec's motion."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.constants import CELL
from codecvsr.metrics.planes import luma
from codecvsr.motion import ops
from codecvsr.motion.types import Array

FOLLOWED = 8.0  #: 8-bit luma steps: pixels whose original the field follows more closely are looked at


class WarpingError:
    """The warping error of a clip, frame by frame: flicker and swimming texture raise it, and so does nothing else.

    Mean absolute difference in 8-bit luma steps between a frame and the one before it, pulled along ``to_prev``; only where
    the original itself is followed by the field, so that uncovered background and wrong vectors do not count (the occlusion
    mask of Lai et al., ECCV 2018, from the original instead of from two flows). Blurred pictures score low: read it beside
    PSNR, and beside the original's own value.
    """

    def __init__(self, to_prev: Array, is_cut: npt.NDArray[np.bool_], size: tuple[int, int]) -> None:
        """Begin a clip.

        Args:
            to_prev: (T, 2, h, w) motion on cells of the low-resolution frames, in their pixels.
            is_cut: (T,) where a new scene begins.
            size: (H, W) of the low-resolution frames.
        """
        self._to_prev, self._is_cut, self._size = to_prev, is_cut, size
        self._before: tuple[Array, Array] | None = None
        self._index = 0
        self._sums = np.zeros(2)  # of the pictures and of their originals
        self._count = 0

    def add(self, picture: npt.NDArray[np.uint8], original: npt.NDArray[np.uint8]) -> None:
        """Adds the next frame and its original, (scale * H, scale * W, 3) uint8 RGB each."""
        pair = luma(picture).astype(np.float32), luma(original).astype(np.float32)
        if self._before is not None and not self._is_cut[self._index]:
            flow = self._flow(pair[0].shape)
            errors = [
                np.abs(now - ops.table().warp(before, flow)) for now, before in zip(pair, self._before, strict=True)
            ]
            seen = errors[1] < FOLLOWED
            self._sums += [float(error[seen].sum(dtype=np.float64)) for error in errors]
            self._count += int(seen.sum())
        self._before = pair
        self._index += 1

    @property
    def value(self) -> float:
        """Of the pictures; NaN where nothing could be followed."""
        return float(self._sums[0] / self._count) if self._count else math.nan

    @property
    def of_original(self) -> float:
        """Of their originals, over the same pixels."""
        return float(self._sums[1] / self._count) if self._count else math.nan

    def _flow(self, shape: tuple[int, ...]) -> Array:
        """The field of this frame, (2, scale * H, scale * W) in pixels of that size."""
        scale = shape[0] // self._size[0]
        field = self._to_prev[self._index]
        side = CELL * scale
        whole = [cv2.resize(np.ascontiguousarray(part), (part.shape[1] * side, part.shape[0] * side)) for part in field]
        return np.stack(whole)[:, : shape[0], : shape[1]].astype(np.float32) * np.float32(scale)
