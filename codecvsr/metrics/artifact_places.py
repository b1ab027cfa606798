"""Where in a picture each fault of :mod:`codecvsr.metrics.artifacts` is worst."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.metrics.artifacts import (
    BLOCK,
    DETAIL_SIGMA,
    RUN,
    Plane,
    Rgb,
    block_power,
    chroma_error,
    edge_blocks,
    flat_areas,
    high_pass,
    lattice_peaks,
    second_differences,
    shift_map,
)
from codecvsr.metrics.planes import luma


def fault_maps(picture: Rgb, original: Rgb) -> dict[str, Plane]:
    """How much of each fault every pixel of ``picture`` has beyond what ``original`` has there.

    Args:
        picture: (H, W, 3) uint8.
        original: of the same shape.

    Returns:
        Maps (H, W) by the names of the measures: squares of 8-bit steps, for the lattice power; 0 where there is nothing to
        measure or the original has as much.
    """
    lumas = [luma(rgb).astype(np.float32) for rgb in (picture, original)]
    flat, blocks = flat_areas(lumas[1]), edge_blocks(lumas[1])
    energies = [
        {
            "invented_detail": np.square(high_pass(plane, DETAIL_SIGMA)) * flat,
            "row_lines": _line_energy(plane, flat),
            "column_lines": _line_energy(plane.T, flat.T).T,
            "lattice": _lattice_power(plane, blocks),
        }
        for plane in lumas
    ]
    maps = {name: np.maximum(energy - energies[1][name], 0) for name, energy in energies[0].items()}
    return maps | {
        "chroma_specks": np.square(chroma_error(picture, original)).max(2),
        "colour_shift": np.square(shift_map(picture, original)).max(2),
    }


def densest_box(density: Plane, width: int, height: int, *, border: int = 0) -> tuple[float, int, int]:
    """The box with the highest mean of a map.

    Args:
        density: (H, W).
        width: of the box; at most that of the map inside the border.
        height: of the box.
        border: pixels on each side that the box does not touch.

    Returns:
        The mean inside the box, and x and y of its top left corner.
    """
    sums = np.asarray(cv2.integral(density, sdepth=cv2.CV_64F), np.float64)
    totals = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    inside = totals[border : totals.shape[0] - border, border : totals.shape[1] - border]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return float(inside[y, x]) / (width * height), int(x) + border, int(y) + border


def _line_energy(plane: Plane, flat: npt.NDArray[np.bool_]) -> Plane:
    """Squared second differences of the runs, at each of their pixels."""
    energy = np.zeros_like(plane)
    if plane.shape[0] >= 3 and plane.shape[1] >= RUN:
        second, whole = second_differences(plane, flat)
        energy[1:-1, : second.shape[1] * RUN] = np.repeat(np.square(second) * whole, RUN, axis=1)
    return energy


def _lattice_power(plane: Plane, blocks: list[tuple[int, int]]) -> Plane:
    """Power per pixel at periods of 4 and 2 pixels beyond that of the neighbouring frequencies, in each block.

    Spectra are sums over a block and the eight around it: that of one block alone has peaks by chance.
    """
    energy = np.zeros_like(plane)
    if not blocks:
        return energy
    rows, columns = (side // BLOCK for side in plane.shape)
    grid = np.zeros((rows, columns, BLOCK, BLOCK), np.float32)
    for (y, x), power in zip(blocks, block_power(plane, blocks), strict=True):
        grid[y // BLOCK, x // BLOCK] = power
    padded = np.pad(grid, ((1, 1), (1, 1), (0, 0), (0, 0)))
    around = sum(padded[dy : dy + rows, dx : dx + columns] for dy in range(3) for dx in range(3))
    excess = [peak - near for axis in (2, 3) for peak, near in lattice_peaks(np.asarray(around).sum(axis))]
    largest = np.maximum(np.max(excess, axis=0), 0) / BLOCK**2
    for y, x in blocks:
        energy[y : y + BLOCK, x : x + BLOCK] = largest[y // BLOCK, x // BLOCK]
    return energy
