"""The generated parts of README and docs: what is between a pair of markers ``<!-- NAME:begin -->``, ``<!-- NAME:end -->``."""

from __future__ import annotations

from pathlib import Path

from codecvsr.files import atomic_file


def read_part(page: Path, name: str) -> str:
    """Returns the text between the markers of ``name``, without blank lines around it."""
    text = page.read_text(encoding="utf-8")
    return text.split(f"<!-- {name}:begin -->")[1].split(f"<!-- {name}:end -->")[0].strip()


def replace_part(page: Path, name: str, part: str) -> None:
    """Writes ``part`` between the markers of ``name``."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, after = page.read_text(encoding="utf-8").split(begin)
    with atomic_file(page) as target:
        target.write_text(f"{before}{begin}\n{part.strip()}\n{end}{after.split(end)[1]}", encoding="utf-8")
