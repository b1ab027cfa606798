"""A job in this process: it emits events for every step, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask", reason="Flask is not installed (pip install 'codecvsr[web]')")

from codecvsr.web.job import run_job
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters, Run


def test_every_step_emits_events_in_order(tmp_path: Path, small_clip: bytes) -> None:
    clip, events = tmp_path / "clip.mp4", list[dict[str, Any]]()
    clip.write_bytes(small_clip)
    bare = Run("codecvsr", ablations=("mvs",))
    asked = Parameters("clip", 30, 0.0, 1.0, "cpu", Run("codecvsr"), bare)
    run_job(clip, tmp_path / "job", asked, Limits(), events.append)
    runs = [f"{part}-{key}" for key in ("bicubic", "model", "other") for part in ("run", "score")]
    assert list(dict.fromkeys(step["step"] for step in events)) == ["read", "compress", *runs, "layers", "film"]
    fractions = [step["fraction"] for step in events]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
