"""Nothing that is done is lost: runs that are stopped, however it happens, go on and end the same."""

from __future__ import annotations

import functools
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import codecvsr
from codecvsr.errors import OutputError
from codecvsr.upscaling.checkpoint_dir import checkpoint_path
from tests.upscaling.short_videos import FAST, FRAMES
from tests.videos import make_video, read, video_packets

LONG = 30


def stop_after(frames):
    """A listener that is interrupted when so many frames were made."""

    def listen(event):
        if event["event"] == "progress" and event["frame"] >= frames:
            raise KeyboardInterrupt

    return listen


def test_an_interrupted_run_goes_on_and_ends_the_same(videos, small, tmp_path):
    options = {"model": small, "chunk": 4, "overlap": 2, **FAST}
    whole, parts = tmp_path / "whole.mkv", tmp_path / "parts.mkv"
    codecvsr.upscale(videos["mkv"], whole, **options)
    with pytest.raises(KeyboardInterrupt, match=r"6 of 14 frames are done .*Run the same command to go on"):
        codecvsr.upscale(videos["mkv"], parts, listener=stop_after(8), **options)
    assert not parts.exists() and sorted(p.name for p in checkpoint_path(parts).glob("*.nut")) == [
        "000000.nut",
        "000001.nut",
    ]
    events = []
    report = codecvsr.upscale(videos["mkv"], parts, listener=events.append, **options)
    assert report.resumed_frames == 6 and report.frames == FRAMES
    assert sum(event["event"] == "progress" for event in events) == FRAMES - 6
    assert read(parts) == read(whole)
    assert not checkpoint_path(parts).exists()


def test_an_unfinished_run_of_another_job_is_refused_and_y_starts_over(videos, small, tmp_path):
    out = tmp_path / "o.mp4"
    options = {"model": small, "chunk": 4, "overlap": 2, **FAST}
    with pytest.raises(KeyboardInterrupt):
        codecvsr.upscale(videos["mkv"], out, listener=stop_after(9), **options)
    for change, words in (
        ({"crf": 20}, "options crf was 18, is 20"),
        ({"model": "bicubic"}, "model name was not set, is bicubic"),
        ({"scale": 2}, "options scale was 4, is 2"),
    ):
        with pytest.raises(OutputError, match=rf"{words}.*use -y to start over, or repeat the earlier command"):
            codecvsr.upscale(videos["mkv"], out, **{**options, **change})
    with pytest.raises(OutputError, match="input bytes was"):
        codecvsr.upscale(videos["mp4"], out, **options)
    assert len(list(checkpoint_path(out).glob("*.nut"))) == 2
    report = codecvsr.upscale(videos["mkv"], out, overwrite=True, resume=True, **options)
    assert report.resumed_frames == 6
    with pytest.raises(KeyboardInterrupt):
        codecvsr.upscale(videos["mkv"], out, overwrite=True, listener=stop_after(9), **options)
    assert out.exists()  # the old one, until the new one is whole
    report = codecvsr.upscale(videos["mkv"], out, overwrite=True, **options)
    assert report.resumed_frames == 0


def test_frames_in_a_folder_go_on_too(videos, small, tmp_path):
    options = {"model": small, "chunk": 4, "overlap": 2}
    codecvsr.upscale(videos["mkv"], tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        codecvsr.upscale(videos["mkv"], tmp_path / "parts", listener=stop_after(10), **options)
    assert not (tmp_path / "parts").exists()
    assert codecvsr.upscale(videos["mkv"], tmp_path / "parts", **options).resumed_frames == 6
    whole, parts = (sorted((tmp_path / name).iterdir()) for name in ("whole", "parts"))
    assert [p.name for p in whole] == [p.name for p in parts] == [f"{i:08d}.png" for i in range(FRAMES)]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(whole, parts, strict=True))


def test_stopped_when_only_tidying_was_left(videos, small, tmp_path, monkeypatch):
    out = tmp_path / "o.mkv"
    monkeypatch.setattr("codecvsr.upscaling.checkpoint_dir.CheckpointDir.remove", lambda self: None)
    codecvsr.upscale(videos["mkv"], out, model=small, **FAST)
    monkeypatch.undo()
    made = out.read_bytes()
    report = codecvsr.upscale(videos["mkv"], out, model=small, **FAST)  # not "exists already": it is this run's
    assert report.resumed_frames == FRAMES and out.read_bytes() == made and not checkpoint_path(out).exists()
    with pytest.raises(OutputError, match="exists already"):
        codecvsr.upscale(videos["mkv"], out, model=small, **FAST)


def start(arguments, **keywords):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-m", "codecvsr", "upscale", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **keywords,
    )  # fmt: skip


def wait_for(frame, process):
    """Read the events of a process until it has made so many frames."""
    for line in process.stderr:
        if line.startswith("{") and json.loads(line).get("frame", 0) >= frame:
            return
    pytest.fail(f"ended early: {process.communicate()}")


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("long") / "long.mkv", LONG, extras=False)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_started_again(long_video, small, tmp_path, how):
    out = tmp_path / "o.mkv"
    arguments = [long_video, "-o", out, "-m", small, "--chunk", "3", "--overlap", "1", "--preset", "ultrafast"]
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which shells withhold from background jobs
    process = start([*arguments, "--json"], preexec_fn=heed)
    wait_for(8, process)
    process.send_signal(how)
    messages = process.communicate()[1]
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    if how == signal.SIGINT:
        assert "error: interrupted. " in messages and "Run the same command to go on." in messages
    assert not out.exists() and len(list(checkpoint_path(out).glob("0*.nut"))) >= 2
    process = start([*arguments, "--json"])
    result, messages = process.communicate()
    assert process.returncode == 0, messages
    made = json.loads(result)["made"][0]
    assert made["frames"] == LONG and 6 <= made["resumed_frames"] < LONG
    whole = tmp_path / "whole.mkv"
    codecvsr.upscale(long_video, whole, model=small, chunk=3, overlap=1, **FAST)
    assert read(out) == read(whole) and len(video_packets(out)) == LONG


def test_a_full_disk_is_said_and_what_is_done_stays(long_video, small, tmp_path):
    out = tmp_path / "o.mkv"
    arguments = [
        long_video,
        "-o",
        out,
        "-m",
        small,
        "--chunk",
        "7",
        "--overlap",
        "1",
        "--crf",
        "1",
        "--preset",
        "ultrafast",
    ]
    most = 40_000
    process = start(arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
    _result, messages = process.communicate()
    assert (
        process.returncode == 1
        and "no space left on the disk" in messages
        and "run the same command to go on" in messages
    )
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint_path(out).name] and not list(
        checkpoint_path(out).glob("*.part")
    )
    process = start(arguments)
    assert process.communicate() and process.returncode == 0
    assert len(video_packets(out)) == LONG


def test_two_at_once_on_one_output_are_refused(videos, small, tmp_path):
    out = tmp_path / "o.mkv"

    def second(event):
        if event["event"] == "plan":
            with pytest.raises(OutputError, match="another process is making it"):
                codecvsr.upscale(videos["mkv"], out, model=small, **FAST)

    assert codecvsr.upscale(videos["mkv"], out, model=small, listener=second, **FAST).frames == FRAMES
