"""Motion of one section of a live stream, estimated with the frames that are known."""

from __future__ import annotations

from codecvsr.motion.motion_stream import MotionStream
from codecvsr.motion.types import FULL_REPAIR, ClipMotion, Mapper
from codecvsr.streaming.frame_queue import LiveFrame, Section
from codecvsr.streaming.proxy_stream import ProxyStream


class LiveMotion:
    """Estimates motion window by window; that of the look-ahead is estimated again with the next window."""

    def __init__(self, section: Section, mapper: Mapper) -> None:
        """``section``: of the frames; ``mapper``: runs independent frames."""
        self._stream = MotionStream(FULL_REPAIR, None, mapper)
        self._proxy = None if section.has_vectors else ProxyStream(section.height, section.width, section.rate)
        self._done = 0

    def add(self, frame: LiveFrame) -> None:
        """Adds the next frame in display order."""
        self._stream.add(frame.coded if self._proxy is None else self._proxy.add(frame.coded))

    def window(self, made: int) -> ClipMotion:
        """Returns the motion of all frames that are not made yet; ``made`` of them are made now."""
        self._done += made
        motion = self._stream.advance(ended=True, final=self._done)
        assert motion is not None
        return motion
