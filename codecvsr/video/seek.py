"""Frames of a part of an input, decoded from the nearest frame where decoding can begin."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np

from codecvsr.bitstream.frame import CodedFrame
from codecvsr.errors import InputError
from codecvsr.video.probe import Damage, Media
from codecvsr.video.scan import Scan

_LEAD = 1  # decoded frames that de-interlacing a frame needs before it
_WORTH_SEEKING = 48  # frames: fewer are decoded and discarded instead


class Decoder:
    """Decodes ranges of the frames of a scan.

    A range after the last one is decoded onward; one far ahead is found by seeking to a frame that decoding can begin with.
    Frames are identified by their timestamps: if those differ from the scan's, or the container cannot seek, decoding begins at
    the first frame. So it does for damaged videos, whose patched frames depend on all frames before.
    """

    def __init__(self, media: Media, scan: Scan, damage: Damage = "refuse") -> None:
        """Nothing is opened yet."""
        self._media, self._scan, self._damage = media, scan, damage
        self._frames: Iterator[CodedFrame] | None = None
        self._at = 0  # index of the frame that comes next
        self._buffer: dict[int, CodedFrame] = {}
        self._can_seek = damage == "refuse"
        self._lead = _LEAD * (2 if media.deinterlace == "field" else 1) if scan.deinterlaced else 0

    def frames(self, start: int, stop: int) -> Iterator[CodedFrame | None]:
        """Yields frames ``start`` to ``stop - 1`` of the scan, and None for each frame before them that is decoded.

        Raises:
            InputError: the input has fewer frames than the scan.
        """
        self._buffer = {index: frame for index, frame in self._buffer.items() if start <= index < stop}
        missing = next((i for i in range(start, stop) if i not in self._buffer), stop)
        if missing < stop:
            self._go_to(missing)
        for index in range(start, stop):
            while index not in self._buffer:
                frame = self._next()
                if self._at > start:
                    self._buffer[self._at - 1] = frame
                else:
                    yield None
            yield self._buffer[index]

    def _go_to(self, index: int) -> None:
        """Moves to ``index`` or a frame before."""
        if self._frames is not None and self._at <= index < self._at + _WORTH_SEEKING:
            return
        place = self._place(index)
        is_ahead = self._frames is None or not self._at <= index
        if place is not None and (is_ahead or place > self._at) and self._seek(place):
            return
        if is_ahead:
            self._frames, self._at = itertools.islice(self._media.frames(self._damage), self._scan.first, None), 0

    def _place(self, index: int) -> int | None:
        """Returns the last frame from which ``index`` can be decoded; de-interlacing it needs the frame before, too."""
        if not self._can_seek:
            return None
        if self._media.kind == "pictures":
            return index
        places = np.flatnonzero(self._scan.starts[: max(index + 1 - self._lead, 0)])
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
            raise InputError(f"{self._media.path}: has fewer frames than at first; use -y to start over.") from None
        self._at += 1
        return _converted(frame, self._scan)


def frames_between(media: Media, scan: Scan, damage: Damage = "refuse") -> Iterator[CodedFrame]:
    """Yields the frames of a scan, decoded from the start of the input."""
    selected = itertools.islice(media.frames(damage), scan.first, scan.first + len(scan))
    return (_converted(frame, scan) for frame in selected)


def _converted(frame: CodedFrame, scan: Scan) -> CodedFrame:
    """Returns a frame whose RGB is SDR."""
    return frame if scan.tone_mapping is None else replace(frame, tone_mapping=scan.tone_mapping)
