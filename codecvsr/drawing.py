"""Strokes of the overlay: palette, text, arrows, bars and tints on (H, W, 3) uint8 RGB pictures, by OpenCV alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Color = tuple[int, int, int]
Point = tuple[float, float]  #: x, y in pixels

GROUND: Color = (14, 17, 23)
PANEL: Color = (22, 26, 35)
RULE: Color = (44, 51, 66)
TEXT: Color = (224, 229, 238)
MUTED: Color = (135, 146, 166)
WARM: Color = (255, 176, 72)  #: list 0
COOL: Color = (84, 200, 255)  #: list 1
INTRA: Color = (255, 96, 140)
TYPES: dict[str, Color] = {"I": (244, 96, 138), "P": (126, 208, 140), "B": (150, 136, 240)}

_SHIFT = 4  # OpenCV's fixed-point positions: sixteenths of a pixel
_FINER = 3  # text is drawn this many times larger, then shrunk


def blank(height: int, width: int, color: Color = GROUND) -> Picture:
    """A picture of one colour."""
    return np.full((height, width, 3), color, np.uint8)


def blend(picture: Picture, color: Color, mask: npt.NDArray[np.floating] | npt.NDArray[np.bool_], alpha: float) -> None:
    """Lay ``color`` over ``picture`` in place, as much as ``mask`` (H, W) in 0..1 times ``alpha`` says."""
    weight = (mask.astype(np.float32) * np.float32(alpha))[..., None]
    picture[:] = (picture + (np.array(color, np.float32) - picture) * weight + 0.5).astype(np.uint8)


def mix(color: Color, other: Color, share: float) -> Color:
    """``color`` with that share of ``other`` in it."""
    red, green, blue = (round((1 - share) * a + share * b) for a, b in zip(color, other, strict=True))
    return red, green, blue


def fill(picture: Picture, x: int, y: int, width: int, height: int, color: Color) -> None:
    """A filled rectangle; what lies outside is cut."""
    cv2.rectangle(picture, (x, y), (x + width - 1, y + height - 1), color, cv2.FILLED)


def frame(picture: Picture, x: int, y: int, width: int, height: int, color: Color) -> None:
    """The outline of a rectangle, one pixel wide."""
    cv2.rectangle(picture, (x, y), (x + width - 1, y + height - 1), color, 1)


@lru_cache(maxsize=1024)
def _glyphs(words: str, size: float, bold: bool) -> npt.NDArray[np.float32]:
    """Coverage (H, W) of a line of text whose capitals are ``size`` pixels tall."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    scale = size * _FINER / 22.0  # a capital is 22 units of this font tall
    thick = max(round(size * _FINER * (0.16 if bold else 0.11)), 1)
    (width, _), _ = cv2.getTextSize(words, font, scale, thick)
    (_, height), below = cv2.getTextSize("Hg", font, scale, thick)  # of every line the same, so that base lines agree
    pad = thick + 2
    large = np.zeros((height + below + 2 * pad, width + 2 * pad), np.uint8)
    cv2.putText(large, words, (pad, pad + height), font, scale, 255, thick, cv2.LINE_AA)
    rows, columns = -(-large.shape[0] // _FINER), -(-large.shape[1] // _FINER)
    padded = np.zeros((rows * _FINER, columns * _FINER), np.uint8)
    padded[: large.shape[0], : large.shape[1]] = large
    shrunk = np.asarray(cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA) / 255, np.float32)
    columns_used = np.flatnonzero(shrunk.max(axis=0) > 0.02)
    if not columns_used.size:  # only spaces
        return shrunk
    bolder = np.minimum(shrunk[:, columns_used[0] : columns_used[-1] + 1] * 1.15, 1)
    return bolder.astype(np.float32)


def width(words: str, size: float, *, bold: bool = False) -> int:
    """Width in pixels of a line that :func:`text` writes."""
    words = words.encode("ascii", "replace").decode("ascii")
    return _glyphs(words, size, bold).shape[1] if words.strip() else 0


