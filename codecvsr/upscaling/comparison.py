"""Pictures and videos of before and after: bicubic on the left, the network on the right, labelled and right side up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codecvsr import drawing
from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.errors import InputError, OutputError
from codecvsr.files import atomic_file, check_writable, read_image, write_png
from codecvsr.metrics.artifact_places import densest_box
from codecvsr.metrics.planes import luma
from codecvsr.upscaling.frame_names import frame_names
from codecvsr.upscaling.options import UpscaleOptions
from codecvsr.video.image_writer import is_image_name
from codecvsr.video.probe import Media
from codecvsr.video.resize import resample
from codecvsr.video.scan import Scan, scan
from codecvsr.video.seek import frames_between
from codecvsr.video.size_changes import fit, shape_at
from codecvsr.video.upright import upright

_SIDE = 640, 720  # maximum width and height of a side
_LINE = 2  # pixels between the sides
_LABEL, _TEXT = 28, 10  # height in pixels of the band of labels, and of their capitals
_SAMPLES = 48  # frames of a video, at most, in which the place is sought
_WHITE = (255, 255, 255)

Picture = npt.NDArray[np.uint8]


def check_comparison(path: Path) -> None:
    """Checks that a comparison has the suffix of a picture or a video.

    Raises:
        InputError: it has another.
    """
    if path.suffix.lower() not in (".png", ".mp4"):
        raise InputError(f"{path}: a comparison ends in .png (one frame) or .mp4 (all frames).")


def check_place(path: Path, others: Sequence[Path]) -> None:
    """Checks that a comparison or preview can be written and does not replace another file of the run.

    Args:
        path: of the comparison or preview.
        others: files that it must not replace and folders that it must not be in: input, output, other pictures.

    Raises:
        OutputError: it would, or its folder cannot be written to.
    """
    place = path.resolve()
    for other in others:
        is_same = path.exists() and other.exists() and path.samefile(other)
        if is_same or place == other.resolve() or place.parent == other.resolve():
            raise OutputError(f"{path}: would replace a file of {other}, which this run needs; choose another path.")
    check_writable(path)


def labels_of(model: str | Path) -> tuple[str, str]:
    """Returns the labels of the two sides for a model's name or file."""
    name = Path(model).stem if isinstance(model, Path) or "/" in model else model
    return "before (bicubic)", f"after ({name})"


def split_view(before: Picture, after: Picture, labels: tuple[str, str], rotation: Sequence[int] | None) -> Picture:
    """Returns a whole frame, right side up: its left side from before, its right side from after, labelled inside.

    Args:
        before: the small picture.
        after: the enlarged one, as stored.
        labels: of the two sides.
        rotation: the display matrix; None for none.
    """
    after = upright(after, rotation)
    height, width = after.shape[:2]
    middle = width // 2
    joined = resample(upright(before, rotation), height, width).copy()
    joined[:, middle:] = after[:, middle:]
    drawing.fill(joined, max(middle - _LINE // 2, 0), 0, _LINE, height, _WHITE)
    for label, left in zip(labels, (0, middle + _LINE), strict=True):
        band = joined[: min(_LABEL, height), left : left + _width(label)]
        drawing.blend(band, drawing.GROUND, np.ones(band.shape[:2], np.float32), 0.75)
        drawing.text(band, label, _TEXT, _LABEL / 2, size=_TEXT)
    return joined


def write_comparison(media: Media, output: Path, pictures: str | None, target: Path, options: UpscaleOptions) -> None:
    """Writes a comparison of an input and its output, pixel for pixel, where and, in a picture, when they differ most.

    Args:
        media: the input.
        output: the upscaled video, picture or folder of frames.
        pictures: pattern of the names of PNG files, empty for the usual one; None for a video or a picture.
        target: a .png (one frame) or .mp4 (all of them).
        options: of the run.

    Raises:
        OutputError: the file cannot be written.
    """
    found = scan(media, start=options.start, end=options.end, damage=options.damage, tonemap=options.tonemap)
    run = _Run(media, output, pictures, options, found)
    labels = labels_of(options.model)
    step = -(-len(run.found) // _SAMPLES)
    place, pair = _most_different(run.pairs(step))
    if target.suffix.lower() == ".png":
        write_png(target, _sides(place, *pair, labels))
        return
    rate = min(max(Fraction(media.rate).limit_denominator(1001), Fraction(1)), Fraction(1000))
    with atomic_file(target) as part:
        encode_h264(
            (_sides(place, *pair, labels) for pair in run.pairs()),
            part,
            EncodeSettings(18, preset="veryfast", fps=rate),
        )


@dataclass(frozen=True)
class _Run:
    """The frames of an input and of its output."""

    media: Media
    output: Path
    pictures: str | None
    options: UpscaleOptions
    found: Scan

    def pairs(self, step: int = 1) -> Iterator[tuple[Picture, Picture]]:
        """Yields every ``step``-th frame, enlarged by bicubic and by the network, both right side up."""
        damage, rotation = self.options.damage, self.found.rotation
        before = (self.found.without_hidden(f.rgb) for f in frames_between(self.media, self.found, damage))
        for index, (small, large) in enumerate(zip(before, self._after(), strict=True)):
            if index % step == 0:
                height, width = large.shape[:2]
                small = fit(small, height, width, shape_at(self.found.later_sizes, index))
                yield upright(small, rotation), upright(large, rotation)

    def _after(self) -> Iterator[Picture]:
        if self.pictures is not None:
            names = frame_names(self.media, len(self.found), self.found.first, self.pictures)
            return (read_image(self.output / name) for name in names)
        if is_image_name(self.output):
            return iter((read_image(self.output),))
        return (frame.rgb for frame in Media.open(self.output).frames())


def _most_different(pairs: Iterator[tuple[Picture, Picture]]) -> tuple[tuple[slice, slice], tuple[Picture, Picture]]:
    """Returns the part of the frame, and the pair of frames, that differ most; at most :data:`_SIDE` pixels."""
    most = -1.0
    for before, after in pairs:
        height, width = after.shape[:2]
        width, height = min(_SIDE[0], width), min(_SIDE[1], height)
        error = np.square(luma(after) - luma(before)).astype(np.float32)
        difference, x, y = densest_box(error, width, height)
        if difference > most:
            most, chosen = difference, ((slice(y, y + height), slice(x, x + width)), (before, after))
    return chosen


def _sides(place: tuple[slice, slice], before: Picture, after: Picture, labels: tuple[str, str]) -> Picture:
    """Returns both sides of a part of the frame below their labels; its sides are even, as H.264 needs them."""
    height, width = after[place].shape[:2]
    room = max(width, *map(_width, labels))
    room += room % 2
    canvas = drawing.blank(_LABEL + height + height % 2, 2 * room + _LINE)
    for picture, label, left in zip((before, after), labels, (0, room + _LINE), strict=True):
        drawing.text(canvas, label, left + _TEXT, _LABEL / 2, size=_TEXT)
        canvas[_LABEL : _LABEL + height, left : left + width] = picture[place]
    drawing.fill(canvas, room, 0, _LINE, canvas.shape[0], _WHITE)
    return canvas


def _width(label: str) -> int:
    return drawing.width(label, _TEXT) + 2 * _TEXT
