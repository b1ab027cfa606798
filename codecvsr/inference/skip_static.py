"""What is static in a video and need not be computed again: duplicate frames, or tiles in which no pixel changes.

**Frames.** A slide, a screen recording, an animation drawn on twos or a frame doubled by a change of rate shows the same picture
again, with zero vectors and no residual; the frame that was upscaled stands in for it. Any network can do so.

**Blocks.** With a camera that does not move, most blocks repeat the frame before exactly, as the encoder skipped them. The native
form of ``codecvsr`` computes only the tiles in which pixels change (:mod:`codecvsr.engine.native.static_tiles`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.inference.skip_choice import SkipStatic, parse_skip_static
from codecvsr.inference.source import Source

if TYPE_CHECKING:
    from codecvsr.models.zoo import LoadedModel

BLOCK = 8  #: side in pixels of the blocks that are compared
MAX_CHANGE = 1.0  #: mean absolute difference of a block, in 8-bit steps, up to which it is a duplicate

#: Models that lose at most 0.05 dB where blocks are skipped: ``scripts/results/skipping.json``.
MEASURED = ("codecvsr-fast",)

log = logging.getLogger(__name__)


@dataclass
class StaticBlocks:
    """Has the network compute only blocks in which pixels change, and counts its work.

    Attributes:
        skipped_frames: the work that was left out, in frames.
    """

    name: ClassVar[str] = "blocks"
    skipped_frames: float = 0.0


@dataclass
class DuplicateFrames:
    """Finds duplicate frames, and counts those that were skipped.

    Attributes:
        skipped_frames: the count; with tiles, a frame of which some are skipped counts by their share.
    """

    name: ClassVar[str] = "frames"
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


def skipping(value: SkipStatic, model: LoadedModel, *, has_blocks: bool) -> DuplicateFrames | StaticBlocks | None:
    """Return what skips static parts of a video, and counts them; None for nothing.

    Args:
        value: what was asked for. ``auto`` skips blocks with the models of :data:`MEASURED`, nothing with others.
        model: the network.
        has_blocks: it can skip blocks, as it is run. Where ``blocks`` are asked for and it cannot, a warning says that duplicate
            frames are skipped instead.
    """
    choice = parse_skip_static(value)
    if choice == "blocks" and not has_blocks:
        log.warning(
            "Only codecvsr and codecvsr-fast can skip blocks, in C on a CPU: duplicate frames are skipped instead."
        )
        choice = "frames"
    if choice == "frames":
        return DuplicateFrames()
    is_measured = model.training == "codecvsr" and model.name in MEASURED
    is_wanted = choice == "blocks" or (choice == "auto" and is_measured)
    return StaticBlocks() if has_blocks and is_wanted else None


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
