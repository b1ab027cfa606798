"""How much of a clip a network is given at once, and what happens when that was too much for memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from codecvsr.engine.out_of_memory import is_out_of_memory
from codecvsr.errors import InputError
from codecvsr.inference.skip_static import DuplicateFrames
from codecvsr.inference.tiles import BLOCK, SMALLEST_TILE

_SHORTEST_WINDOW = 8  #: shorter ones cost quality: tiles come first

log = logging.getLogger(__name__)


@dataclass
class MemoryLimits:
    """Frames and pixels at once; shared by all stretches of a video, so that what was learnt of one holds for the next.

    Attributes:
        window: most frames that a window keeps.
        tile: pixels each way that a tile keeps; 0 for whole frames.
        is_fixed: running out of memory is an error, not a reason to go on with less.
        duplicates: leaves out frames that show nothing new; None to make every frame.
        is_fp32: fp16 overflowed; the frames that follow are computed in fp32.
    """

    window: int
    tile: int = 0
    is_fixed: bool = False
    duplicates: DuplicateFrames | None = None
    is_fp32: bool = False

    def use_fp32(self) -> None:
        """Continues in fp32 after fp16 overflowed, with a warning."""
        self.is_fp32 = True
        log.warning("fp16 overflowed: continuing in fp32.")

    def shrink(self, error: BaseException, kept: int, height: int, width: int, *, by_window: bool) -> None:
        """Halve the window, or the tiles where it is short already, and say so; the same error again if nothing is left.

        Args:
            error: what was raised.
            kept: frames that the window which was too much was to keep.
            height: of the frames.
            width: of the frames.
            by_window: fewer frames need less memory.

        Raises:
            InputError: the smallest tiles were too much.
        """
        if self.is_fixed or not is_out_of_memory(error):
            raise error
        if by_window and kept > _SHORTEST_WINDOW:
            self.window = max(_SHORTEST_WINDOW, -(-kept // 2))
            log.warning("Memory ran out: going on with windows of %d frames.", self.window)
            return
        side = max(self.tile or max(height, width), SMALLEST_TILE)
        if side <= SMALLEST_TILE:
            raise InputError(
                f"Memory ran out even with tiles of {SMALLEST_TILE} pixels; close other programs or choose another device."
            ) from error
        self.tile = max(SMALLEST_TILE, -(-side // 2 // BLOCK) * BLOCK)
        log.warning("Memory ran out: going on with tiles of %d pixels.", self.tile)
