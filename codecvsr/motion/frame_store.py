"""Dictionaries by frame index: discarding old frames, and new ones that are computed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

StaysInScene = Callable[[int, int], bool]  #: whether two frames exist and no scene cut lies between them


def discard_before(first: int, *by_frame: dict[int, Any]) -> None:
    """Deletes the entries of frames before ``first``."""
    for entries in by_frame:
        for t in [t for t in entries if t < first]:
            del entries[t]


def discard_from(first: int, *by_frame: dict[int, Any]) -> None:
    """Deletes the entries of frames from ``first`` on."""
    for entries in by_frame:
        for t in [t for t in entries if t >= first]:
            del entries[t]
