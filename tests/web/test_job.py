"""A job in this process: every step of it is told, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask", reason="Flask is not installed (pip install 'codecvsr[web]')")

from codecvsr.web.job import run_job
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters, Run


def test_every_step_is_told_in_order(tmp_path: Path, small_clip: bytes) -> None:
    clip, told = tmp_path / "clip.mp4", list[dict[str, Any]]()
    clip.write_bytes(small_clip)
    bare = Run("codecvsr", ablations=("mvs",))
    asked = Parameters("clip", 30, 0.0, 1.0, "cpu", Run("codecvsr"), bare)
    run_job(clip, tmp_path / "job", asked, Limits(), told.append)
    runs = [f"{part}-{key}" for key in ("bicubic", "model", "other") for part in ("run", "score")]
    assert list(dict.fromkeys(step["step"] for step in told)) == ["read", "compress", *runs, "layers", "film"]
    fractions = [step["fraction"] for step in told]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
