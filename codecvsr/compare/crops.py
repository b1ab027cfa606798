"""An annotated picture per clip: a telling part of one frame, enlarged, as every row has it at every CRF."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.analysis import drawing
from codecvsr.analysis.drawing import Picture
from codecvsr.compare.clips import TestClip
from codecvsr.compare.comparison import Comparison
from codecvsr.files import read_image
from codecvsr.metrics.psnr import psnr

Box = tuple[int, int, int, int]  #: x, y, width, height in pixels of the original

_CROP = 192, 144  # width and height of the part
_ZOOM = 2
_PAD, _CAPTION, _HEADER = 12, 34, 46
_LOCATOR_SHARE = 0.28  # of the picture's width, for the whole frame
_MAX_TILES = 5  # beside each other in a line, original included
_FINE = 2.0  # pixels: detail finer than this makes a part telling


def write_pictures(comparison: Comparison, box: Box | None = None) -> Iterator[tuple[str, Picture]]:
    """Draw the clips one after the other.

    Args:
        comparison: with at least one row that is not random.
        box: the part to show; by default where the original has most fine detail.

    Yields:
        The clip's name and its picture (H, W, 3) uint8 RGB.
    """
    for name, group in itertools.groupby(comparison.clips, key=lambda clip: clip.name):
        clips = [clip for clip in group if any(key == clip.key for _, key in comparison.pictures)]
        if clips:
            yield name, draw(comparison, clips, box)


def draw(comparison: Comparison, clips: list[TestClip], box: Box | None) -> Picture:
    """The picture of one clip at its CRFs; untrained rows, ablations and same-size networks are left out of it."""
    frames = clips[0].length(comparison.settings.frames)
    middle = frames // 2
    original = next(itertools.islice(clips[0].originals(middle + 1), middle, None))
    x, y, width, height = max_detail(original) if box is None else _inside(box, original.shape)
    lines = [_line(comparison, clip, original.shape) for clip in clips]
    columns = min(max(len(line) for line in lines) + 1, _MAX_TILES)
    tile_w, tile_h = width * _ZOOM, height * _ZOOM
    locator_w = max(round(_LOCATOR_SHARE * columns * tile_w), 280)
    locator_h = round(locator_w * original.shape[0] / original.shape[1])
    rows_of = [[line[i : i + columns - 1] for i in range(0, len(line), columns - 1)] for line in lines]
    count = sum(map(len, rows_of))
    total_h = _HEADER + max(count * (tile_h + _CAPTION), locator_h + _CAPTION) + _PAD
    canvas = drawing.blank(total_h, locator_w + columns * (tile_w + _PAD) + 2 * _PAD)
    drawing.text(canvas, clips[0].name, _PAD, _HEADER / 2, size=15, bold=True)
    note = f"frame {middle}, {width}x{height} pixels at ({x}, {y})"
    drawing.text(canvas, note, canvas.shape[1] - _PAD, _HEADER / 2, size=10, color=drawing.MUTED, align="right")
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
        cells = [comparison.cell(row, clip.key) for row, _ in line]
        best = max((cell.psnr_rgb or 0.0 for cell in cells if cell is not None), default=0.0)
        for chunk in chunks:
            _tile(canvas, original[part], left, top, "original", clip.label, False)
            for column, (row, picture) in enumerate(chunk, 1):
                cell = comparison.cell(row, clip.key)
                clip_psnr = 0.0 if cell is None else cell.psnr_rgb or 0.0
                told = f"{psnr(picture[part], original[part]):.2f} dB here, clip {clip_psnr:.2f}"
                place = left + column * (tile_w + _PAD)
                _tile(canvas, picture[part], place, top, row, told, clip_psnr == best)
            top += tile_h + _CAPTION
    return canvas


def _line(comparison: Comparison, clip: TestClip, shape: tuple[int, ...]) -> list[tuple[str, Picture]]:
    """Rows with their pictures of the clip's middle frame."""
    line = []
    for row in comparison.rows:
        path = comparison.pictures.get((row.name, clip.key))
        if path is not None and not row.is_ablation and (picture := read_image(path)).shape == shape:
            line.append((row.name, picture))
    return line


def _tile(canvas: Picture, part: Picture, x: int, y: int, name: str, note: str, is_best: bool) -> None:
    """One enlarged part with what it is below it."""
    height, width = part.shape[0] * _ZOOM, part.shape[1] * _ZOOM
    canvas[y : y + height, x : x + width] = cv2.resize(part, (width, height), interpolation=cv2.INTER_NEAREST)
    color = drawing.WARM if is_best else drawing.TEXT
    room = width // 8  # signs of this size
    shown = name if len(name) <= room else f"{name[: room - 3]}..."
    drawing.text(canvas, shown, x, y + height + 10, size=9, color=color, bold=is_best)
    drawing.text(canvas, note, x, y + height + 24, size=8, color=drawing.MUTED)


def max_detail(picture: Picture) -> Box:
    """The part with most detail that is finer than :data:`_FINE` pixels, away from the border."""
    rows, columns = picture.shape[:2]
    width, height = min(_CROP[0], columns), min(_CROP[1], rows)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), _FINE))
    sums: npt.NDArray[np.float64] = cv2.integral(detail)
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    edge_y, edge_x = min(rows // 16, (rows - height) // 2), min(columns // 16, (columns - width) // 2)
    kept = inside[edge_y : inside.shape[0] - edge_y, edge_x : inside.shape[1] - edge_x]
    y, x = np.unravel_index(int(kept.argmax()), kept.shape)
    return int(x) + edge_x, int(y) + edge_y, width, height


def _inside(box: Box, shape: tuple[int, ...]) -> Box:
    """A part moved and cut so that it lies in the picture."""
    width, height = min(box[2], shape[1]), min(box[3], shape[0])
    return min(box[0], shape[1] - width), min(box[1], shape[0] - height), width, height
