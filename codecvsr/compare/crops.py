"""An annotated picture per clip: one crop of the middle frame, enlarged, for every variant at every CRF."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from codecvsr import drawing
from codecvsr.compare.clips import TestClip
from codecvsr.compare.comparison import Comparison
from codecvsr.drawing import Picture
from codecvsr.files import read_image
from codecvsr.metrics.artifact_places import densest_box
from codecvsr.metrics.artifacts import Plane
from codecvsr.metrics.planes import luma
from codecvsr.metrics.psnr import psnr

Box = tuple[int, int, int, int]  #: x, y, width, height in pixels of the original

_CROP = 192, 144  # width and height of the crop
_ZOOM = 2
_NAME, _NOTE = 13, 12  # height in pixels of capitals: the page shows the picture at about six tenths
_PAD, _CAPTION, _HEADER = 12, 50, 50  # pixels
_LOCATOR_SHARE = 0.28  # of the picture's width, for the frame with the crop marked
_MAX_TILES = 5  # per line, original included
_FINE = 2.0  # pixels: only detail finer than this counts


def write_pictures(comparison: Comparison, box: Box | None = None) -> Iterator[tuple[str, Picture]]:
    """Draw one picture per clip.

    Args:
        comparison: with at least one trained variant.
        box: the crop; by default where the rows differ most.

    Yields:
        The clip's name and its picture, (H, W, 3) uint8 RGB.
    """
    for name, group in itertools.groupby(comparison.clips, key=lambda clip: clip.name):
        clips = [clip for clip in group if any(key == clip.key for _, key in comparison.pictures)]
        if clips:
            yield name, draw(comparison, clips, box)


def draw(comparison: Comparison, clips: list[TestClip], box: Box | None) -> Picture:
    """Returns the picture of one clip at its CRFs, without untrained variants, ablations and same-size networks."""
    frames = clips[0].length(comparison.settings.frames)
    middle = frames // 2
    original = next(itertools.islice(clips[0].originals(middle + 1), middle, None))
    lines = [_line(comparison, clip, original.shape) for clip in clips]
    x, y, width, height = _max_difference(original, lines) if box is None else _inside(box, original.shape)
    columns = min(max(len(line) for line in lines) + 1, _MAX_TILES)
    tile_w, tile_h = width * _ZOOM, height * _ZOOM
    locator_w = max(round(_LOCATOR_SHARE * columns * tile_w), 280)
    locator_h = round(locator_w * original.shape[0] / original.shape[1])
    rows_of = [[line[i : i + columns - 1] for i in range(0, len(line), columns - 1)] for line in lines]
    count = sum(map(len, rows_of))
    total_h = _HEADER + max(count * (tile_h + _CAPTION), locator_h + _CAPTION) + _PAD
    canvas = drawing.blank(total_h, locator_w + columns * (tile_w + _PAD) + 2 * _PAD)
    drawing.text(canvas, clips[0].name, _PAD, _HEADER / 2, size=18, bold=True)
    note = f"frame {middle}, {width}x{height} pixels at ({x}, {y}), twice enlarged"
    drawing.text(canvas, note, canvas.shape[1] - _PAD, _HEADER / 2, size=14, color=drawing.MUTED, align="right")
    small = cv2.resize(original, (locator_w, locator_h), interpolation=cv2.INTER_AREA)
    canvas[_HEADER : _HEADER + locator_h, _PAD : _PAD + locator_w] = small
    share = locator_w / original.shape[1]
    corner = _PAD + round(x * share), _HEADER + round(y * share)
    for grown, color in ((1, drawing.GROUND), (0, drawing.WARM), (-1, drawing.WARM)):
        drawing.frame(canvas, corner[0] - grown, corner[1] - grown, round(width * share) + 2 * grown,
                      round(height * share) + 2 * grown, color)  # fmt: skip
    part = (slice(y, y + height), slice(x, x + width))
    top, left = _HEADER, 2 * _PAD + locator_w
    for clip, line, chunks in zip(clips, lines, rows_of, strict=True):
        measurements = [comparison.measurement(variant, clip.key) for variant, _ in line]
        best = max(
            (measurement.psnr_rgb or 0.0 for measurement in measurements if measurement is not None), default=0.0
        )
        for chunk in chunks:
            _tile(canvas, original[part], left, top, "original", clip.label, False)
            for column, (variant, picture) in enumerate(chunk, 1):
                measurement = comparison.measurement(variant, clip.key)
                clip_psnr = 0.0 if measurement is None else measurement.psnr_rgb or 0.0
                note = f"{psnr(picture[part], original[part]):.2f} dB here, clip {clip_psnr:.2f}"
                place = left + column * (tile_w + _PAD)
                _tile(canvas, picture[part], place, top, variant, note, clip_psnr == best)
            top += tile_h + _CAPTION
    return canvas


def _line(comparison: Comparison, clip: TestClip, shape: tuple[int, ...]) -> list[tuple[str, Picture]]:
    """Returns names and pictures of the clip's middle frame."""
    line = []
    for variant in comparison.variants:
        path = comparison.pictures.get((variant.name, clip.key))
        if path is not None and not variant.is_ablation and (picture := read_image(path)).shape == shape:
            line.append((variant.name, picture))
    return line


def _tile(canvas: Picture, part: Picture, x: int, y: int, name: str, note: str, is_best: bool) -> None:
    """Draws one enlarged crop with its caption."""
    height, width = part.shape[0] * _ZOOM, part.shape[1] * _ZOOM
    canvas[y : y + height, x : x + width] = cv2.resize(part, (width, height), interpolation=cv2.INTER_NEAREST)
    color = drawing.WARM if is_best else drawing.TEXT
    shown = drawing.shortened(name, _NAME, width, bold=True)
    drawing.text(canvas, shown, x, y + height + 15, size=_NAME, color=color, bold=is_best)
    drawing.text(canvas, note, x, y + height + 35, size=_NOTE, color=drawing.MUTED)


def _max_difference(original: Picture, lines: list[list[tuple[str, Picture]]]) -> Box:
    """Returns the crop where the pictures of a line differ most; where the original has most detail if none differ."""
    several = [[picture for _, picture in line] for line in lines if len(line) > 1]
    if not several:
        return max_detail(original)
    width, height = min(_CROP[0], original.shape[1]), min(_CROP[1], original.shape[0])
    _, x, y = densest_box(np.max([difference(pictures) for pictures in several], axis=0), width, height)
    return x, y, width, height


def difference(pictures: Sequence[Picture]) -> Plane:
    """Returns the squared range of luma over pictures of one size, (H, W)."""
    lumas = np.stack([luma(picture) for picture in pictures])
    return np.square(np.ptp(lumas, axis=0)).astype(np.float32)


def max_detail(picture: Picture) -> Box:
    """Returns the crop with most detail finer than :data:`_FINE` pixels, away from the border."""
    rows, columns = picture.shape[:2]
    width, height = min(_CROP[0], columns), min(_CROP[1], rows)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), _FINE))
    border = min(rows // 16, columns // 16, (rows - height) // 2, (columns - width) // 2)
    _, x, y = densest_box(detail, width, height, border=border)
    return x, y, width, height


def _inside(box: Box, shape: tuple[int, ...]) -> Box:
    """Returns a crop moved and clipped into the picture."""
    width, height = min(box[2], shape[1]), min(box[3], shape[0])
    return min(box[0], shape[1] - width), min(box[1], shape[0] - height), width, height
