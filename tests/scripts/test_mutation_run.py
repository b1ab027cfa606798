"""scripts/bench/mutation_run.py: damages are reproducible, and every kind of bad end is found."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import mutation_run
import pytest

DATA, OTHER = bytes(range(256)) * 40, b"x" * 5000


@pytest.mark.parametrize("kind", mutation_run.MUTATIONS)
def test_damages_are_reproducible_and_of_their_kind(kind: str) -> None:
    damaged = [mutation_run.mutate(DATA, OTHER, kind, random.Random(seed)) for seed in (1, 1, 2)]
    assert damaged[0] == damaged[1]
    assert (damaged[0] == DATA) == (kind == "none")
    lengths = {"bits": 0, "header": 0, "zeros": 0, "none": 0, "joined": len(OTHER)}
    if kind in lengths:
        assert len(damaged[2]) - len(DATA) == lengths[kind]
    else:
        assert len(damaged[2]) < len(DATA)


@pytest.mark.parametrize(
    ("code", "seconds", "memory", "text", "fault"),
    [
        (1, 2.0, 300, "error: clip.mp4: is damaged.", ""),
        (1, 2.0, 300, "", "an exit code of 1 without an error"),
        (1, 2.0, 300, "error: x\nTraceback (most recent call last):", "a traceback or an internal error"),
        (2, 2.0, 300, "error: usage", "exit code 2"),
        (-11, 2.0, 300, "", "killed by SIGSEGV"),
        (-9, 130.0, 300, "", "no end within 120 s"),
        (1, 2.0, 9000, "error: x", "9000 MB of memory"),
        (0, 2.0, 300, "", "an output that cannot be read (FileNotFoundError)"),
    ],
)
def test_every_bad_end_is_a_fault(
    tmp_path: Path, code: int, seconds: float, memory: float, text: str, fault: str
) -> None:
    assert mutation_run.fault_of(code, seconds, memory, text, tmp_path / "none.mkv") == fault


def test_a_run_is_measured_and_stopped_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # from a small process: Linux counts the peak of the process that starts a program as the program's own
    measure = (
        "import json, pathlib, sys, mutation_run as m;"
        "print(json.dumps(m.run([sys.executable, '-c', 'print(6 * 7)'], pathlib.Path(sys.argv[1]))))"
    )
    scripts = Path(mutation_run.__file__).parent
    ended = subprocess.run(
        [sys.executable, "-c", measure, str(tmp_path / "log")],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(scripts), str(scripts.parent)])},
    )
    code, seconds, processor, memory = json.loads(ended.stdout)
    assert code == 0 and (tmp_path / "log").read_text() == "42\n"
    assert 0 < processor < seconds + 1 and 1 < memory < 500
    monkeypatch.setattr(mutation_run, "SECONDS", 0.3)
    code, seconds, *_ = mutation_run.run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log")
    assert code == -9 and seconds < 20


def test_sources_can_be_read(tmp_path: Path) -> None:
    mutation_run.make(tmp_path / "a.mkv", "libx264", (64, 48), 1)
    missing = mutation_run.fault_of(0, 1.0, 100.0, "", tmp_path / "a.mkv")
    assert missing == ""
