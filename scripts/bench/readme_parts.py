"""The parts of README that are written from results files: what stands between a pair of markers."""

from __future__ import annotations

from pathlib import Path

from codecvsr.files import atomic_file


def replace_parts(readme: Path, **parts: str) -> None:
    """Put ``parts``, texts by the names of their markers ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``, into ``readme``."""
    text = readme.read_text(encoding="utf-8")
    for name, part in parts.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{part.rstrip()}\n{end}{rest.split(end)[1]}"
    with atomic_file(readme) as target:
        target.write_text(text, encoding="utf-8")
