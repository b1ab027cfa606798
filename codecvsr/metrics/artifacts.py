"""Faults of super-resolved pictures that PSNR does not see: invented detail, ruled lines, a lattice, specks and shifts of colour.

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
DETAIL_SIGMA, _CHROMA_SIGMA = 1.5, 2.0  # pixels: sigma of the Gaussian that a high-pass subtracts
_SHIFT_SIGMA = 16.0  # pixels: sigma of the Gaussian that leaves of an error what a large area has in common
RUN = 16  #: pixels along a row over which a line is averaged
_FLAT_WINDOW = 15  # pixels
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
        colour_shift: mean error of a channel over the picture, of R, G and B the largest.
    """

    invented_detail: float
    row_lines: float
    column_lines: float
    lattice: float
    chroma_specks: float
    colour_shift: float

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
    flat, blocks = flat_areas(reference), edge_blocks(reference)
    faults = (_specks(*pair), _shift(*pair))
    values = [
        Artifacts(
            invented_detail=_rms(high_pass(plane, DETAIL_SIGMA), flat),
            row_lines=_lines(plane, flat),
            column_lines=_lines(plane.T, flat.T),
            lattice=_lattice(plane, blocks),
            chroma_specks=specks,
            colour_shift=shift,
        )
        for plane, (specks, shift) in zip(lumas, (faults, (0.0, 0.0)), strict=True)
    ]
    return values[0], values[1]


#: What people call each measure, and its unit.
LABELS = {
    "invented_detail": ("invented detail", "8-bit steps"),
    "row_lines": ("row lines", "8-bit steps"),
    "column_lines": ("column lines", "8-bit steps"),
    "lattice": ("lattice", "dB"),
    "chroma_specks": ("chroma specks", "8-bit steps"),
    "colour_shift": ("colour shift", "8-bit steps"),
}


def mean(values: list[Artifacts]) -> Artifacts:
    """The mean over frames; frames without an area to measure do not count."""
    means = {}
    for field in fields(Artifacts):
        known = [value for each in values if not np.isnan(value := getattr(each, field.name))]
        means[field.name] = fmean(known) if known else float("nan")
    return Artifacts(**means)


def summary(pairs: list[tuple[Artifacts, Artifacts]]) -> dict[str, dict[str, float | None]]:
    """Means over the frames, by measure, of the faults of "pictures" and of their "originals"."""
    pictures, originals = (mean(list(values)).to_json() for values in zip(*pairs, strict=True))
    return {"pictures": pictures, "originals": originals}


def high_pass(plane: Plane, sigma: float) -> Plane:
    """A plane less its Gaussian mean of this sigma in pixels."""
    return plane - np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma))


def flat_areas(plane: Plane) -> npt.NDArray[np.bool_]:
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
    if plane.shape[0] < 3 or plane.shape[1] < RUN:
        return float("nan")
    return _rms(*second_differences(plane, flat))


def second_differences(plane: Plane, flat: npt.NDArray[np.bool_]) -> tuple[Plane, npt.NDArray[np.bool_]]:
    """Second differences across rows of runs of :data:`RUN` pixels, and where all three runs are flat: (H - 2, W // RUN)."""
    height, width = plane.shape[0], plane.shape[1] // RUN * RUN
    runs = np.ascontiguousarray(plane[:, :width]).reshape(height, -1, RUN).mean(2)
    whole = np.ascontiguousarray(flat[:, :width]).reshape(height, -1, RUN).min(2)
    return runs[:-2] - 2 * runs[1:-1] + runs[2:], whole[:-2] & whole[1:-1] & whole[2:]


def edge_blocks(plane: Plane) -> list[tuple[int, int]]:
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
    power = block_power(plane, blocks).sum(0)
    peaks = [pair for axis in (0, 1) for pair in lattice_peaks(power.sum(axis))]
    return max(0.0, *(10 * float(np.log10(peak / neighbours)) for peak, neighbours in peaks))


def block_power(plane: Plane, blocks: list[tuple[int, int]]) -> Plane:
    """Power spectra (blocks, BLOCK, BLOCK) of the blocks with these corners, under a Hann window."""
    window = np.hanning(BLOCK + 2)[1:-1].astype(np.float32)
    tiles = np.stack([plane[y : y + BLOCK, x : x + BLOCK] for y, x in blocks])
    tiles = (tiles - tiles.mean((1, 2), keepdims=True)) * np.outer(window, window)
    return np.square(np.abs(np.fft.fft2(tiles))).astype(np.float32)


def lattice_peaks(
    spectrum: npt.NDArray[np.floating],
) -> list[tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]]:
    """Power at periods of 4 and 2 pixels, each with the geometric mean of its neighbours', of spectra (..., BLOCK)."""
    middle = BLOCK // 2  # beyond it, the spectrum of real values is mirrored
    peaks = []
    for peak, near in ((BLOCK // 4, (-3, -2, 2, 3)), (middle, (-3, -2))):
        neighbours = np.exp(np.mean([np.log(spectrum[..., peak + step] + 1e-9) for step in near], axis=0))
        peaks.append((spectrum[..., peak] + 1e-9, neighbours))
    return peaks


def _specks(picture: Rgb, original: Rgb) -> float:
    """The percentile of the error, after a high-pass, of both colour differences."""
    return float(np.percentile(np.abs(chroma_error(picture, original)), SPECK_PERCENTILE))


def chroma_error(picture: Rgb, original: Rgb) -> Plane:
    """The error of Cb and Cr after a high-pass, (H, W, 2) in 8-bit steps."""
    error = picture.astype(np.float32) - original.astype(np.float32)
    chroma: Plane = np.asarray(cv2.transform(error, _CHROMA), np.float32)
    return high_pass(chroma, _CHROMA_SIGMA)


def _shift(picture: Rgb, original: Rgb) -> float:
    """The largest mean error of a channel, without its sign."""
    means = [rgb.reshape(-1, 3).mean(0, dtype=np.float64) for rgb in (picture, original)]
    return float(np.abs(means[0] - means[1]).max())


def shift_map(picture: Rgb, original: Rgb) -> Plane:
    """The error (H, W, 3) in 8-bit steps that large areas have in common."""
    error = picture.astype(np.float32) - original.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(error, (0, 0), _SHIFT_SIGMA), np.float32)
