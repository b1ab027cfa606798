"""What stands around the picture of an overlay: header, side panel, and the strip of frames below."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr import drawing
from codecvsr.analysis.inspect import Inspection
from codecvsr.analysis.stream_stats import PARTITIONS
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.drawing import Picture

#: Pixels: height of header and strip, width of the panel, and the space between things.
HEADER, STRIP, PANEL, PAD = 52, 118, 292, 20
_STRIP_CELL = (24, 64)  # least and most width of a frame in the strip


def draw_header(canvas: Picture, coded: CodedFrame, inspection: Inspection) -> None:
    """Type, position, time and name on the left; what the stream is on the right."""
    middle, x = HEADER / 2, PAD
    drawing.fill(canvas, x, 12, 28, 28, drawing.TYPES[coded.type])
    drawing.text(canvas, coded.type, x + 14, middle, size=13, color=drawing.GROUND, align="middle", bold=True)
    x += 42
    x += drawing.text(canvas, f"frame {coded.index}", x, middle, size=13, bold=True) + 8
    x += drawing.text(canvas, f"of {inspection.frames}", x, middle, size=11, color=drawing.MUTED) + 26
    facts = [f"decoded as {coded.decode_index}", "reference" if coded.is_reference else "not a reference"]
    if coded.pts_seconds is not None:
        facts.insert(0, f"{coded.pts_seconds:.3f} s")
    for fact in facts:
        x += drawing.text(canvas, fact, x, middle, size=10, color=drawing.MUTED) + 24
    rate = "" if inspection.fps is None else f"   {inspection.fps:.5g} fps"
    size = f"{inspection.width} x {inspection.height}{rate}"
    right = canvas.shape[1] - PAD
    right -= drawing.text(canvas, size, right, middle, size=10, color=drawing.MUTED, align="right") + 24
    name = inspection.video.name if len(inspection.video.name) <= 40 else inspection.video.name[:37] + "..."
    drawing.text(canvas, name, right, middle, size=11, align="right")


def draw_panel(
    canvas: Picture, coded: CodedFrame, inspection: Inspection, partition: npt.NDArray[np.uint8], x: int, gain: int
) -> None:
    """Draws the panel to the right of the picture: QPs, partitions, and the key of the colours."""
    bottom = canvas.shape[0] - STRIP
    drawing.fill(canvas, x, HEADER, PANEL, bottom - HEADER, drawing.PANEL)
    left, width = x + 18, PANEL - 36
    y = _draw_qps(canvas, coded, inspection, left, HEADER + 24, width)
    y = _draw_shares(canvas, partition, left, y + 32, width)
    y = _draw_key(canvas, left, y + 26, width, gain)
    _draw_distances(canvas, inspection, left, y + 34, width)


def _title(canvas: Picture, words: str, note: str, x: int, y: int, width: int) -> None:
    drawing.text(canvas, words, x, y, size=11, bold=True)
    drawing.text(canvas, note, x + width, y, size=9, color=drawing.MUTED, align="right")


def _draw_qps(canvas: Picture, coded: CodedFrame, inspection: Inspection, x: int, y: int, width: int) -> int:
    """The QP heat map with its scale, which is the whole video's; returns where it ends."""
    everything = inspection.qp["all"]
    if coded.qp is None or math.isnan(everything["mean"]):
        _title(canvas, "QP", "not exported", x, y, width)
        return y
    _title(canvas, "QP", f"mean {coded.qp.mean():.1f}", x, y, width)
    rows, columns = coded.qp.shape
    high = min(round(width * rows / columns), 200)
    wide = min(round(high * columns / rows), width)
    low_qp, high_qp = everything["min"], everything["max"]
    colors = drawing.heat(coded.qp.astype(np.float32), low_qp, high_qp)
    y += 18
    left = x + (width - wide) // 2
    canvas[y : y + high, left : left + wide] = cv2.resize(colors, (wide, high), interpolation=cv2.INTER_NEAREST)
    y += high + 12
    ramp = np.linspace(low_qp, high_qp, width - 60, dtype=np.float32)
    canvas[y : y + 8, x + 30 : x + width - 30] = drawing.heat(np.tile(ramp, (8, 1)), low_qp, high_qp)
    drawing.text(canvas, f"{low_qp:.0f}", x, y + 4, size=9, color=drawing.MUTED)
    drawing.text(canvas, f"{high_qp:.0f}", x + width, y + 4, size=9, color=drawing.MUTED, align="right")
    return y + 8