def shortened(name: str, size: float, room: float, *, bold: bool = False) -> str:
    """Returns a name that fits into ``room`` pixels: without its start, which of paths matters least, if it is too long."""
    shown = name
    while width(shown, size, bold=bold) > room and len(shown) > len("...x"):
        shown = f"...{shown.removeprefix('...')[1:]}"
    return shown


def text(
    picture: Picture,
    words: str,
    x: float,
    middle: float,
    *,
    size: float = 10,
    color: Color = TEXT,
    align: str = "left",
    bold: bool = False,
) -> int:
    """Write a line, vertically centred on ``middle``; signs beyond ASCII become "?". Returns its width in pixels."""
    words = words.encode("ascii", "replace").decode("ascii")
    if not words.strip():
        return 0
    glyphs = _glyphs(words, size, bold)
    height, width = glyphs.shape
    left = round(x - {"left": 0, "middle": width / 2, "right": width}[align])
    top = round(middle - size / 2 - (_glyphs("H", size, bold).max(axis=1) > 0.02).argmax())
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, picture.shape[1]), min(top + height, picture.shape[0])
    if x0 < x1 and y0 < y1:
        blend(picture[y0:y1, x0:x1], color, glyphs[y0 - top : y1 - top, x0 - left : x1 - left], 1.0)
    return width


def _fixed(*values: float) -> tuple[int, ...]:
    """Positions, whole values being the middles of pixels, as OpenCV's sixteenths; far ones are cut."""
    return tuple(round(float(np.clip(value, -16000, 16000)) * (1 << _SHIFT)) for value in values)


def arrows(picture: Picture, strokes: Sequence[tuple[Point, Point, Color]]) -> None:
    """Antialiased arrows (from, to, colour) with dark rims, all rims below all arrows; one of no length is a dot."""
    for start, end, _ in strokes:
        _arrow(picture, start, end, GROUND, 2)
    for start, end, color in strokes:
        _arrow(picture, start, end, color, 0)


def _arrow(picture: Picture, start: Point, end: Point, color: Color, rim: int) -> None:
    """One arrow, ``rim`` pixels wider than it is; its head is at most seven pixels long."""
    (x0, y0), (x1, y1) = start, end
    length = math.hypot(x1 - x0, y1 - y0)
    if length < 1.5:
        dot(picture, start, color, 1.7 + 0.5 * rim)
        return
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    head = min(7.0, 0.45 * length + 2)
    grown = 0.5 * rim
    wing = 0.42 * head + grown
    base_x, base_y = x1 - ux * (head + grown), y1 - uy * (head + grown)
    corners = (
        _fixed(x1 + ux * grown, y1 + uy * grown),
        _fixed(base_x - uy * wing, base_y + ux * wing),
        _fixed(base_x + uy * wing, base_y - ux * wing),
    )
    cv2.line(picture, _fixed(x0, y0), _fixed(base_x, base_y), color, 1 + rim, cv2.LINE_AA, _SHIFT)
    cv2.fillConvexPoly(picture, np.array(corners, np.int32), color, cv2.LINE_AA, _SHIFT)


def dot(picture: Picture, at: Point, color: Color, radius: float) -> None:
    """An antialiased dot."""
    cv2.circle(picture, _fixed(*at), _fixed(radius)[0], color, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def bar(picture: Picture, x: int, y: int, width: int, height: int, share: float, color: Color) -> None:
    """A horizontal bar filled by ``share``; anything above nothing shows at least two pixels."""
    fill(picture, x, y, width, height, RULE)
    if share > 0:
        fill(picture, x, y, max(round(width * min(share, 1.0)), 2), height, color)


def heat(values: npt.NDArray[np.floating], low: float, high: float) -> Picture:
    """(H, W) values as colours from dark violet (``low``) to pale yellow (``high``)."""
    part = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    levels = np.asarray(20 + part * 225, np.uint8)  # the ends of the map are too near black and white
    return np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1])
