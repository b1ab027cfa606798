"""De-interlacing with FFmpeg's bwdif filter: frames of two fields, from two moments, to frames of one moment.

bwdif (Bob Weaver de-interlacing filter, libavfilter/vf_bwdif.c) estimates the missing lines of a field from the fields around
it in space and time: it sees the frame before and the frame after.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Literal

import av
from av.filter import Graph

from codecvsr.bitstream.frame import NO_VECTORS, CodedFrame

#: "auto": one frame per frame, of frames that are flagged as interlaced; "off": none; "frame": one per frame, of all frames;
#: "field": one per field, of all frames.
Deinterlace = Literal["auto", "off", "frame", "field"]
MODES: tuple[Deinterlace, ...] = ("auto", "off", "frame", "field")

_TICK = Fraction(1)  # the filter's unit of time: frames are numbered


class Deinterlaced:
    """The frames of a video, de-interlaced; can be iterated as often as its source.

    Frames that stay as they are pass unchanged. Made ones have no vectors and no QPs, and ``is_deinterlaced`` is set. In the
    mode "field" every frame gives two, the second one halfway to the next frame.
    """

    def __init__(self, source: Iterable[CodedFrame], mode: Deinterlace = "auto", time_base: Fraction = _TICK) -> None:
        """Decodes nothing yet.

        Args:
            source: frames in display order.
            mode: which frames to de-interlace, and how.
            time_base: seconds per unit of the duration of a decoded picture; used in the mode "field" only.
        """
        self.source = source
        self._mode, self._time_base = mode, time_base

    def __iter__(self) -> Iterator[CodedFrame]:
        """Yields frames in display order, numbered from the source's first number."""
        if self._mode == "off":
            yield from self.source
            return
        for count, frame in enumerate(self._frames()):
            if count == 0:
                first = frame.index
            yield frame if frame.index == first + count else replace(frame, index=first + count)

    def _frames(self) -> Iterator[CodedFrame]:
        chain: _Chain | None = None
        before: CodedFrame | None = None
        for frame in self.source:
            if chain is not None and not chain.accepts(frame):
                yield from chain.end()
                chain, before = None, None
            if chain is None and (self._mode != "auto" or frame.is_interlaced):
                chain = _Chain(frame, self._time_base, by_field=self._mode == "field")
                if before is not None and chain.accepts(before):
                    chain.show(before)
            if chain is not None:
                yield from chain.add(frame)
            if self._mode == "auto" and not frame.is_interlaced:
                chain, before = None, frame  # the filter needed it for the frame before it
                yield frame
        if chain is not None:
            yield from chain.end()


def describe_deinterlacing(made: int, frames: int, mode: Deinterlace) -> str:
    """Returns, in words, that ``made`` of ``frames`` frames were made by de-interlacing; empty for none."""
    if not made:
        return ""
    count = "all" if made == frames else f"{made} of them"
    return f"{frames} frames, {count} de-interlaced with bwdif, one per {'field' if mode == 'field' else 'frame'}"


class _Chain:
    """A filter chain for frames of one size and pixel format."""

    def __init__(self, first: CodedFrame, time_base: Fraction, *, by_field: bool) -> None:
        picture = first.picture
        self._form = picture.width, picture.height, picture.format.name
        self._by_field, self._time_base = by_field, time_base
        graph = Graph()
        graph.threads = 1
        buffer = graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=_TICK)
        filter_mode = "send_field" if by_field else "send_frame"
        bwdif = graph.add("bwdif", mode=filter_mode, parity="auto", deint="all")
        graph.link_nodes(buffer, bwdif, graph.add("buffersink")).configure()
        self._graph = graph
        self._pushed = 0
        self._waiting: deque[CodedFrame] = deque()  # frames that the filter has not returned
        self._shown = 0  # frames that were only shown to the filter

    def accepts(self, frame: CodedFrame) -> bool:
        """Returns whether a frame has the size and pixel format of the chain."""
        return self._form == (frame.picture.width, frame.picture.height, frame.picture.format.name)

    def show(self, frame: CodedFrame) -> None:
        """Adds the frame before the first one; it is not returned."""
        self._shown = 1
        for _ in self.add(frame):
            raise AssertionError("the filter waits for the next frame")

    def add(self, frame: CodedFrame) -> Iterator[CodedFrame]:
        """Adds the next frame; yields what became ready: the frame before it."""
        self._waiting.append(frame)
        picture = frame.picture
        pts, base, duration = picture.pts, picture.time_base, picture.duration
        picture.pts, picture.time_base, picture.duration = self._pushed, _TICK, 1
        self._pushed += 1
        try:
            self._graph.vpush(picture)
        finally:
            picture.pts, picture.duration = pts, duration
            if base is not None:
                picture.time_base = base
        yield from self._ready()

    def end(self) -> Iterator[CodedFrame]:
        """Yields the last frame."""
        self._graph.vpush(None)
        yield from self._ready()

    def _ready(self) -> Iterator[CodedFrame]:
        made: list[av.VideoFrame] = []
        while True:
            try:
                made.append(self._graph.vpull())
            except (av.BlockingIOError, av.EOFError):
                break
        per_frame = 2 if self._by_field else 1
        for place in range(0, len(made), per_frame):
            frame = self._waiting.popleft()
            if self._shown:
                self._shown -= 1
            else:
                yield from self._made(frame, made[place : place + per_frame])

    def _made(self, frame: CodedFrame, pictures: list[av.VideoFrame]) -> Iterator[CodedFrame]:
        for number, picture in enumerate(pictures):
            picture.duration = frame.picture.duration  # per field: half of it, in half the unit
            yield replace(
                frame, picture=picture, vectors=NO_VECTORS, qp=None, is_idr=frame.is_idr and number == 0,
                is_deinterlaced=True, pts_seconds=self._middle(frame) if number else frame.pts_seconds,
            )  # fmt: skip

    def _middle(self, frame: CodedFrame) -> float | None:
        """Returns the time halfway to the next frame, None where that is not known."""
        if frame.pts_seconds is None:
            return None
        following = self._waiting[0].pts_seconds if self._waiting else None
        if following is not None and following > frame.pts_seconds:
            return (frame.pts_seconds + following) / 2
        if frame.picture.duration:
            return frame.pts_seconds + float(frame.picture.duration * self._time_base / 2)
        return None
