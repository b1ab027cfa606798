"""Writes a comparison as one self-contained HTML page, or as Markdown with a folder of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codecvsr.compare.comparison import Comparison
from codecvsr.compare.crops import Box, write_pictures
from codecvsr.compare.outputs import SUFFIXES
from codecvsr.compare.page import html_page
from codecvsr.compare.report_charts import make_charts
from codecvsr.compare.tables import (
    artifacts_by_clip_table,
    artifacts_table,
    markdown_table,
    means_table,
    measurements_table,
)
from codecvsr.compare.titles import lead, report_title
from codecvsr.files import atomic_file, atomic_folder, write_png


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
        content = html_page(comparison, values, pictures, charts)
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


def _markdown(comparison: Comparison, folder: str, pictures: list[str], charts: list[str]) -> str:
    first = [means_table(comparison, label) for label in comparison.labels]
    first += [table for label in comparison.labels if (table := artifacts_table(comparison, label)) is not None]
    last = [measurements_table(comparison)]
    last += [table] if (table := artifacts_by_clip_table(comparison)) is not None else []
    parts = [f"# {report_title(comparison)}", lead(comparison)]
    parts += [f"## {table.title}\n\n{markdown_table(table)}" for table in first]
    if comparison.failed:
        parts += ["## Not measured", "\n".join(f"- **{f.row}** {f.clip}: {f.error}" for f in comparison.failed)]
    parts += [f"## {title}\n\n![{title}]({folder}/chart{number}.svg)" for number, title in enumerate(charts)]
    parts += [f"## {name}\n\n![{name}](<{folder}/{name}.png>)" for name in pictures]
    parts += [f"## {table.title}\n\n{markdown_table(table)}" for table in last]
    return "\n\n".join(parts) + "\n"
