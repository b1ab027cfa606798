"""Dictionaries by frame index: discarding old frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

StaysInScene = Callable[[int, int], bool]  #: whether two frames exist and no scene cut lies between them


def discard_before(first: int, *by_frame: dict[int, Any]) -> None:
    """Deletes the entries of frames before ``first``."""
    for entries in by_frame:
        for t in [t for t in entries if t < first]:
            del entries[t]
