"""Committed results files: by which commands they were made, and how they are written."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codecvsr.files import atomic_file


def with_this_command(commands: Sequence[str]) -> list[str]:
    """The commands a results file was made by so far, and the one that runs, once."""
    command = shlex.join(["python", f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    return [*commands] if command in commands else [*commands, command]


def write_results(results: Path, content: dict[str, Any]) -> None:
    """Write a results file, whole or not at all; its folder is made where it is missing."""
    results.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(results) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
