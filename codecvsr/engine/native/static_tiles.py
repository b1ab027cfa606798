"""Which tiles of a window's frames are computed, and which repeat what was computed for the frame before.

The pass backwards in time computes features and a state of every frame, the pass forwards another state and the picture. Where
decoded pixels change between two frames, and in the tiles around, all of these are computed; elsewhere they repeat those of the
next frame in the first pass, and those of the previous one in the second. What the stream says about its blocks does not count: a
skipped block that was damaged, concealed, faded or covered is one whose pixels change.

A pass also computes the frame after a change: at the change itself it reads states from before it, twice over in second order, and
what repeats from there on should not. Features depend on the frames on both sides, so that the first pass also computes the frame
that begins a change. Flows repeat where neither pass reads them.

Values that repeat do not settle any further, and miss what lies beyond the reach.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.engine.native.library import changed_tiles
from codecvsr.engine.native.structs import TILE, Tiles

REFRESH = 32  #: frames after which every tile is computed again
_START = 3  # frames computed whole after the first of a shot: states gather what the frames show
_REACH = 1  # tiles around a changed one that are computed too
_WHOLE = 0.8  # share of a frame's tiles from which on all are computed, as copies then cost more than they save
_MOST = 0.9  # share of a window's work from which on all is done, likewise
_GROUP = 4  # tiles that CVSR_GATHER writes at once


@dataclass(frozen=True, eq=False)
class Part:
    """The part of a frame that is computed.

    Attributes:
        tiles: (rows, columns), 1 for a tile that is computed, 0 for one that repeats.
    """

    tiles: Tiles
    _grown: dict[int, Tiles] = field(default_factory=dict, repr=False)
    _rings: dict[int, Tiles] = field(default_factory=dict, repr=False)

    def grown(self, pixels: int) -> Tiles:
        """Returns the tiles that a layer must compute so that ``pixels`` more 3x3 convolutions can follow."""
        by = -(-pixels // TILE)
        if by not in self._grown:
            self._grown[by] = _grown(self.tiles, by)
        return self._grown[by]

    def ring(self, pixels: int) -> Tiles:
        """Returns the tiles around :meth:`grown`."""
        by = -(-pixels // TILE)
        if by not in self._rings:
            self._rings[by] = around(self.grown(pixels))
        return self._rings[by]

    def groups(self, pixels: int) -> Tiles:
        """Returns :meth:`grown` in the groups of tiles that ``CVSR_GATHER`` writes."""
        tiles = self.grown(pixels)
        columns = tiles.shape[1]
        padded = np.pad(tiles, ((0, 0), (0, -columns % _GROUP)))
        groups = padded.reshape(len(tiles), -1, _GROUP).max(axis=2)
        return np.ascontiguousarray(np.repeat(groups, _GROUP, axis=1)[:, :columns])

    @cached_property
    def others(self) -> Tiles:
        """The tiles that repeat."""
        return 1 - self.tiles


def around(tiles: Tiles) -> Tiles:
    """Returns the tiles next to those given, which a convolution reads too: they must hold something."""
    return _grown(tiles, 1) - tiles


class StaticTiles:
    """The parts of a window's frames that are computed; None for a whole frame.

    Attributes:
        backward: by frame, for its features and its state in the pass backwards.
        forward: by frame, for its state in the pass forwards and its picture.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        frames: Iterable[npt.NDArray[np.uint8]],
        is_cut: npt.NDArray[np.bool_],
        pixels: int = 2 * TILE,
    ) -> None:
        """Compares the frames.

        Args:
            library: the network library.
            frames: T of (H, W, 3) RGB.
            is_cut: (T,), frames that begin a new scene: they differ everywhere.
            pixels: 3x3 convolutions of a pass that follow one another.
        """
        self._pixels = pixels
        before: npt.NDArray[np.uint8] | None = None
        changed: list[Tiles | None] = [None]  # on the way to frames -1 to count + 1; None: whole
        for frame, cut in zip(frames, is_cut, strict=True):
            changed.append(None if before is None or cut else _grown(changed_tiles(library, before, frame), _REACH))
            before = frame
        changed += [None, None]
        count = len(is_cut)
        self.backward = _parts([_joined(changed[i + 1 : i + 4]) for i in reversed(range(count))])[::-1]
        self.forward = _parts([_joined(changed[i : i + 2]) for i in range(count)])
        if self.share(0) >= _MOST:  # hardly anything is static: as if all were new
            self.backward = self.forward = [None] * count

    def share(self, ends: int) -> float:
        """Returns about what share of the work is done for the frames that are ``ends`` or more from both ends; 1 for none."""
        inner = slice(ends, max(len(self.forward) - ends, 0))
        parts = [*self.backward[inner], *self.forward[inner]]
        shares = [1.0 if part is None else float(part.grown(self._pixels // 2).mean()) for part in parts]
        return float(np.mean(shares)) if shares else 1.0

    def flows(self, i: int, pixels: int) -> Part | None:
        """Returns the part of a frame in which flows are read by a pass in which ``pixels`` 3x3 convolutions follow."""
        backward, forward = self.backward[i], self.forward[i]
        if backward is None or forward is None:
            return None
        return Part(Part(np.maximum(backward.tiles, forward.tiles)).grown(pixels))


def usual_share(library: ctypes.CDLL, frames: Iterable[npt.NDArray[np.uint8]], count: int, pixels: int) -> float:
    """Returns about what share of the work is done per frame in the middle of a long shot.

    Args:
        library: the network library.
        frames: of a shot, (H, W, 3) RGB each.
        count: of frames; of fewer than 9, all are taken to be new.
        pixels: 3x3 convolutions of a pass that follow one another.
    """
    tiles = StaticTiles(library, frames, np.zeros(count, np.bool_), pixels)
    return max(tiles.share(_START + 1), 1 / REFRESH)


def _parts(changed: list[Tiles | None]) -> list[Part | None]:
    """Returns the parts of the frames of a pass, in its order, from the tiles to compute by the changes there; None for all."""
    parts: list[Part | None] = []
    age = 0  # frames since all tiles of a shot were new
    for tiles in changed:
        age = 0 if tiles is None else age + 1
        is_whole = tiles is None or age < _START or age % REFRESH == 0 or tiles.mean() >= _WHOLE
        parts.append(None if tiles is None or is_whole else Part(tiles))
    return parts


def _joined(changes: list[Tiles | None]) -> Tiles | None:
    """Returns the tiles of any of these changes; None if one is of the whole frame."""
    known = [tiles for tiles in changes if tiles is not None]
    return np.max(known, axis=0) if len(known) == len(changes) else None


def _grown(tiles: Tiles, by: int) -> Tiles:
    if by == 0:
        return tiles
    return np.asarray(cv2.dilate(tiles, np.ones((2 * by + 1, 2 * by + 1), np.uint8)), np.uint8)
