"""What upscale says while it runs, and what it refuses before it does."""

from __future__ import annotations

import io
from types import SimpleNamespace

import av
import pytest
from rich.console import Console

import codecvsr
from codecvsr.cli import progress
from codecvsr.cli.progress import Narrator
from codecvsr.errors import InputError, OutputError
from codecvsr.upscaling import job
from codecvsr.upscaling.checkpoint_dir import work_path
from tests.videos import make_video

FRAMES = 9
OPTIONS = {"model": "bicubic", "preset": "ultrafast", "chunk": 3}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("film") / "film.mkv", FRAMES, extras=False)


def test_a_terminal_has_a_bar_with_speed_and_time_left(video, tmp_path, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress, "stderr_console", lambda: Console(file=screen, force_terminal=True, width=120))
    with Narrator(as_json=False) as narrator:
        codecvsr.upscale(video, tmp_path / "o.mkv", listener=narrator.hear, **OPTIONS)
    shown = screen.getvalue()
    assert "o.mkv" in shown and f"{FRAMES}/{FRAMES}" in shown and "frames/s" in shown and "0:00:0" in shown


def test_a_lost_worker_is_told(capsys):
    Narrator(as_json=False).hear({"event": "retry", "shard": 1, "first_frame": 4, "frames": 4})
    assert "a worker was lost; frames 4 to 7 are made again" in capsys.readouterr().err


@pytest.mark.parametrize(("free", "is_warned"), [(1000, True), (10**12, False)])
def test_too_little_room_is_told_after_the_first_shard(video, tmp_path, monkeypatch, free, is_warned):
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
    assert sum("'-m codecvsr-fast' takes less than half" in line for line in said) == is_said


def test_the_preview_is_of_the_latest_shot(video, tmp_path):
    shown = []

    def hear(event):
        if event["event"] == "progress" and (tmp_path / "now.png").exists():
            shown.append(event["frame"])

    codecvsr.upscale(video, tmp_path / "o.mkv", preview=tmp_path / "now.png", listener=hear, **OPTIONS)
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
    assert not (tmp_path / "o.mkv").exists() and not work_path(tmp_path / "o.mkv").exists()
