"""Frames and pixels that a network computes at once, and their reduction when memory runs out."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from codecvsr.engine.out_of_memory import is_out_of_memory
from codecvsr.errors import InputError
from codecvsr.inference.skip_static import DuplicateFrames, StaticBlocks
from codecvsr.inference.tiles import BLOCK, MIN_TILE

_MIN_WINDOW = 8  #: shorter ones cost quality: tiles come first

log = logging.getLogger(__name__)


@dataclass
class MemoryLimits:
    """Frames and pixels at once; shared by all chunks of a video, so that a reduction stays in force.

    Attributes:
        window: maximum of frames that a window keeps.
        tile: side of a tile in pixels, margins excluded; 0 for whole frames.
        is_fixed: running out of memory is an error; nothing is reduced.
        static: what skips static parts; None to compute everything.
        is_fp32: fp16 overflowed; the frames that follow are computed in fp32.
    """

    window: int
    tile: int = 0
    is_fixed: bool = False
    static: DuplicateFrames | StaticBlocks | None = None
    is_fp32: bool = False

    def use_fp32(self) -> None:
        """Continues in fp32 after fp16 overflowed, with a warning."""
        self.is_fp32 = True
        log.warning("fp16 overflowed: continuing in fp32.")

    def shrink(self, error: BaseException, frames: int, height: int, width: int, *, by_window: bool) -> None:
        """Divide the window by two, or the tiles where the window is short already, with a warning.

        Args:
            error: the exception that a window raised.
            frames: that the failed window had to keep.
            height: of the frames.
            width: of the frames.
            by_window: fewer frames need less memory.

        Raises:
            InputError: the smallest tiles need too much memory.
            BaseException: ``error`` itself, where it is another error or the limits are fixed.
        """
        if self.is_fixed or not is_out_of_memory(error):
            raise error
        if by_window and frames > _MIN_WINDOW:
            self.window = max(_MIN_WINDOW, -(-frames // 2))
            log.warning("Memory ran out: continuing with windows of %d frames.", self.window)
            return
        side = max(self.tile or max(height, width), MIN_TILE)
        if side <= MIN_TILE:
            raise InputError(
                f"Memory ran out with the smallest tiles ({MIN_TILE} pixels); close other programs or choose another device."
            ) from error
        self.tile = max(MIN_TILE, -(-side // 2 // BLOCK) * BLOCK)
        log.warning("Memory ran out: continuing with tiles of %d pixels.", self.tile)
