"""Line and point charts as SVG, for a self-contained page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

#: A colour-blind-safe palette (Okabe and Ito, 2008) without yellow, which is too pale on white.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4b2e83", "#7a5c00")
GREY = "#777777"
_DASHES = ("", "6 3", "2 3")  # used in turn when the colours run out
_WIDTH, _HEIGHT = 760, 360
_LEFT, _TOP, _BOTTOM = 62, 16, 48
_LEGEND_CHARACTER = 6.4  # pixels of width per character at 11 px
_TICKS = 6
_FONT = "font-family='system-ui,sans-serif' font-size='11'"


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
        series: what to draw; series without a finite point are skipped.
        x_label: label of the x axis, with unit.
        y_label: label of the y axis, with unit.
        log_x: use a logarithmic x axis; points at or below zero are skipped.
        markers: draw a dot at each point, with its values as a tooltip.
        lines: join the points.
        whole_x: place ticks of the x axis at whole numbers only.

    Returns:
        An ``<svg>`` element, or a paragraph if there is nothing to draw.
    """
    drawn = [(s, points) for s in series if (points := _finite(s, log_x))]
    if not drawn:
        return "<p>Nothing to draw.</p>"
    xs = [math.log10(x) if log_x else x for _, points in drawn for x, _, _ in points]
    ys = [y for _, points in drawn for _, y, _ in points]
    legend = 40 + _LEGEND_CHARACTER * max(len(s.name) for s, _ in drawn)
    width = _WIDTH + legend
    height = max(_HEIGHT, _TOP + _BOTTOM + 18 * len(drawn))
    x_axis = _Axis(min(xs), max(xs), _LEFT, _WIDTH - 16)
    y_axis = _Axis(min(ys), max(ys), height - _BOTTOM, _TOP)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' {_FONT}>",
        f"<rect width='{width:.0f}' height='{height:.0f}' fill='white'/>",
        *_grid(x_axis, y_axis, height, log_x, whole_x),
        f"<text x='{(_LEFT + _WIDTH) / 2}' y='{height - 10}' text-anchor='middle' fill='#333'>{escape(x_label)}</text>",
        f"<text transform='translate(14 {height / 2}) rotate(-90)' text-anchor='middle' fill='#333'>{escape(y_label)}</text>",
    ]
    colored = 0
    for place, (s, points) in enumerate(drawn):
        color, dash = (GREY, "4 3") if s.is_baseline else _style(colored)
        colored += not s.is_baseline
        shown = [(x_axis(math.log10(x) if log_x else x), y_axis(y), x, y, label) for x, y, label in points]
        style = f"stroke='{color}' stroke-dasharray='{dash}'" if dash else f"stroke='{color}'"
        if lines and len(shown) > 1:
            line = " ".join(f"{px:.1f},{py:.1f}" for px, py, *_ in shown)
            parts.append(f"<polyline points='{line}' fill='none' stroke-width='1.8' {style}/>")
        for px, py, x, y, label in shown if markers or len(shown) == 1 else []:
            title = escape(f"{s.name}: {x:.4g}, {y:.4g} {label}".strip())
            parts.append(f"<circle cx='{px:.1f}' cy='{py:.1f}' r='3.6' fill='{color}'><title>{title}</title></circle>")
            if label:
                parts.append(
                    f"<text x='{px + 6:.1f}' y='{py - 5:.1f}' fill='#555' font-size='9'>{escape(label)}</text>"
                )
        y = _TOP + 12 + 18 * place
        parts.append(f"<line x1='{_WIDTH}' x2='{_WIDTH + 22}' y1='{y - 4}' y2='{y - 4}' stroke-width='2.4' {style}/>")
        parts.append(f"<text x='{_WIDTH + 28}' y='{y}' fill='#222'>{escape(s.name)}</text>")
    return "\n".join([*parts, "</svg>"])


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


def _style(index: int) -> tuple[str, str]:
    return COLORS[index % len(COLORS)], _DASHES[index // len(COLORS) % len(_DASHES)]


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
    """Returns round values whose logarithms lie between ``low`` and ``high``: 1, 2 and 5 of each decade, or only 1 for many."""
    factors = (1, 2, 5) if high - low < 4 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    return [f * 10.0**power for power in powers for f in factors if low <= math.log10(f * 10.0**power) <= high]


def _grid(x_axis: _Axis, y_axis: _Axis, height: int, log_x: bool, whole_x: bool) -> list[str]:
    parts = []
    for y in ticks(y_axis.low, y_axis.high):
        at = y_axis(y)
        parts.append(f"<line x1='{_LEFT}' x2='{_WIDTH - 16}' y1='{at:.1f}' y2='{at:.1f}' stroke='#e4e4e4'/>")
        parts.append(f"<text x='{_LEFT - 6}' y='{at + 4:.1f}' text-anchor='end' fill='#555'>{y:g}</text>")
    values = _log_ticks(x_axis.low, x_axis.high) if log_x else ticks(x_axis.low, x_axis.high, whole=whole_x)
    for x in values:
        at = x_axis(math.log10(x) if log_x else x)
        parts.append(f"<line x1='{at:.1f}' x2='{at:.1f}' y1='{_TOP}' y2='{height - _BOTTOM}' stroke='#f0f0f0'/>")
        parts.append(f"<text x='{at:.1f}' y='{height - _BOTTOM + 16}' text-anchor='middle' fill='#555'>{x:g}</text>")
    parts.append(f"<rect x='{_LEFT}' y='{_TOP}' width='{_WIDTH - 16 - _LEFT}' height='{height - _BOTTOM - _TOP}' "
                 "fill='none' stroke='#bbb'/>")  # fmt: skip
    return parts
