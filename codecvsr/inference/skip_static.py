"""Duplicate frames, which need not be upscaled again.

Whole frames only, or whole tiles: a recurrent network's output at a pixel depends on pixels far around it and on frames long
before, so that a part of a frame could only be skipped if a margin as wide were computed. A slide, a screen recording, an
animation drawn on twos or a frame doubled by a change of rate shows the same picture again, with zero vectors and no
residual; the frame that was upscaled stands in for it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.inference.source import Source

BLOCK = 8  #: side in pixels of the blocks that are compared
MAX_CHANGE = 1.0  #: mean absolute difference of a block, in 8-bit steps, up to which it is a duplicate


@dataclass
class DuplicateFrames:
    """Finds duplicate frames, and counts those that were skipped.

    Attributes:
        skipped_frames: the count; with tiles, a frame of which some are skipped counts by their share.
    """

    skipped_frames: float = 0.0

    def originals(self, source: Source, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Return for each of the frames ``start`` to ``stop - 1`` the one it duplicates: itself, or one before.

        Every frame is compared with the one that would stand in for it, so that slow changes do not add up.
        """
        indices = np.arange(start, stop)
        original = start
        for index in range(start + 1, stop):
            if source.motion.is_cut[index] or differs(source.frames[original], source.frames[index]):
                original = index
            indices[index - start] = original
        return indices


def differs(shown: npt.NDArray[np.uint8], frame: npt.NDArray[np.uint8]) -> bool:
    """Return whether any block of a frame (H, W, 3) differs from ``shown`` by more than noise."""
    difference = cv2.absdiff(shown, frame)
    if not difference.any():
        return False
    height, width = difference.shape[:2]
    padded = cv2.copyMakeBorder(difference, 0, -height % BLOCK, 0, -width % BLOCK, cv2.BORDER_REPLICATE)
    blocks = padded.reshape(padded.shape[0] // BLOCK, BLOCK, padded.shape[1] // BLOCK, BLOCK * 3)
    return bool(blocks.mean(axis=(1, 3)).max() > MAX_CHANGE)


def without_duplicates(source: Source, indices: npt.NDArray[np.int64]) -> Source:
    """Return a clip of the frames ``indices`` alone, each of which stands in for those up to the next.

    Motion to the next frame is that of the last frame it stands in for: the motion across the change between the two.
    """
    last = np.append(indices[1:] - 1, indices[-1])
    motion = source.motion
    values = {field.name: getattr(motion, field.name)[indices] for field in fields(motion)}
    values["to_next"], values["future"] = motion.to_next[last], motion.future[last]
    for name in ("confidence", "error"):
        values[name][:, 1] = getattr(motion, name)[last, 1]
    estimate = source.pairwise
    return replace(
        source,
        names=tuple(source.names[index] for index in indices),
        frames=source.frames[indices],
        motion=replace(motion, **values),
        dense=None if source.dense is None else (source.dense[0][indices], source.dense[1][last]),
        pairwise=None if estimate is None else lambda here, there: estimate(int(indices[here]), int(indices[there])),
    )
