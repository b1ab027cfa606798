"""Frames of a part of an input, decoded from the nearest place where that can begin."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from codecvsr.bitstream.frame import CodedFrame
from codecvsr.errors import InputError
from codecvsr.video.probe import Damage, Media, Scan

_WORTH_SEEKING = 48  # frames: fewer are decoded and thrown away instead


class Decoder:
    """Hands out stretches of the surveyed frames of an input.

    Stretches that begin later than the last one did are read on; those far ahead are sought, at a frame that nothing shown
    from there on needs anything before. Frames are told by their time: where it is not that of the survey, or the container
    cannot seek, everything is decoded from the start. Damaged videos always are, for what is patched depends on all before.
    """

    def __init__(self, media: Media, scan: Scan, damage: Damage = "refuse") -> None:
        """Nothing is opened yet."""
        self._media, self._scan, self._damage = media, scan, damage
        self._frames: Iterator[CodedFrame] | None = None
        self._at = 0  # index of the frame that comes next
        self._held: dict[int, CodedFrame] = {}
        self._can_seek = damage == "refuse"

    def stretch(self, start: int, stop: int) -> Iterator[CodedFrame | None]:
        """Frames ``start`` to ``stop - 1`` of the survey; None while those before are passed over.

        Raises:
            InputError: the input is not the one that was surveyed.
        """
        self._held = {index: frame for index, frame in self._held.items() if start <= index < stop}
        missing = next((i for i in range(start, stop) if i not in self._held), stop)
        if missing < stop:
            self._go_to(missing)
        for index in range(start, stop):
            while index not in self._held:
                frame = self._next()
                if self._at > start:
                    self._held[self._at - 1] = frame
                else:
                    yield None
            yield self._held[index]

    def _go_to(self, index: int) -> None:
        """Be at ``index`` or before."""
        if self._frames is not None and self._at <= index < self._at + _WORTH_SEEKING:
            return
        place = self._place(index)
        is_ahead = self._frames is None or not self._at <= index
        if place is not None and (is_ahead or place > self._at) and self._seek(place):
            return
        if is_ahead:
            self._frames, self._at = itertools.islice(self._media.frames(self._damage), self._scan.first, None), 0

    def _place(self, index: int) -> int | None:
        """The last frame up to ``index`` that decoding can begin with."""
        if not self._can_seek:
            return None
        if self._media.kind == "pictures":
            return index
        places = np.flatnonzero(self._scan.starts[: index + 1])
        return int(places[-1]) if len(places) else None

    def _seek(self, place: int) -> bool:
        if self._scan.first + place == 0:
            return False
        pts = int(self._scan.pts[place])
        frames = iter(self._media.frames_from(self._scan.first + place, pts))
        first = next(frames, None)
        if first is None or (self._media.kind != "pictures" and self._pts(first) != pts):
            self._can_seek = False
            return False
        self._frames, self._at = itertools.chain((first,), frames), place
        return True

    def _pts(self, frame: CodedFrame) -> int | None:
        return None if frame.pts_seconds is None else round(Fraction(frame.pts_seconds) / self._media.time_base)

    def _next(self) -> CodedFrame:
        assert self._frames is not None
        try:
            frame = next(self._frames)
        except StopIteration:
            raise InputError(f"{self._media.path}: has fewer frames than at first; give -y to start over.") from None
        self._at += 1
        return frame


def frames_between(media: Media, scan: Scan, damage: Damage = "refuse") -> Iterator[CodedFrame]:
    """The frames that were surveyed, decoded from the start of the input."""
    return itertools.islice(media.frames(damage), scan.first, scan.first + len(scan))
