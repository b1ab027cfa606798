"""A job in this process: it emits events for every step, in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
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


@pytest.mark.parametrize(("crf", "size"), [(None, [256, 384]), (20, [64, 96])])
def test_parts_of_portrait_clips_are_upright(
    tmp_path: Path, portrait_clip: Path, crf: float | None, size: list[int]
) -> None:
    asked = Parameters("clip", crf, 0.0, 0.2, "cpu", Run("bicubic"), None)
    run_job(portrait_clip, tmp_path / "job", asked, Limits(), lambda event: None)
    result = json.loads((tmp_path / "job" / "result.json").read_text())
    assert result["size"] == size and bool(result["rotation"]) == (crf is None)
    with av.open(str(tmp_path / "job" / "comparison.mp4")) as video:
        picture = next(video.decode(video=0)).to_ndarray(format="rgb24")[: size[1], : size[0]]
    assert (
        picture[: size[1] // 8].mean() > 235 and picture[size[1] // 2 :].mean() < 200
    )  # the bright stripe is at the top
