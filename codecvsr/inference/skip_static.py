"""Frames that show nothing new: they need not be made again.

Whole frames only, or whole tiles where there are tiles: what a recurrent network makes of a pixel depends on pixels far around
it and on frames long ago, so that a part of a picture cannot be left out without being computed with a margin as wide.
A still picture in a screen recording, a slide, a drawing shown for two frames or a frame doubled by a change of rate is the
same picture again, vectors zero and residual empty; the frame that was made stands for it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.inference.source import Source

BLOCK = 8  #: pixels each way of the parts of a frame that must not have changed
LARGEST_CHANGE = 1.0  #: mean absolute difference of a block, in 8-bit steps, up to which it shows nothing new


@dataclass
class DuplicateFrames:
    """Leaves out frames, and counts how many it was.

    Attributes:
        left_out: frames that others stood for; with tiles, the share of their tiles.
    """

    left_out: float = 0.0

    def stand_ins(self, source: Source, start: int, stop: int) -> npt.NDArray[np.int64]:
        """For each of the frames ``start`` to ``stop - 1`` the one of them that shows the same: itself, or one before.

        Every frame is compared with the one that would stand for it, so that slow changes do not add up.
        """
        indices = np.arange(start, stop)
        stand = start
        for index in range(start + 1, stop):
            if source.motion.is_cut[index] or shows_something_new(source.frames[stand], source.frames[index]):
                stand = index
            indices[index - start] = stand
        return indices


def shows_something_new(shown: npt.NDArray[np.uint8], frame: npt.NDArray[np.uint8]) -> bool:
    """Whether any block of a frame (H, W, 3) differs from ``shown`` by more than noise."""
    difference = cv2.absdiff(shown, frame)
    if not difference.any():
        return False
    height, width = difference.shape[:2]
    padded = cv2.copyMakeBorder(difference, 0, -height % BLOCK, 0, -width % BLOCK, cv2.BORDER_REPLICATE)
    blocks = padded.reshape(padded.shape[0] // BLOCK, BLOCK, padded.shape[1] // BLOCK, BLOCK * 3)
    return bool(blocks.mean(axis=(1, 3)).max() > LARGEST_CHANGE)


def thinned(source: Source, kept: npt.NDArray[np.int64]) -> Source:
    """A clip of the frames ``kept`` alone, each of which stands for those up to the next.

    What leads to the next frame is taken from the last of those that a frame stands for: the motion between two frames is
    that across the change between them.
    """
    last = np.append(kept[1:] - 1, kept[-1])
    motion = source.motion
    taken = {field.name: getattr(motion, field.name)[kept] for field in fields(motion)}
    taken["to_next"], taken["future"] = motion.to_next[last], motion.future[last]
    for name in ("confidence", "error"):
        taken[name][:, 1] = getattr(motion, name)[last, 1]
    estimate = source.pairwise
    return replace(
        source,
        names=tuple(source.names[index] for index in kept),
        frames=source.frames[kept],
        motion=replace(motion, **taken),
        dense=None if source.dense is None else (source.dense[0][kept], source.dense[1][last]),
        pairwise=None if estimate is None else lambda here, there: estimate(int(kept[here]), int(kept[there])),
    )
