"""What upscale reports while it runs, and what it refuses before."""

from __future__ import annotations

import io
from types import SimpleNamespace

import av
import pytest
from rich.console import Console

import codecvsr
from codecvsr.cli import progress
from codecvsr.cli.progress import ProgressPrinter
from codecvsr.errors import InputError, OutputError
from codecvsr.events import Advanced, ChunkRetried, Event, Failed, Finished, FrameDone, Planned, ScanStarted
from codecvsr.upscaling import job
from codecvsr.upscaling.batch import upscale_all
from codecvsr.upscaling.checkpoint_dir import checkpoint_path
from codecvsr.upscaling.options import RunSettings, UpscaleOptions
from tests.videos import make_video

FRAMES = 9
OPTIONS = {"model": "bicubic", "preset": "ultrafast", "chunk": 3}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("video") / "video.mkv", FRAMES, extras=False)


def test_a_terminal_has_a_bar_with_speed_and_time_left(video, tmp_path, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress, "stderr_console", lambda: Console(file=screen, force_terminal=True, width=120))
    with ProgressPrinter(as_json=False) as printer:
        upscale_all([video], tmp_path / "o.mkv", UpscaleOptions(**OPTIONS), RunSettings(on_event=printer.on_event))
    shown = screen.getvalue()
    assert "o.mkv" in shown and f"{FRAMES}/{FRAMES}" in shown and "frames/s" in shown and "0:00:0" in shown


def test_a_lost_worker_is_reported(capsys):
    ProgressPrinter(as_json=False).on_event(ChunkRetried(1, 4, 4))
    assert "a worker was lost; frames 4 to 7 are made again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (ScanStarted("a"), {"event": "survey", "input": "a"}),
        (
            Planned("a", "b", 9, 3, 2, 8, 4, "codec"),
            {
                "event": "plan", "input": "a", "output": "b", "frames": 9, "done_frames": 3, "shards": 2, "width": 8,
                "height": 4, "motion": "codec",
            },
        ),
        (
            FrameDone(4, 9, 2.0, 2.5),
            {"event": "progress", "frame": 4, "frames": 9, "frames_per_second": 2.0, "eta_seconds": 2.5},
        ),
        (
            Advanced("a", "decoding", 4, 9),
            {"event": "step", "input": "a", "phase": "decoding", "done": 4, "total": 9, "eta_seconds": None},
        ),
        (ChunkRetried(1, 4, 3), {"event": "retry", "shard": 1, "first_frame": 4, "frames": 3}),
        (Finished({"shards": 2}), {"event": "done", "shards": 2}),
        (Failed("a", "why"), {"event": "failed", "input": "a", "error": "why"}),
    ],
)  # fmt: skip
def test_events_as_json(event: Event, expected):
    assert list(event.to_json().items()) == list(expected.items())


@pytest.mark.parametrize(("free", "is_warned"), [(1000, True), (10**12, False)])
def test_too_little_disk_space_is_reported_after_the_first_chunk(video, tmp_path, monkeypatch, free, is_warned):
    said = []
    monkeypatch.setattr(job._logger, "warning", lambda text, *values: said.append(text % values))
    monkeypatch.setattr(job.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    codecvsr.upscale(video, tmp_path / "o.mkv", **OPTIONS)
    assert len(said) == is_warned
    assert not said or ("GB more will be needed, 0.0 GB are free. Make room in time" in said[0])


@pytest.mark.parametrize(
    ("model", "seconds", "is_said"), [("codecvsr", 0, 1), ("codecvsr", 3600, 0), ("codecvsr-fast", 0, 0)]
)
def test_the_faster_network_is_named_where_hours_are_left(tmp_path, monkeypatch, model, seconds, is_said):
    said = []
    monkeypatch.setattr(job._logger, "info", lambda text, *values: said.append(text % values))
    monkeypatch.setattr(job, "_LONG_SECONDS", seconds)
    small = make_video(tmp_path / "small.mkv", 6, extras=False)
    codecvsr.upscale(small, tmp_path / "o.mkv", **{**OPTIONS, "model": model, "device": "cpu"})
    assert sum("'-m codecvsr-fast' needs less than 50 %" in line for line in said) == is_said


def test_the_preview_is_of_the_latest_shot(video, tmp_path):
    shown = []

    def listen(event):
        if event["event"] == "progress" and (tmp_path / "now.png").exists():
            shown.append(event["frame"])

    codecvsr.upscale(video, tmp_path / "o.mkv", preview=tmp_path / "now.png", listener=listen, **OPTIONS)
    assert shown[0] == 1 and sorted(p.name for p in tmp_path.iterdir()) == ["now.png", "o.mkv"]
    with pytest.raises(InputError, match="a preview ends in .png"):
        codecvsr.upscale(video, tmp_path / "p.mkv", preview=tmp_path / "now.jpg", **OPTIONS)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="now.png: cannot be written"):
        codecvsr.upscale(video, tmp_path / "p.mkv", preview=tmp_path / "file" / "now.png", **OPTIONS)


def test_a_video_without_frames_is_refused(tmp_path):
    empty = tmp_path / "empty.mkv"
    with av.open(str(empty), "w") as out:
        stream = out.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        out.start_encoding()
    with pytest.raises(InputError, match="empty.mkv"):
        codecvsr.upscale(empty, tmp_path / "o.mkv", **OPTIONS)
    assert not (tmp_path / "o.mkv").exists() and not checkpoint_path(tmp_path / "o.mkv").exists()
