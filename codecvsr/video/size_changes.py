"""Changes of the picture size in mid-stream."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codecvsr.video.resize import resample

_MAX_NAMED = 3
_SAME_SHAPE = (
    0.02  # a smaller difference of the shape comes from rounded sizes: bars would be thinner than it is visible
)


class FrameSize(NamedTuple):
    """Size of a frame in pixels, and width / height of one of them."""

    height: int
    width: int
    pixel_aspect: float = 1.0

    @property
    def shape(self) -> float:
        """Width / height as the frame is shown."""
        return self.width * self.pixel_aspect / self.height


class SizeChange(NamedTuple):
    """From frame ``frame`` on, frames have another size, in pixels.

    ``shape`` is their width / height as they are shown, divided by that of the first frames; 1 for a difference that is not seen.
    """

    frame: int
    height: int
    width: int
    shape: float = 1.0


def size_changes(sizes: Sequence[FrameSize]) -> tuple[SizeChange, ...]:
    """Returns the changes in the sizes of consecutive frames; those of the shape of a pixel alone count too."""
    changes = []
    for frame, (before, size) in enumerate(itertools.pairwise(sizes), 1):
        if size[:2] != before[:2] or abs(size.shape / before.shape - 1) > _SAME_SHAPE:
            shape = size.shape / sizes[0].shape
            changes.append(SizeChange(frame, size.height, size.width, 1.0 if abs(shape - 1) <= _SAME_SHAPE else shape))
    return tuple(changes)


def shape_at(changes: Sequence[SizeChange], frame: int) -> float:
    """Returns the shape of a frame: see :class:`SizeChange`."""
    return next((change.shape for change in reversed(changes) if change.frame <= frame), 1.0)


def fit(picture: npt.NDArray[np.uint8], height: int, width: int, shape: float) -> npt.NDArray[np.uint8]:
    """Returns a picture (H, W, 3) brought to a size; one of another shape gets black bars at two sides, as in players.

    Args:
        picture: of any size.
        height: of the result.
        width: of the result.
        shape: see :class:`SizeChange`.
    """
    inner_height = min(height, max(1, round(height / shape)))
    inner_width = min(width, max(1, round(width * shape)))
    inner = resample(picture, inner_height, inner_width)
    if inner.shape[:2] == (height, width):
        return inner
    framed = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    framed[top : top + inner_height, left : left + inner_width] = inner
    return framed


def describe_size_changes(changes: Sequence[SizeChange]) -> str:
    """Returns, in words, the new sizes and where they begin; empty for no change."""
    named = [f"{change.width}x{change.height} from frame {change.frame} on" for change in changes[:_MAX_NAMED]]
    more = f" and {len(changes) - _MAX_NAMED} more changes" if len(changes) > _MAX_NAMED else ""
    return ", ".join(named) + more


def what_is_done(changes: Sequence[SizeChange]) -> str:
    """Returns, in words, where the size changes and what ``upscale`` does about it."""
    new = describe_size_changes(changes)
    text = f"the picture size changes ({new}): each part is upscaled and brought to the output size of the first"
    framed = dict.fromkeys(f"{change.width}x{change.height}" for change in changes if change.shape != 1)
    return f"{text}; {', '.join(framed)} has another shape and gets black bars" if framed else text
