"""Convolutions and residual blocks over parts of frames."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from codecvsr.engine.native.net import NativeNet
from codecvsr.engine.native.static_tiles import Part, around
from codecvsr.engine.native.structs import Array, Layer, Tiles


class PartialSteps:
    """Adds steps to a net, each over a part of a frame, or over the whole if the part is None."""

    def __init__(self, net: NativeNet) -> None:
        """Uses this net."""
        self._net = net

    def add_block(self, block: tuple[Layer, Layer], features: Array, part: Part | None, depth: int) -> None:
        """Runs a residual block in place; ``depth`` convolutions follow it."""
        inner, tiles = self._net.alloc(features.shape[2]), None if part is None else part.grown(depth)
        self.conv(block[0], [features], inner, part, depth + 1)
        self._net.conv(block[1], [inner], features, residual=features, tiles=tiles)
        self._net.release(inner)

    def conv(
        self,
        layer: Layer,
        inputs: list[Array | None],
        output: Array,
        part: Part | None,
        depth: int,
        cells: Array | None = None,
    ) -> None:
        """Runs a convolution into new memory; ``depth`` convolutions follow it."""
        tiles = None if part is None else part.grown(depth)
        self._net.conv(layer, inputs, output, cells=cells, tiles=tiles)
        if part is not None:
            self._net.copy(None, output, part.ring(depth))

    def clear_around(self, output: Array, tiles: Tiles | None) -> None:
        """Writes zeros around tiles of new memory: convolutions read that far."""
        if tiles is not None:
            self._net.copy(None, output, around(tiles))

    def repeat(self, last: npt.NDArray[Any] | None, values: npt.NDArray[Any], part: Part | None) -> None:
        """Copies the tiles that are left out, if any, from those of the frame before."""
        if part is not None:
            assert last is not None
            self._net.copy(last, values, part.others)
