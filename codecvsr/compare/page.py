"""A comparison as one self-contained HTML page, in light and dark."""

from __future__ import annotations

import base64
import json
from html import escape
from typing import Any

import cv2

from codecvsr.compare.comparison import Comparison
from codecvsr.compare.tables import (
    Table,
    artifacts_by_clip_table,
    artifacts_table,
    means_table,
    measurements_table,
)
from codecvsr.compare.titles import lead, report_title
from codecvsr.drawing import Picture

_PNG_LEVEL = 9
_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1d2330; --muted: #5a6273; --rule: #e4e7ee; --strong: #c5cad6; --hover: #f4f6fa }
@media (prefers-color-scheme: dark) { :root { --ground: #171b24; --ink: #e6e9f0; --muted: #a5aebf; --rule: #2c3342; --strong: #4a5468; --hover: #1f2531 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 2rem auto; max-width: 1240px; padding: 0 1rem }
h1 { font-size: 1.6rem; line-height: 1.25; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem }
p.lead { color: var(--muted); margin-top: 0; max-width: 52rem } .scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; margin: .4rem 0 1rem }
th, td { padding: .28rem .65rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap }
th { border-bottom: 2px solid var(--strong); font-weight: 600 } td.w, th.w { text-align: left }
td.note { white-space: normal; min-width: 9rem; color: var(--muted) } td.best { font-weight: 700 }
tr.untrained td { color: var(--muted); font-style: italic } tbody tr:hover td { background: var(--hover) }
img { max-width: 100%; height: auto; border-radius: 4px } svg { max-width: 100%; min-width: 680px; height: auto }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: 13px } dt { color: var(--muted) } dd { margin: 0; overflow-wrap: anywhere }
"""


def html_page(
    comparison: Comparison,
    values: dict[str, Any],
    pictures: list[tuple[str, Picture]],
    charts: list[tuple[str, str]],
) -> str:
    """Returns the page; its data are in an element called ``data``.

    Args:
        comparison: what to report.
        values: ``comparison.to_json()`` in JSON types.
        pictures: caption and crops of every clip.
        charts: title and SVG of every chart.
    """
    data = json.dumps(values, allow_nan=False).replace("<", "\\u003c")
    title = escape(report_title(comparison))
    parts = [
        "<!doctype html>",
        "<html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        "<meta name='color-scheme' content='light dark'>",
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1><p class='lead'>{escape(lead(comparison))}</p>",
        *(_html_table(means_table(comparison, label), "h2") for label in comparison.labels),
        *_faults(comparison),
        *_html_failures(comparison),
        *(f"<h2>{escape(caption)}</h2>\n<div class='scroll'>{svg}</div>" for caption, svg in charts),
    ]
    for name, picture in pictures:
        encoded = base64.b64encode(_png(picture)).decode("ascii")
        parts.append(
            f"<h2>Crops of {escape(name)}</h2><img alt='Crops of {escape(name)} in every row' src='data:image/png;base64,{encoded}'>"
        )
    parts.append(_html_table(measurements_table(comparison), "h2"))
    if (by_clip := artifacts_by_clip_table(comparison)) is not None:
        parts.append(_html_table(by_clip, "h2"))
    entries_by_key = {key: value for key, value in values["protocol"].items() if not isinstance(value, dict)}
    entries_by_key |= {
        key: ", ".join(f"{k} {v}" for k, v in values["protocol"][key].items()) for key in ("machine", "versions")
    }
    entries = "".join(f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>" for key, value in entries_by_key.items())
    parts.append(f"<h2>How it was measured</h2><dl>{entries}</dl>")
    parts.append(f"<script type='application/json' id='data'>{data}</script></body></html>\n")
    return "\n".join(parts)


def _faults(comparison: Comparison) -> list[str]:
    tables = [artifacts_table(comparison, label) for label in comparison.labels]
    return [_html_table(table, "h2") for table in tables if table is not None]


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
