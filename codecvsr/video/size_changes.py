"""Changes of the picture size in mid-stream."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

_MAX_NAMED = 3


class SizeChange(NamedTuple):
    """From frame ``frame`` on, frames have another size, in pixels."""

    frame: int
    height: int
    width: int


def size_changes(sizes: Sequence[tuple[int, int]]) -> tuple[SizeChange, ...]:
    """Returns the changes in the sizes (height, width) of consecutive frames."""
    pairs = enumerate(itertools.pairwise(sizes), 1)
    return tuple(SizeChange(frame, *size) for frame, (before, size) in pairs if size != before)


def describe_size_changes(changes: Sequence[SizeChange]) -> str:
    """Returns, in words, the new sizes and where they begin; empty for no change."""
    named = [f"{change.width}x{change.height} from frame {change.frame} on" for change in changes[:_MAX_NAMED]]
    more = f" and {len(changes) - _MAX_NAMED} more changes" if len(changes) > _MAX_NAMED else ""
    return ", ".join(named) + more


def what_is_done(changes: Sequence[SizeChange]) -> str:
    """Returns, in words, where the size changes and what ``upscale`` does about it."""
    new = describe_size_changes(changes)
    return f"the picture size changes ({new}): each part is upscaled and brought to the output size of the first"
