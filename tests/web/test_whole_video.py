"""Whole videos: from an upload and its estimate to a download that is named after it."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

pytest.importorskip("flask", reason="Flask is not installed (pip install 'codecvsr[web]')")
pytest.importorskip("waitress", reason="waitress is not installed (pip install 'codecvsr[web]')")

from codecvsr.models.model_names import QUALITIES
from codecvsr.upscaling.options import UpscaleOptions
from codecvsr.web import whole_video
from codecvsr.web.checks import ParameterError
from codecvsr.web.enlargement import Enlargement, download_name
from codecvsr.web.job import run_job
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters, Run
from codecvsr.web.store import JobStore
from tests.streams import encode, moving_texture
from tests.web.conftest import QUARTER_TO_THE_RIGHT
from tests.web.service import Service

MODELS = {name: {"motion": ["codec"], "ablations": []} for name in QUALITIES.values()}


def test_a_portrait_clip_is_enlarged_whole_and_upright(service: Service, portrait_clip: Path) -> None:
    id_ = service.upload(portrait_clip.read_bytes(), "my holiday.mov").json()["id"]
    asked = {"clip": id_, "crf": None, "upscale": {"quality": "fast", "scale": 2, "crf": 20}}
    answer = service.ask("api/estimates", asked)
    assert answer.status == 200, answer.body
    expected = answer.json()
    assert (expected["input"], expected["output"]) == ("my holiday.mov", "my holiday_2x.mov")
    assert [expected[key] for key in ("source_width", "source_height", "width", "height", "frames")] == [
        96,
        64,
        192,
        128,
        9,
    ]
    assert expected["rotation"] == list(QUARTER_TO_THE_RIGHT)
    schema = service.ask("api/openapi.json").json()["components"]["schemas"]["Estimate"]
    assert set(schema["required"]) <= set(expected) <= set(schema["properties"])
    assert expected["model"] == QUALITIES["fast"] and expected["seconds"] > 0 and expected["bytes"] > 0
    answer = service.ask("api/jobs", asked)
    assert answer.status == 201, answer.body
    job = service.wait(answer.json()["id"])
    assert job["state"] == "done", job
    result = service.ask(f"api/jobs/{job['id']}/result").json()
    assert result["size"] == [128, 192] and result["frames"] == result["all_frames"] == 9
    assert result["rotation"] == list(QUARTER_TO_THE_RIGHT) and result["layers"] == 9
    assert [view["key"] for view in result["views"]] == ["bicubic", "model"]
    download = service.ask(f"api/jobs/{job['id']}/files/video?download=1")
    assert 'filename="my holiday_2x.mov"' in download.headers["Content-Disposition"]
    assert download.headers["Content-Type"] == "video/quicktime" and len(download.body) == result["video"]["bytes"]
    with av.open(io.BytesIO(download.body)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 9
    with av.open(io.BytesIO(service.ask(f"api/jobs/{job['id']}/files/comparison.mp4").body)) as video:
        picture = next(video.decode(video=0)).to_ndarray(format="rgb24")
    columns, (width, height) = result["mosaic"]["columns"], result["mosaic"]["cell"]
    for number in range(2):
        left, top = number % columns * width, number // columns * height
        shown = picture[top : top + 192, left : left + 128]
        assert shown[:24].mean() > 240 and shown[40:].mean() < 200  # the bright stripe is at the top


class Interrupted(Exception):
    """Ends a job as the end of its process would."""


def test_an_interrupted_video_continues_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Enlargement.options
    monkeypatch.setattr(Enlargement, "options", lambda *asked: replace(usual(*asked), chunk=4))
    clip = encode(tmp_path / "clip.mp4", moving_texture(12, 48, 64, 1, 0), options={"g": "4", "bf": "0"})
    asked = Parameters("x", None, 0.0, 60.0, "cpu", Run(QUALITIES["fast"]), None, Enlargement("fast", scale=1))

    def interrupt(event: dict[str, Any]) -> None:
        if event["step"] == "upscaling" and event["done"] >= 9:
            raise Interrupted

    with pytest.raises(Interrupted):
        run_job(clip, tmp_path / "job", asked, Limits(), interrupt)
    assert not (tmp_path / "job" / "result.json").exists()
    events: list[dict[str, Any]] = []
    run_job(clip, tmp_path / "job", asked, Limits(), events.append)
    result = json.loads((tmp_path / "job" / "result.json").read_text())
    report = result["views"][1]["report"]
    assert report["frames"] == 12 and report["resumed_frames"] >= 4
    assert {path.name for path in (tmp_path / "job").iterdir()} == {
        "enlarged.mp4", "report.json", "comparison.mp4", "layers.jsonl", "inspection.json", "result.json"
    }  # fmt: skip
    fractions = [event["fraction"] for event in events]
    assert fractions == sorted(fractions) and fractions[-1] == 1


def test_the_bar_moves_before_the_first_frame_is_complete() -> None:
    events: list[dict[str, Any]] = []
    listen = whole_video._Listener(events.append)
    listen({"event": "plan", "frames": 10, "done_frames": 0})
    listen({"event": "step", "phase": "upscaling", "done": 2.5, "total": 10, "eta_seconds": 9.0})
    listen({"event": "progress", "frame": 1, "frames": 10, "frames_per_second": 1.0, "eta_seconds": 8.0})
    assert [(event["done"], event["total"]) for event in events] == [(2, 10), (2, 10)]
    assert 0.2 < events[0]["fraction"] == events[1]["fraction"] <= 0.25


def test_an_attempt_that_saved_work_does_not_count(tmp_path: Path) -> None:
    def interrupt(saves: bool) -> str:
        store = JobStore(tmp_path / str(saves))
        job = store.add_job("demo", "x", {"upscale": {}}, max_active=9)
        for _ in range(3):
            store.recover()
            if store.claim() is not None and saves:
                place = store.job_folder(job.id) / ".enlarged.mp4.codecvsr"
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{time.monotonic_ns()}.nut").write_bytes(b"")
        store.recover()
        state = store.job(job.id).state
        store.close()
        return state

    assert interrupt(saves=True) == "queued" and interrupt(saves=False) == "failed"


def test_requests_of_whole_videos_are_checked() -> None:
    def read(**upscale: object) -> Parameters:
        return Parameters.from_json({"clip": "demo", "crf": None, "upscale": upscale}, MODELS, 60)

    asked = read(quality="fast", scale=3, codec="hevc", strength=0.5, skip_static=True)
    assert Parameters.stored(json.loads(json.dumps(asked.to_json()))) == asked
    assert asked.run.model == QUALITIES["fast"] and asked.upscale.scale == 3
    assert asked.upscale.options(64, 48, "cpu", 10**6).skip_static == "frames"
    assert read().upscale.options(64, 48, "cpu", 10**6).skip_static == UpscaleOptions().skip_static
    for wrong in (
        {"quality": "none"}, {"scale": 2.5}, {"scale": 5}, {"codec": "vp9"}, {"crf": 60}, {"deinterlace": "maybe"},
        {"strength": -1}, {"tonemap": 1}, {"path": "/etc/passwd"}, {"scale": True},
    ):  # fmt: skip
        with pytest.raises(ParameterError, match="upscale"):
            read(**wrong)
    for more in ({"crf": 25}, {"start": 1}, {"model": "bicubic"}, {"other": None}):
        with pytest.raises(ParameterError, match=next(iter(more))):
            Parameters.from_json({"clip": "demo", "crf": None, "upscale": {}, **more}, MODELS, 60)
    with pytest.raises(ParameterError, match="not installed"):
        Parameters.from_json({"clip": "demo", "crf": None, "upscale": {}}, {}, 60)


@pytest.mark.parametrize(
    ("size", "expected"), [((1280, 720), (3840, 2160)), ((720, 1280), (2160, 3840)), ((640, 480), (2560, 1920)), ((3840, 2160), (3840, 2160))]
)  # fmt: skip
def test_outputs_stay_within_the_servers_pixels(size: tuple[int, int], expected: tuple[int, int]) -> None:
    from codecvsr.upscaling.options import output_size

    options = Enlargement().options(*size, "cpu", 3840 * 2160)
    assert output_size(size[1], size[0], options, (2, 2)) == expected[::-1]


def test_downloads_are_named_after_the_upload() -> None:
    options = Enlargement().options(640, 360, "cpu", 1 << 30)
    names = {name: download_name(name, options, ".mp4") for name in ("holiday.MOV", "a.b.mkv", ".mp4", "..", "x" * 300)}
    assert (
        names["holiday.MOV"] == "holiday_4x.mp4" and names["a.b.mkv"] == "a.b_4x.mp4" and names[".."] == "video_4x.mp4"
    )
    assert all(len(name) < 120 and not name.startswith(".") for name in names.values())
