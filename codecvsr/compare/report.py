"""Writes a comparison as one self-contained HTML page, or as Markdown with a folder of pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import cv2

from codecvsr.analysis.drawing import Picture
from codecvsr.compare.charts import Series, chart
from codecvsr.compare.comparison import Comparison
from codecvsr.compare.crops import Box, write_pictures
from codecvsr.compare.outputs import SUFFIXES
from codecvsr.compare.tables import Table, markdown_table, means_table, measurements_table
from codecvsr.compare.variants import BICUBIC
from codecvsr.files import atomic_file, atomic_folder, write_png

_PNG_LEVEL = 9
_TITLE = "Comparison"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2330; background: #fff; margin: 2rem auto; max-width: 1240px; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem } h3 { font-size: 1rem; margin: 1.4rem 0 .4rem }
p.lead { color: #555; margin-top: 0 } .scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; margin: .4rem 0 1rem }
th, td { padding: .28rem .65rem; border-bottom: 1px solid #e6e8ee; text-align: right; white-space: nowrap }
th { border-bottom: 2px solid #c5cad6; font-weight: 600 } td.w, th.w { text-align: left }
td.note { white-space: normal; min-width: 9rem; color: #666 } td.best { font-weight: 700 }
tr.untrained td { color: #999; font-style: italic } tr:hover td { background: #f6f8fb }
img { max-width: 100%; height: auto; border-radius: 4px } svg { max-width: 100%; height: auto }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: 13px } dt { color: #666 } dd { margin: 0 }
"""


def write_report(path: Path, comparison: Comparison, values: dict[str, Any], box: Box | None = None) -> None:
    """Write a report in the format of its suffix.

    Args:
        path: a .html or .md file; Markdown also writes the folder ``NAME_files``.
        comparison: what to report.
        values: ``comparison.to_json()`` in JSON types, embedded in the page.
        box: the crop that the pictures show; see ``crops.write_pictures``.

    Raises:
        OutputError: it cannot be written.
    """
    pictures = list(write_pictures(comparison, box))
    charts = make_charts(comparison)
    if SUFFIXES[path.suffix.lower()] == "html":
        content = _html(comparison, values, pictures, charts)
    else:
        folder = path.with_name(f"{path.stem}_files")
        with atomic_folder(folder, overwrite=True) as part:
            for name, picture in pictures:
                write_png(part / f"{name}.png", picture)
            for number, (_, svg) in enumerate(charts):
                (part / f"chart{number}.svg").write_text(svg, encoding="utf-8")
        content = _markdown(comparison, folder.name, [name for name, _ in pictures], [title for title, _ in charts])
    with atomic_file(path) as part:
        part.write_text(content, encoding="utf-8")


# --- charts -----------------------------------------------------------------------------------------------------------


def make_charts(comparison: Comparison) -> list[tuple[str, str]]:
    """Returns title and SVG of every chart: quality over CRF and over time, then by frame for every clip."""
    means = comparison.means()
    rates = {clip.label: clip.crf for clip in comparison.clips}
    trained = [variant for variant in comparison.variants if not comparison.is_untrained(variant.name)]

    def series(x: Callable[[Any], float | None], *, with_labels: bool) -> list[Series]:
        found = []
        for variant in trained:
            own = [m for m in means if m.row == variant.name and m.values["psnr_rgb"] is not None and x(m) is not None]
            points = tuple((x(m) or 0.0, m.values["psnr_rgb"] or 0.0) for m in own)
            labels = tuple(m.crf for m in own) if with_labels else ()
            found.append(Series(variant.name, points, labels, variant.name == BICUBIC))
        return found

    charts = []
    if len({rate for rate in rates.values() if rate is not None}) > 1:
        title = "RGB PSNR over CRF, mean over the clips"
        charts.append((title, chart(series(lambda m: rates[m.crf], with_labels=False), "CRF", "PSNR (dB)")))
    over_time = series(lambda m: m.values["ms_per_frame"], with_labels=True)
    title = "RGB PSNR over time per frame"
    charts.append((title, chart(over_time, "milliseconds per frame", "PSNR (dB)", log_x=True, lines=False)))
    for clip in comparison.clips:
        lines = []
        for variant in trained:
            measurement = comparison.measurement(variant.name, clip.key)
            if measurement is not None and not variant.is_ablation:
                lines.append(Series(variant.name, tuple(enumerate(measurement.per_frame)), (), variant.name == BICUBIC))
        title = f"RGB PSNR of every frame: {clip.name}, {clip.label}"
        if any(line.points for line in lines):
            charts.append((title, chart(lines, "frame", "PSNR (dB)", markers=False, whole_x=True)))
    return charts


