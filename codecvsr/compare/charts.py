"""Line, point and bar charts as SVG that follow the reader's light or dark theme."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

MAX_LINES = 6  #: in one chart: more cannot be told apart
_COLORS = MAX_LINES  # classes c0 to c5 of the style; the baseline is grey
_WIDTH, _HEIGHT = 760, 380
_LEFT, _TOP, _BOTTOM = 66, 16, 52
_CHARACTER = 7.6  # pixels of width per character at the size of labels
_LEGEND_LINE, _BAR = 22, 15  # pixels
_TICKS = 6
_MIN_LOG_TICKS = 3
_FONT = "font-family='system-ui,sans-serif' font-size='13'"
#: Colours that people with colour-vision deficiencies can tell apart (after Okabe and Ito, 2008), darker on white, lighter on black.
_STYLE = """<style>
.chart{--ground:#fff;--ink:#1d2330;--muted:#5a6273;--grid:#e4e7ee;--grey:#7a7f8a;
--c0:#0072b2;--c1:#d55e00;--c2:#007a5a;--c3:#b0468c;--c4:#8a6200;--c5:#4b2e83}
@media (prefers-color-scheme:dark){.chart{--ground:#171b24;--ink:#e6e9f0;--muted:#a5aebf;--grid:#2c3342;--grey:#9aa1ae;
--c0:#5cb8ff;--c1:#ff9a52;--c2:#3fd6a8;--c3:#f09fd0;--c4:#e8c14a;--c5:#bba4f2}}
</style>"""


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: for the legend.
        points: (x, y); points that are not finite are skipped.
        labels: text beside each point; empty for none.
        is_baseline: drawn in grey.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    labels: tuple[str, ...] = ()
    is_baseline: bool = False


def chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    markers: bool = True,
    lines: bool = True,
    whole_x: bool = False,
) -> str:
    """Draw a chart.

    Args:
        series: what to draw, at most :data:`MAX_LINES`; series without a finite point are skipped.
        x_label: label of the x axis, with unit.
        y_label: label of the y axis, with unit.
        log_x: use a logarithmic x axis; points at or below zero are skipped.
        markers: draw a dot at each point, with its values as a tooltip.
        lines: join the points.
        whole_x: place ticks of the x axis at whole numbers only.

    Returns:
        An ``<svg>`` element, or a paragraph if there is nothing to draw.

    Raises:
        ValueError: there are too many series.
    """
    if len(series) > MAX_LINES:
        raise ValueError(f"{len(series)} series; at most {MAX_LINES} can be told apart: draw several charts.")
    drawn = [(s, points) for s in series if (points := _finite(s, log_x))]
    if not drawn:
        return "<p>Nothing to draw.</p>"
    xs = [math.log10(x) if log_x else x for _, points in drawn for x, _, _ in points]
    ys = [y for _, points in drawn for _, y, _ in points]
    width = _WIDTH + 44 + _CHARACTER * max(len(s.name) for s, _ in drawn)
    x_axis = _Axis(min(xs), max(xs), _LEFT, _WIDTH - 16)
    y_axis = _Axis(min(ys), max(ys), _HEIGHT - _BOTTOM, _TOP)
    parts = [*_opened(width, _HEIGHT), *_grid(x_axis, y_axis, log_x, whole_x), *_axis_labels(x_label, y_label)]
    colors = itertools.count()
    labels = _Labels()
    for place, (s, points) in enumerate(drawn):
        color = "var(--grey)" if s.is_baseline else f"var(--c{next(colors) % _COLORS})"
        dash = " stroke-dasharray='5 4'" if s.is_baseline else ""
        shown = [(x_axis(math.log10(x) if log_x else x), y_axis(y), x, y, label) for x, y, label in points]
        if lines and len(shown) > 1:
            line = " ".join(f"{px:.1f},{py:.1f}" for px, py, *_ in shown)
            parts.append(f"<polyline points='{line}' fill='none' stroke-width='2' stroke='{color}'{dash}/>")
        for px, py, x, y, label in shown if markers or len(shown) == 1 else []:
            title = escape(f"{s.name}: {x:.4g}, {y:.4g} {label}".strip())
            parts.append(f"<circle cx='{px:.1f}' cy='{py:.1f}' r='4' fill='{color}'><title>{title}</title></circle>")
            labels.add_point(px, py, label)
        y = _TOP + 14 + _LEGEND_LINE * place
        key = f"x1='{_WIDTH}' x2='{_WIDTH + 22}' y1='{y - 4}' y2='{y - 4}'"
        parts.append(f"<line {key} stroke-width='3' stroke='{color}'{dash}/>")
        parts.append(_text(_WIDTH + 30, y, s.name))
    return "\n".join([*parts, *labels.drawn(), "</svg>"])


def bar_chart(bars: Sequence[tuple[str, Sequence[float]]], kinds: Sequence[str], unit: str) -> str:
    """Draw horizontal bars in groups.

    Args:
        bars: name and values of every group, one value per kind; NaN for none.
        kinds: what the values of a group are, for the legend; at most :data:`MAX_LINES`.
        unit: label of the values.

    Returns:
        An ``<svg>`` element, or a paragraph if there is nothing to draw.

    Raises:
        ValueError: there are too many kinds.
    """
    if len(kinds) > MAX_LINES:
        raise ValueError(f"{len(kinds)} kinds of bars; at most {MAX_LINES} can be told apart.")
    values = [value for _, group in bars for value in group if math.isfinite(value)]
    if not values:
        return "<p>Nothing to draw.</p>"
    left = 24 + _CHARACTER * max(len(name) for name, _ in bars)
    group_height = _BAR * len(kinds) + 14
    height = _TOP + max(group_height * len(bars), _LEGEND_LINE * len(kinds)) + _BOTTOM
    axis = _Axis(min(0.0, *values), max(0.0, *values), left, left + 0.6 * _WIDTH)
    key_x = axis(axis.high) + 70
    parts = _opened(key_x + 30 + _CHARACTER * max(map(len, kinds)), height)
    for tick in ticks(axis.low, axis.high):
        parts += _tick(axis(tick), height, f"{tick:g}")
    for place, (name, group) in enumerate(bars):
        top = _TOP + place * group_height
        parts.append(_text(left - 10, top + _BAR * len(kinds) / 2 + 5, name, align="end"))
        for row, value in enumerate(group):
            if math.isfinite(value):
                x, end, y = axis(min(value, 0.0)), axis(max(value, 0.0)), top + _BAR * row
                box = f"x='{x:.1f}' y='{y + 1}' width='{max(end - x, 1):.1f}' height='{_BAR - 2}'"
                title = escape(f"{name}, {kinds[row]}: {value:.3f}")
                parts.append(f"<rect {box} fill='var(--c{row})'><title>{title}</title></rect>")
                parts.append(_text(end + 6, y + 12, f"{value:.3f}", size=11, color="muted"))
    zero = axis(0.0)
    parts.append(f"<line x1='{zero:.1f}' x2='{zero:.1f}' y1='{_TOP - 6}' y2='{height - _BOTTOM}' stroke='var(--ink)'/>")
    for row, kind in enumerate(kinds):
        y = _TOP + 12 + _LEGEND_LINE * row
        parts.append(f"<rect x='{key_x:.1f}' y='{y - 11}' width='16' height='12' fill='var(--c{row})'/>")
        parts.append(_text(key_x + 24, y, kind))
    parts.append(_text((left + axis(axis.high)) / 2, height - 12, unit, align="middle"))
    return "\n".join([*parts, "</svg>"])


def _opened(width: float, height: float) -> list[str]:
    size = f"viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' height='{height:.0f}'"
    return [
        f"<svg xmlns='http://www.w3.org/2000/svg' class='chart' {size} {_FONT}>",
        _STYLE,
        f"<rect width='{width:.0f}' height='{height:.0f}' fill='var(--ground)'/>",
    ]


def _text(x: float, y: float, words: str, *, size: int = 13, color: str = "ink", align: str = "start") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{align}' fill='var(--{color})'>{escape(words)}</text>"


class _Labels:
    """Labels of points, each where it covers no other; one without room is left to the tooltip."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float, str]] = []

    def add_point(self, x: float, y: float, label: str) -> None:
        self._points.append((x, y, label))

    def drawn(self) -> Iterator[str]:
        """Yields the labels; dots are never covered."""
        boxes = [(x - 5, y - 5, x + 5, y + 5) for x, y, _ in self._points]
        for x, y, label in self._points:
            width = 7.0 * len(label)
            for left, base in ((x + 8, y + 4), (x - 8 - width, y + 4), (x - width / 2, y - 9), (x - width / 2, y + 19)):
                box = (left, base - 10, left + width, base + 2)
                is_inside = _LEFT < left and box[2] < _WIDTH - 16 and _TOP < box[1] and base < _HEIGHT - _BOTTOM
                if label and is_inside and not any(_overlap(box, other) for other in boxes):
                    boxes.append(box)
                    yield _text(left, base, label, size=11, color="muted")
                    break


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


class _Axis:
    """Maps values to pixels; the range is a little wider than the data."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        margin = 0.06 * (high - low) or 0.5
        self.low, self.high = low - margin, high + margin
        self._start, self._stop = start, stop

    def __call__(self, value: float) -> float:
        return self._start + (value - self.low) / (self.high - self.low) * (self._stop - self._start)


def _finite(series: Series, log_x: bool) -> list[tuple[float, float, str]]:
    labels = series.labels or ("",) * len(series.points)
    return [
        (x, y, label)
        for (x, y), label in zip(series.points, labels, strict=True)
        if math.isfinite(x) and math.isfinite(y) and (x > 0 or not log_x)
    ]


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Returns about :data:`_TICKS` round values between ``low`` and ``high``, spaced by 1, 2 or 5 times a power of ten."""
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    if whole:
        step = max(1.0, step)
    first = math.ceil(low / step)
    return [round(index * step, 10) for index in range(first, math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Returns round values whose logarithms lie between ``low`` and ``high``.

    They are 1, 2 and 5 of each decade, only 1 for many decades, and evenly spaced for a small part of one.
    """
    factors = (1, 2, 5) if high - low < 4 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    found = [f * 10.0**power for power in powers for f in factors if low <= math.log10(f * 10.0**power) <= high]
    return found if len(found) >= _MIN_LOG_TICKS else ticks(10.0**low, 10.0**high)


def _tick(at: float, height: float, label: str) -> list[str]:
    """A vertical line of the grid with its value below."""
    line = f"<line x1='{at:.1f}' x2='{at:.1f}' y1='{_TOP}' y2='{height - _BOTTOM}' stroke='var(--grid)'/>"
    return [line, _text(at, height - _BOTTOM + 18, label, size=12, color="muted", align="middle")]


def _grid(x_axis: _Axis, y_axis: _Axis, log_x: bool, whole_x: bool) -> list[str]:
    parts = []
    for y in ticks(y_axis.low, y_axis.high):
        at = y_axis(y)
        parts.append(f"<line x1='{_LEFT}' x2='{_WIDTH - 16}' y1='{at:.1f}' y2='{at:.1f}' stroke='var(--grid)'/>")
        parts.append(_text(_LEFT - 8, at + 4, f"{y:g}", size=12, color="muted", align="end"))
    values = _log_ticks(x_axis.low, x_axis.high) if log_x else ticks(x_axis.low, x_axis.high, whole=whole_x)
    for x in values:
        parts += _tick(x_axis(math.log10(x) if log_x else x), _HEIGHT, f"{x:g}")
    return parts


def _axis_labels(x_label: str, y_label: str) -> list[str]:
    upright = f"transform='translate(16 {(_HEIGHT - _BOTTOM) / 2}) rotate(-90)' text-anchor='middle' fill='var(--ink)'"
    return [
        _text((_LEFT + _WIDTH) / 2, _HEIGHT - 12, x_label, align="middle"),
        f"<text {upright}>{escape(y_label)}</text>",
    ]
