"""The names of a comparison's outputs, checked before any work and without large libraries."""

from __future__ import annotations

from pathlib import Path

from codecvsr.errors import InputError

SUFFIXES = {".html": "html", ".htm": "html", ".md": "md"}


def check_report(path: Path) -> None:
    """Check the suffix of a report.

    Raises:
        InputError: it is neither .html nor .md.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a report ends in .html (one page) or .md (with its pictures in a folder beside it).")


def check_sheet(path: Path) -> None:
    """Check the suffix of a contact sheet.

    Raises:
        InputError: it is not .png.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: a contact sheet ends in .png; choose such a name.")
