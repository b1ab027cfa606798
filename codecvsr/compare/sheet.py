"""A contact sheet: crops of bicubic, every model and the original, at 100 %, where each fault is worst."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codecvsr import drawing
from codecvsr.compare.clips import TestClip
from codecvsr.compare.comparison import Comparison
from codecvsr.compare.crops import difference
from codecvsr.compare.variants import BICUBIC
from codecvsr.drawing import Picture
from codecvsr.errors import InputError
from codecvsr.files import FRAME_NAME, read_image, write_png
from codecvsr.metrics.artifact_places import densest_box, fault_maps
from codecvsr.metrics.artifacts import LABELS, measure
from codecvsr.metrics.psnr import psnr

DIFFERENCE = "difference"  #: the row where the models differ most
_CROP = 256, 192  # width and height of a crop
_PAD, _HEADER, _CAPTION, _NOTE = 12, 40, 26, 22  # pixels


@dataclass(frozen=True)
class Place:
    """Where a fault is worst.

    Attributes:
        excess: mean of the fault's map over the crop, beyond the original's.
        clip: the clip.
        frame: index of the frame.
        x: of the crop's left edge, in pixels of the original.
        y: of its upper edge.
        width: of the crop.
        height: of the crop.
    """

    excess: float
    clip: TestClip
    frame: int
    x: int
    y: int
    width: int
    height: int

    def cut(self, picture: Picture) -> Picture:
        """Returns the crop of a picture."""
        return picture[self.y : self.y + self.height, self.x : self.x + self.width]


def write_sheet(path: Path, comparison: Comparison) -> None:
    """Writes the sheet of a comparison whose frames are stored.

    Raises:
        InputError: it has no scored model beside bicubic.
        OutputError: the file cannot be written.
    """
    rows = _rows(comparison)
    if not rows:
        raise InputError(
            f"{path}: no contact sheet, as no model beside bicubic was scored; name one with weights that enlarges by 4."
        )
    write_png(path, _draw(comparison, rows, worst_places(comparison, rows)))


def worst_places(comparison: Comparison, rows: list[str]) -> dict[str, Place]:
    """Returns where each fault of the first model is worst, and where the models differ most.

    Args:
        comparison: with stored frames.
        rows: names of the models; one alone is compared with bicubic.

    Returns:
        Places by the names of the measures and :data:`DIFFERENCE`; without those that exceed the original nowhere.
    """
    places: dict[str, Place] = {}
    border = comparison.settings.crop_border
    for clip in comparison.clips:
        known = [row for row in rows if (row, clip.key) in comparison.frame_folders]
        if not known:
            continue
        compared = known if len(known) > 1 else [BICUBIC, *known]
        for frame, original in enumerate(clip.originals(clip.length(comparison.settings.frames))):
            pictures = {row: _frame(comparison, row, clip, frame) for row in compared}
            maps = fault_maps(pictures[rows[0]], original) if rows[0] in pictures else {}
            maps[DIFFERENCE] = difference(list(pictures.values()))
            room = [side - 2 * border for side in original.shape[1::-1]]
            width, height = (min(most, side) for most, side in zip(_CROP, room, strict=True))
            for name, density in maps.items():
                excess, x, y = densest_box(density, width, height, border=border)
                if excess > (places[name].excess if name in places else 0.0):
                    places[name] = Place(excess, clip, frame, x, y, width, height)
    return places


def _rows(comparison: Comparison) -> list[str]:
    """Names of the models with stored frames, bicubic excepted, in the order of the table."""
    stored = {row for row, _ in comparison.frame_folders}
    return [variant.name for variant in comparison.variants if variant.name in stored and variant.name != BICUBIC]


def _frame(comparison: Comparison, row: str, clip: TestClip, frame: int) -> Picture:
    return read_image(comparison.frame_folders[row, clip.key] / (FRAME_NAME % frame))


def _draw(comparison: Comparison, rows: list[str], places: dict[str, Place]) -> Picture:
    columns = [BICUBIC, *rows, "original"]
    width, height = _CROP
    names = [*LABELS, DIFFERENCE]
    heights = [_CAPTION + (height + _NOTE if name in places else 0) + _PAD for name in names]
    canvas = drawing.blank(_HEADER + sum(heights), _PAD + len(columns) * (width + _PAD))
    title = f"Where {rows[0]} is worst, by measure; crops at 100 %"
    drawing.text(canvas, title, _PAD, _HEADER / 2, size=12, bold=True)
    top = _HEADER
    for name, tall in zip(names, heights, strict=True):
        title, unit = LABELS.get(name, ("where the models differ most", "PSNR here"))
        label = f"{title} ({unit})"
        place = places.get(name)
        words = f"{label}: nowhere above the original" if place is None else f"{label}: {_where(place)}"
        drawing.text(canvas, words, _PAD, top + _CAPTION / 2, size=10, color=drawing.WARM)
        if place is not None:
            for column, crop, note in _crops(comparison, columns, name, place):
                left = _PAD + column * (width + _PAD)
                canvas[top + _CAPTION :, left:][: crop.shape[0], : crop.shape[1]] = crop
                line = top + _CAPTION + height + _NOTE / 2
                end = left + width - drawing.text(canvas, note, left + width, line, size=9, align="right")
                shown = drawing.shortened(columns[column], 9, end - left - _PAD)
                drawing.text(canvas, shown, left, line, size=9, color=drawing.MUTED)
        top += tall
    return canvas


def _crops(comparison: Comparison, columns: list[str], name: str, place: Place) -> Iterator[tuple[int, Picture, str]]:
    """Yields index, crop and value of every column that has this frame."""
    *_, original = place.clip.originals(place.frame + 1)
    reference = place.cut(original)
    for column, row in enumerate(columns):
        if row == "original":
            crop = reference
        elif (row, place.clip.key) in comparison.frame_folders:
            crop = place.cut(_frame(comparison, row, place.clip, place.frame))
        else:
            continue
        if name == DIFFERENCE:
            note = "" if row == "original" else f"{psnr(crop, reference):.2f} dB"
        else:
            value = getattr(measure(crop, reference)[0], name)
            note = "-" if np.isnan(value) else f"{value:.2f}"
        yield column, crop, note


def _where(place: Place) -> str:
    return f"{place.clip.name}, {place.clip.label}, frame {place.frame}, {place.width}x{place.height} at ({place.x}, {place.y})"
