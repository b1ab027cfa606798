"""Numbers that several rooms share."""

from __future__ import annotations

from typing import Final

SCALE: Final = 4  #: of the networks that upscale: one pixel becomes SCALE x SCALE
CELL: Final = 4  #: side in pixels of a cell of the motion grid, the smallest block H.264 has