def _draw_shares(canvas: Picture, partition: npt.NDArray[np.uint8], x: int, y: int, width: int) -> int:
    """How much of the frame each kind of block covers; returns where it ends."""
    _title(canvas, "Partitions", "share of area", x, y, width)
    for code, name in PARTITIONS.items():
        y += 22
        share = float((partition == code).mean())
        color = drawing.INTRA if code == 0 else (176, 186, 204)
        drawing.text(canvas, "intra" if code == 0 else name, x, y, size=10)
        drawing.bar(canvas, x + 62, y - 4, width - 62 - 52, 8, share, color)
        drawing.text(canvas, f"{100 * share:.1f} %", x + width, y, size=9, color=drawing.MUTED, align="right")
    return y + 8


def _draw_distances(canvas: Picture, inspection: Inspection, x: int, y: int, width: int) -> None:
    """How far the references of the whole video's vectors are, list 0 above list 1."""
    _title(canvas, "Reference distance", "whole video", x, y, width)
    for distance in ("1", "2", "3", "4", "more"):
        y += 22
        drawing.text(canvas, distance if distance == "more" else f"{distance} frame{'s' * (distance > '1')}", x, y)
        for offset, name, color in ((-6, "past", drawing.WARM), (1, "future", drawing.COOL)):
            share = inspection.reference_distance[name][distance]
            drawing.bar(canvas, x + 72, y + offset, width - 72, 5, share, color)


def _draw_key(canvas: Picture, x: int, y: int, width: int, gain: int) -> int:
    """What arrows and tints mean; returns where it ends."""
    _title(canvas, "Vectors", f"length x {gain}" if gain > 1 else "true length", x, y, width)
    for color, words in ((drawing.WARM, "list 0: to the past"), (drawing.COOL, "list 1: to the future")):
        y += 22
        drawing.arrows(canvas, [((x + 2, y + 4), (x + 30, y - 4), color)])
        drawing.text(canvas, words, x + 46, y, size=10)
    y += 22
    drawing.dot(canvas, (x + 8, y), drawing.WARM, 2)
    drawing.dot(canvas, (x + 24, y), drawing.COOL, 2)
    drawing.text(canvas, "no displacement", x + 46, y, size=10)
    y += 22
    drawing.fill(canvas, x + 6, y - 7, 20, 14, drawing.mix(drawing.INTRA, drawing.PANEL, 0.5))
    drawing.text(canvas, "intra: no vector", x + 46, y, size=10)
    return y


def draw_strip(canvas: Picture, coded: CodedFrame, inspection: Inspection) -> None:
    """The frames around, in display order: type by colour, use by height, decode order below."""
    top = canvas.shape[0] - STRIP
    width = canvas.shape[1] - 2 * PAD
    strip = inspection.strip
    shown = min(len(strip), width // _STRIP_CELL[0])
    cell = min(width // shown, _STRIP_CELL[1])
    first = min(max(coded.index - shown // 2, 0), len(strip) - shown)
    y = top + 18
    drawing.text(canvas, "GOP", PAD, y, size=11, bold=True)
    x = PAD + 50
    for kind, meaning in (("I", "intra"), ("P", "from the past"), ("B", "from both sides")):
        drawing.fill(canvas, x, y - 6, 12, 12, drawing.TYPES[kind])
        x += 18 + drawing.text(canvas, f"{kind}  {meaning}", x + 18, y, size=9, color=drawing.MUTED) + 20
    words = "tall: used as reference   |   white edge: IDR   |   numbers: decode order"
    drawing.text(canvas, words, canvas.shape[1] - PAD, y, size=9, color=drawing.MUTED, align="right")
    base = top + 84
    for place, index in enumerate(range(first, first + shown)):
        item = strip[index]
        left = PAD + place * cell
        high = {"I": 46, "P": 38, "B": 30 if item.is_reference else 20}[item.type]
        color = drawing.TYPES[item.type]
        current = index == coded.index
        if not current:
            color = drawing.mix(color, drawing.GROUND, 0.38)
        drawing.fill(canvas, left + 1, base - high, cell - 3, high, color)
        drawing.text(
            canvas, item.type, left + (cell - 1) / 2, base - 10, size=9, color=drawing.GROUND, align="middle", bold=True
        )
        if item.is_idr:
            drawing.fill(canvas, left + 1, base - high, 2, high, drawing.TEXT)
        if current:
            drawing.frame(canvas, left - 1, base - high - 2, cell + 1, high + 4, drawing.TEXT)
        note = drawing.TEXT if current else drawing.MUTED
        drawing.text(
            canvas, str(item.decode_index), left + (cell - 1) / 2, base + 14, size=8, color=note, align="middle"
        )
