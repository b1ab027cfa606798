"""What the benchmarks share: the title card, the commands that made a results file, and writing one."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codecvsr.files import atomic_file

ROOT = Path(__file__).resolve().parents[2]
TITLE_CARD = ROOT / "inputs" / "bunny_720p.mp4"  #: the demo clip that moves little


def with_this_command(commands: Sequence[str]) -> list[str]:
    """Returns the commands that made a results file so far, and the running one, without repetition."""
    command = shlex.join(["python", f"scripts/bench/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    return [*commands] if command in commands else [*commands, command]


def write_results(results: Path, content: dict[str, Any]) -> None:
    """Writes a results file, whole or not at all, and its folder where it is missing."""
    results.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(results) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