# --- HTML -------------------------------------------------------------------------------------------------------------


def _html(
    comparison: Comparison,
    values: dict[str, Any],
    pictures: list[tuple[str, Picture]],
    charts: list[tuple[str, str]],
) -> str:
    data = json.dumps(values, allow_nan=False).replace("<", "\\u003c")
    parts = [
        "<!doctype html>",
        "<html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{_TITLE}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_TITLE}</h1><p class='lead'>{escape(_lead(comparison))}</p>",
        *(_html_table(means_table(comparison, label), "h2") for label in comparison.labels),
        *_html_failures(comparison),
        *(f"<h2>{escape(title)}</h2>\n<div class='scroll'>{svg}</div>" for title, svg in charts),
    ]
    for name, picture in pictures:
        encoded = base64.b64encode(_png(picture)).decode("ascii")
        parts.append(f"<h2>{escape(name)}</h2><img alt='{escape(name)}' src='data:image/png;base64,{encoded}'>")
    parts.append(_html_table(measurements_table(comparison), "h2"))
    entries_by_key = {key: value for key, value in values["protocol"].items() if not isinstance(value, dict)}
    entries_by_key |= {
        key: ", ".join(f"{k} {v}" for k, v in values["protocol"][key].items()) for key in ("machine", "versions")
    }
    entries = "".join(f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in entries_by_key.items())
    parts.append(f"<h2>How it was measured</h2><dl>{entries}</dl>")
    parts.append(f"<script type='application/json' id='data'>{data}</script></body></html>\n")
    return "\n".join(parts)


def _html_table(table: Table, heading: str) -> str:
    last = len(table.header) - 1

    def kind(line: int, column: int) -> str:
        names = ["w"] if column < table.words or column == last else []
        names += ["note"] if column == last else []
        names += ["best"] if (line, column) in table.best else []
        return f" class='{' '.join(names)}'" if names else ""

    head = "".join(f"<th{kind(-1, column)}>{escape(name)}</th>" for column, name in enumerate(table.header))
    lines = []
    for index, texts in enumerate(table.lines):
        cells = "".join(f"<td{kind(index, column)}>{escape(text)}</td>" for column, text in enumerate(texts))
        lines.append(f"<tr{' class=untrained' if texts[-1].startswith('untrained') else ''}>{cells}</tr>")
    return (
        f"<{heading}>{escape(table.title)}</{heading}>\n<div class='scroll'><table><thead><tr>{head}</tr></thead>\n"
        f"<tbody>{chr(10).join(lines)}</tbody></table></div>"
    )


def _html_failures(comparison: Comparison) -> list[str]:
    if not comparison.failed:
        return []
    items = [f"<li><b>{escape(f.row)}</b> {escape(f.clip)}: {escape(f.error)}</li>" for f in comparison.failed]
    return [f"<h2>Not measured</h2><ul>{''.join(items)}</ul>"]


def _png(picture: Picture) -> bytes:
    _, encoded = cv2.imencode(".png", picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
    return encoded.tobytes()


def _lead(comparison: Comparison) -> str:
    names = list(dict.fromkeys(clip.name for clip in comparison.clips))
    clips = f"{len(names)} clips" if len(names) > 1 else f"clip {names[0]}"
    return (
        f"{len(comparison.variants)} rows on {clips} at {', '.join(comparison.labels)}. PSNR in dB and SSIM per frame on 8-bit "
        "values, then averaged. Rows marked 'untrained' have random weights: only their speed and memory "
        "can be compared."
    )


# --- Markdown ---------------------------------------------------------------------------------------------------------


def _markdown(comparison: Comparison, folder: str, pictures: list[str], charts: list[str]) -> str:
    parts = [f"# {_TITLE}", _lead(comparison)]
    for label in comparison.labels:
        table = means_table(comparison, label)
        parts += [f"## {table.title}", markdown_table(table)]
    if comparison.failed:
        parts += ["## Not measured", "\n".join(f"- **{f.row}** {f.clip}: {f.error}" for f in comparison.failed)]
    parts += [f"## {title}\n\n![{title}]({folder}/chart{number}.svg)" for number, title in enumerate(charts)]
    parts += [f"## {name}\n\n![{name}](<{folder}/{name}.png>)" for name in pictures]
    table = measurements_table(comparison)
    parts += [f"## {table.title}", markdown_table(table)]
    return "\n\n".join(parts) + "\n"
