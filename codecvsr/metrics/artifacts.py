"""Faults of super-resolved pictures that PSNR does not see: invented detail, ruled lines, a lattice, specks of colour.

Every measure compares a picture with its original, so that what the scene has is not taken for a fault, and each has a value
for the original itself: read the two side by side, and beside bicubic's. All values are in 8-bit steps but for the lattice,
which is in decibels. The definitions are this project's own; ``tests/metrics/test_artifacts.py`` plants each fault and finds it
by its own measure alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from statistics import fmean

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.metrics.planes import comparable, luma

Rgb = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]

FLAT = 1.5  #: 8-bit steps: an area is flat where the original's luma deviates by less in 15x15 pixels
EDGE = 24.0  #: 8-bit steps per pixel: an edge is where the original's luma has a steeper slope (Sobel, per pixel)
BLOCK = 32  #: side in pixels of the blocks whose spectrum is computed
SPECK_PERCENTILE = 99.9
_DETAIL_SIGMA, _CHROMA_SIGMA = 1.5, 2.0  # pixels: sigma of the Gaussian that a high-pass subtracts
_FLAT_WINDOW, _RUN = 15, 16  # pixels
_MIN_SHARE = 0.01  # of the pixels: with fewer flat ones, or edge blocks, there is nothing to measure
# Weights of R, G, B in Cb and Cr (ITU-R BT.601, full range): only their differences are used.
_CHROMA = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)


@dataclass(frozen=True)
class Artifacts:
    """The faults of a picture, or their means over a clip; NaN where a picture has no such area.

    Attributes:
        invented_detail: RMS of luma less its Gaussian mean (sigma 1.5) where the original is flat.
        row_lines: RMS of the second difference from row to row of luma averaged over runs of 16 pixels along the row,
            where the original is flat over the whole run: texture averages out, a ruled line does not.
        column_lines: the same from column to column.
        lattice: power at periods of 4 and 2 pixels above that of the neighbouring frequencies, along rows and columns, in
            blocks of 32x32 pixels that an edge crosses, in dB; 0 for no excess.
        chroma_specks: 99.9th percentile of the error after a high-pass (sigma 2) of Cb and Cr.
    """

    invented_detail: float
    row_lines: float
    column_lines: float
    lattice: float
    chroma_specks: float

    def to_json(self) -> dict[str, float | None]:
        """The values by name; None where there is none."""
        return {
            field.name: None if np.isnan(value := getattr(self, field.name)) else round(value, 4)
            for field in fields(self)
        }


def measure(picture: Rgb, original: Rgb, *, crop_border: int = 0) -> tuple[Artifacts, Artifacts]:
    """The faults of ``picture``, and the values that ``original`` has by itself, (H, W, 3) uint8 each.

    Raises:
        ValueError: the pictures differ in shape, are not 8-bit RGB, or the border leaves nothing.
    """
    pair = [
        np.asarray(plane, np.uint8) for plane in comparable(picture, original, channel="rgb", crop_border=crop_border)
    ]
    lumas = [luma(rgb).astype(np.float32) for rgb in pair]
    reference = lumas[1]
    flat, blocks = _flat(reference), _edge_blocks(reference)
    specks = _specks(*pair)
    values = [
        Artifacts(
            invented_detail=_rms(_high_pass(plane, _DETAIL_SIGMA), flat),
            row_lines=_lines(plane, flat),
            column_lines=_lines(plane.T, flat.T),
            lattice=_lattice(plane, blocks),
            chroma_specks=chroma,
        )
        for plane, chroma in zip(lumas, (specks, 0.0), strict=True)
    ]
    return values[0], values[1]


def mean(values: list[Artifacts]) -> Artifacts:
    """The mean over frames; frames without an area to measure do not count."""
    means = {}
    for field in fields(Artifacts):
        known = [value for each in values if not np.isnan(value := getattr(each, field.name))]
        means[field.name] = fmean(known) if known else float("nan")
    return Artifacts(**means)


def _high_pass(plane: Plane, sigma: float) -> Plane:
    return plane - np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma))


def _flat(plane: Plane) -> npt.NDArray[np.bool_]:
    """Where the picture is flat: its standard deviation in the window is below :data:`FLAT`."""
    size = (_FLAT_WINDOW, _FLAT_WINDOW)
    centred = plane - np.float32(plane.mean())
    mean_ = cv2.blur(centred, size)
    variance = cv2.blur(centred * centred, size) - mean_ * mean_
    return np.asarray(variance < FLAT**2)


def _rms(plane: Plane, mask: npt.NDArray[np.bool_]) -> float:
    if mask.mean() < _MIN_SHARE:
        return float("nan")
    return float(np.sqrt(np.mean(np.square(plane[mask], dtype=np.float64))))


def _lines(plane: Plane, flat: npt.NDArray[np.bool_]) -> float:
    """RMS of the second difference across rows of runs of pixels along them."""
    height, width = plane.shape[0], plane.shape[1] // _RUN * _RUN
    if height < 3 or not width:
        return float("nan")
    runs = np.ascontiguousarray(plane[:, :width]).reshape(height, -1, _RUN).mean(2)
    whole = np.ascontiguousarray(flat[:, :width]).reshape(height, -1, _RUN).min(2)
    second = runs[:-2] - 2 * runs[1:-1] + runs[2:]
    return _rms(second, whole[:-2] & whole[1:-1] & whole[2:])


def _edge_blocks(plane: Plane) -> list[tuple[int, int]]:
    """Top left corners of the blocks that an edge crosses."""
    slopes = [cv2.Sobel(plane, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1))]
    edge: npt.NDArray[np.bool_] = np.asarray(np.hypot(*slopes)) > EDGE
    height, width = plane.shape
    return [
        (y, x)
        for y in range(0, height - BLOCK + 1, BLOCK)
        for x in range(0, width - BLOCK + 1, BLOCK)
        if edge[y : y + BLOCK, x : x + BLOCK].any()
    ]


def _lattice(plane: Plane, blocks: list[tuple[int, int]]) -> float:
    """Excess power in dB at periods of 4 and 2 pixels, along rows and along columns."""
    if not blocks:
        return float("nan")
    window = np.hanning(BLOCK + 2)[1:-1].astype(np.float32)
    tiles = np.stack([plane[y : y + BLOCK, x : x + BLOCK] for y, x in blocks])
    tiles = (tiles - tiles.mean((1, 2), keepdims=True)) * np.outer(window, window)
    power = np.square(np.abs(np.fft.fft2(tiles))).sum(0)
    middle = BLOCK // 2
    excess = []
    for axis in (0, 1):
        spectrum = power.sum(axis)[: middle + 1]  # of real values: the other side is the same
        for peak, near in ((BLOCK // 4, (-3, -2, 2, 3)), (middle, (-3, -2))):
            neighbours = np.exp(np.mean([np.log(spectrum[peak + step] + 1e-9) for step in near]))
            excess.append(10 * np.log10((spectrum[peak] + 1e-9) / neighbours))
    return float(max(0.0, *excess))


def _specks(picture: Rgb, original: Rgb) -> float:
    """The percentile of the error, after a high-pass, of both colour differences."""
    error = picture.astype(np.float32) - original.astype(np.float32)
    chroma: Plane = np.asarray(cv2.transform(error, _CHROMA), np.float32)
    return float(np.percentile(np.abs(_high_pass(chroma, _CHROMA_SIGMA)), SPECK_PERCENTILE))
