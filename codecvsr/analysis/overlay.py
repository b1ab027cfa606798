"""Pictures of what the codec says, drawn over decoded frames: vectors, partitions, QPs and the frames around."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr import drawing
from codecvsr.analysis.inspect import Inspection
from codecvsr.analysis.panels import HEADER, PAD, PANEL, STRIP, draw_header, draw_panel, draw_strip
from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.reader import read_video
from codecvsr.constants import CELL
from codecvsr.drawing import Picture
from codecvsr.errors import InputError
from codecvsr.events import Progress
from codecvsr.files import atomic_file, write_png
from codecvsr.motion.field import rasterise

_TARGET_WIDTH = 1280  # small pictures are enlarged by a whole number to at least this
_MAXIMUM = (1080, 1600)  # and no picture to more than this height and width
_MIN_HEIGHT = 660  # of the row with picture and panel: what the panel needs
_MIN_WIDTH = 640  # left to the picture: what the header needs
_MIN_ARROW_SPACING = 26  # pixels between macroblocks that get arrows
#: Dims the picture under the drawing: darker highlights, visible shadows, paler colours.
_TONE = np.rint(255 * 0.7 * (np.arange(256) / 255) ** 0.85).astype(np.uint8)
_LONG_ARROW = 40.0  # pixels: arrows are lengthened by 2, 4 or 8 while nine tenths of them stay below


@dataclass(frozen=True)
class Layout:
    """Where things are on the canvas.

    Attributes:
        factor: how much the decoded picture is enlarged.
        picture: (height, width) of the enlarged picture.
        canvas: (height, width), multiples of 2.
    """

    factor: float
    picture: tuple[int, int]
    canvas: tuple[int, int]

    @property
    def corner(self) -> tuple[int, int]:
        """(x, y) of the enlarged picture's upper left corner."""
        free_height = self.canvas[0] - HEADER - STRIP - self.picture[0]
        free_width = self.panel - PAD - PAD - self.picture[1]
        return PAD + max(free_width // 2, 0), HEADER + max(free_height // 2, 0)

    @property
    def panel(self) -> int:
        """Where the panel begins, x."""
        return PAD + max(self.picture[1], _MIN_WIDTH) + PAD

    @classmethod
    def of(cls, height: int, width: int) -> Layout:
        """The layout for a video of ``width`` x ``height``."""
        factor = float(max(math.ceil(_TARGET_WIDTH / width), 1))
        factor = min(factor, _MAXIMUM[0] / height, _MAXIMUM[1] / width)
        picture = max(round(height * factor), 1), max(round(width * factor), 1)
        rows = HEADER + max(picture[0], _MIN_HEIGHT) + STRIP
        columns = PAD + max(picture[1], _MIN_WIDTH) + PAD + PANEL + PAD
        return cls(factor, picture, (rows + rows % 2, columns + columns % 2))


def write_overlay(
    inspection: Inspection,
    target: Path,
    *,
    frame: int | None = None,
    allow_damaged: bool = False,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Draw one frame (PNG) or every frame (MP4, H.264 at the video's mean rate, no sound) of an inspected video.

    Args:
        inspection: what ``inspect_video`` said of the file.
        target: a file that ends in ``.png`` or ``.mp4``.
        frame: for a PNG, which frame; by default the inter-coded one nearest to the middle.
        allow_damaged: as it was for ``inspect_video``.
        progress: wraps the pictures of a video to show progress.

    Returns:
        ``width``, ``height`` and ``frames`` of what was written, and ``frame`` for a PNG.

    Raises:
        InputError: there is no such frame, or the file's ending is another.
        OutputError: the file cannot be written.
    """
    kind = target.suffix.lower()
    if kind not in (".png", ".mp4"):
        raise InputError(f"{target}: an overlay is a .png (one frame) or an .mp4 (all of them); choose one of these.")
    layout = Layout.of(inspection.height, inspection.width)
    size = {"width": layout.canvas[1], "height": layout.canvas[0]}
    frames = read_video(inspection.video, allow_damaged=allow_damaged)
    if kind == ".mp4":
        pictures: Iterable[Picture] = (draw(coded, inspection, layout) for coded in frames)
        if progress is not None:
            pictures = progress(pictures, "drawing", inspection.frames)
        fps = Fraction(inspection.fps or 24).limit_denominator(1001)
        settings = EncodeSettings(crf=18, preset="veryfast", fps=min(max(fps, Fraction(1)), Fraction(1000)))
        with atomic_file(target) as part:
            encode_h264(pictures, part, settings)
        return {**size, "frames": inspection.frames}
    index = middle_frame(inspection) if frame is None else frame
    if not 0 <= index < inspection.frames:
        raise InputError(f"{inspection.video}: has no frame {index}; its frames are 0 to {inspection.frames - 1}.")
    for coded in frames:
        if coded.index == index:
            write_png(target, draw(coded, inspection, layout))
            break
    return {**size, "frames": 1, "frame": index}


def middle_frame(inspection: Inspection) -> int:
    """The P- or B-frame nearest to the middle; the middle where all are intra-coded."""
    middle = inspection.frames // 2
    inter = [i for i, frame in enumerate(inspection.strip) if frame.type != "I"]
    return min(inter, key=lambda i: abs(i - middle)) if inter else middle


def draw(coded: CodedFrame, inspection: Inspection, layout: Layout) -> Picture:
    """One frame with all that is known of it, (H, W, 3) uint8 RGB of ``layout.canvas``."""
    canvas = drawing.blank(*layout.canvas)
    partition = rasterise(coded.vectors, coded.height, coded.width).partition
    gain = _arrow_gain(inspection, layout.factor)
    x, y = layout.corner
    height, width = layout.picture
    canvas[y : y + height, x : x + width] = _annotated(coded, partition, layout, gain)
    draw_header(canvas, coded, inspection)
    draw_panel(canvas, coded, inspection, partition, layout.panel, gain)
    draw_strip(canvas, coded, inspection)
    return canvas


def _arrow_gain(inspection: Inspection, factor: float) -> int:
    """How much longer than displacements arrows are drawn, so that usual ones can be seen; the same in all frames."""
    usual = max((v["p90"] for v in inspection.vector_pixels.values() if not math.isnan(v["p90"])), default=0.0)
    return next((gain for gain in (8, 4, 2) if usual * factor * gain <= _LONG_ARROW), 1)


def _annotated(coded: CodedFrame, partition: npt.NDArray[np.uint8], layout: Layout, gain: int) -> Picture:
    """The enlarged picture, toned down, with intra tint, partition lines and vectors."""
    height, width = layout.picture
    shrink = layout.factor < 1
    large = cv2.resize(coded.rgb, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)
    toned = cv2.LUT(large, _TONE).astype(np.float32)
    grey = toned.mean(axis=2, keepdims=True)
    picture: Picture = np.ascontiguousarray((0.7 * toned + 0.3 * grey).astype(np.uint8))
    intra = np.repeat(np.repeat(partition == 0, CELL, axis=0), CELL, axis=1)[: coded.height, : coded.width]
    if coded.type != "I":
        mask = cv2.resize(intra.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        drawing.blend(picture, drawing.INTRA, mask.astype(np.float32), 0.24)
    _draw_partitions(picture, coded, layout.factor)
    _draw_vectors(picture, coded, layout.factor, gain)
    return picture


def _draw_partitions(picture: Picture, coded: CodedFrame, factor: float) -> None:
    """Thin lines around macroblocks (faint) and around the blocks that have a vector."""
    height, width = picture.shape[:2]
    faint, clear = np.zeros((2, height, width), np.float32)
    for x in range(16, coded.width, 16):
        faint[:, min(round(x * factor), width - 1)] = 1
    for y in range(16, coded.height, 16):
        faint[min(round(y * factor), height - 1)] = 1
    for v in coded.vectors:
        w, h = int(v["w"]), int(v["h"])
        if w < 16 or h < 16:
            x0, y0 = int(v["dst_x"]) - w // 2, int(v["dst_y"]) - h // 2
            ends = [round(value * factor) for value in (x0, y0, x0 + w, y0 + h)]
            cv2.rectangle(clear, (ends[0], ends[1]), (ends[2], ends[3]), 1, 1)
    drawing.blend(picture, (255, 255, 255), faint, 0.13 if factor >= 2 else 0.05)
    drawing.blend(picture, (255, 255, 255), clear, 0.34 if factor >= 2 else 0.14)


def _draw_vectors(picture: Picture, coded: CodedFrame, factor: float, gain: int) -> None:
    """Arrows from the blocks' centres, long ones first; where macroblocks are small on screen, of every n-th only."""
    every = max(math.ceil(_MIN_ARROW_SPACING / (16 * factor)), 1)
    vectors = coded.vectors
    if every > 1:
        shown = ((vectors["dst_x"] // 16) % every == 0) & ((vectors["dst_y"] // 16) % every == 0)
        vectors = vectors[shown]
    scale = np.maximum(vectors["motion_scale"], 1)
    dx, dy = vectors["motion_x"] / scale, vectors["motion_y"] / scale
    strokes = []
    for i in np.argsort(-np.hypot(dx, dy), kind="stable"):
        v = vectors[i]
        start = (float(v["dst_x"]) * factor, float(v["dst_y"]) * factor)
        end = (start[0] + float(dx[i]) * factor * gain, start[1] + float(dy[i]) * factor * gain)
        strokes.append((start, end, drawing.WARM if v["source"] < 0 else drawing.COOL))
    drawing.arrows(picture, strokes)
