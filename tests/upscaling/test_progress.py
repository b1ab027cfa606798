"""Progress of upscale: from its first second, inside a chunk, on a terminal and in a log."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import torch
from rich.console import Console

import codecvsr
from codecvsr.cli import output, progress
from codecvsr.cli.progress import ProgressPrinter
from codecvsr.engine.plan import make_plan
from codecvsr.events import Advanced, FrameDone, Planned, ScanStarted
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.motion_source import load_motion
from codecvsr.models.zoo import load_model
from codecvsr.upscaling import speed
from codecvsr.upscaling.chunk_events import ChunkAdvanced, from_line, to_line
from codecvsr.upscaling.chunks import Chunk
from codecvsr.upscaling.speed import Meter, Seldom
from tests.videos import make_video

FRAMES = 12


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("video") / "video.mp4", FRAMES, extras=False)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_phases_come_in_order_and_move_inside_a_chunk(video, tmp_path, workers, monkeypatch):
    monkeypatch.setattr(speed, "_EVERY_SECONDS", 0.0)
    events = []
    codecvsr.upscale(
        video, tmp_path / "o.mp4", model="codecvsr-fast", listener=events.append, workers=workers, chunk=6, device="cpu"
    )
    steps = [event for event in events if event["event"] == "step"]
    phases = list(dict.fromkeys(event["phase"] for event in steps))
    assert phases == ["reading", "decoding", "motion", "upscaling", "writing"]
    assert [event["done"] for event in steps if event["phase"] == "reading"] == list(range(1, FRAMES + 1))
    first_frame = next(index for index, event in enumerate(events) if event["event"] == "progress")
    before = [event for event in events[:first_frame] if event.get("phase") == "upscaling"]
    assert before and 0 < before[0]["done"] < 6
    done = [event["done"] for event in steps if event["phase"] == "upscaling"]
    assert done == sorted(done) and done[-1] <= FRAMES
    if workers == 1:
        assert len(before) >= 6 and before[-1]["eta_seconds"] > 0


@pytest.mark.parametrize(("name", "tile"), [("codecvsr:random", 0), ("codecvsr:random", 64), ("basicvsr:random", 0)])
def test_recurrent_networks_report_their_steps_before_the_first_picture(video, name, tile, monkeypatch):
    """The readable form, without the C library."""
    monkeypatch.setenv("CODECVSR_NATIVE", "0")
    model = load_model(name)
    source = load_motion(video, "codec", Ablations(), model=model).cut(0, 4)
    plan = make_plan(torch.device("cpu"), "fp32", False, architecture=model.architecture)
    shares: list[float] = []
    made = upscale_frames(model, source, Ablations(), MemoryLimits(9, tile), plan, on_share=shares.append)
    next(made)
    assert len(shares) >= 4 and shares == sorted(shares) and 0 < shares[0] <= 0.25
    rest = list(made)
    assert shares[-1] == pytest.approx(1) and len(rest) == 3
    silent = upscale_frames(model, source, Ablations(), MemoryLimits(9, tile), plan)
    assert np.array_equal(list(silent)[1:], rest)


def test_the_meter_leaves_the_start_up_out(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(speed.time, "monotonic", lambda: now[0])
    meter, chunks = Meter(20), [Chunk(0, 0, 10, 0, 10), Chunk(1, 10, 20, 10, 20)]
    assert meter.eta_seconds() is None and meter.frames_per_second() == 0
    now[0] = 200  # start-up
    meter.advance(chunks[0], 1)
    now[0] = 204
    meter.advance(chunks[0], 5)
    assert (meter.position, meter.frames, meter.frames_per_second(), meter.eta_seconds()) == (5, 0, 1, 15)
    meter.set_frames(chunks[0], 3)
    assert (meter.position, meter.frames, meter.count_of(chunks[0])) == (5, 3, 3)
    meter.set_frames(chunks[0], 10)
    meter.advance(chunks[1], 4)
    meter.lose(chunks[1])
    assert (meter.position, meter.frames) == (10, 10)


def test_events_of_a_phase_are_passed_on_seldom(monkeypatch):
    now, passed = [0.0], []
    monkeypatch.setattr(speed.time, "monotonic", lambda: now[0])
    seldom = Seldom(passed.append)
    for tenth in range(10):
        now[0] = tenth * 0.125
        seldom(ChunkAdvanced(0, "decoding" if tenth < 9 else "motion", tenth, 10))
    assert [event.done for event in passed] == [0, 2, 4, 6, 8, 9]
    assert from_line(to_line(passed[-1])) == passed[-1]


def lines(capsys, events, monkeypatch, seconds_each=1.0):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    output.begin()
    with ProgressPrinter(as_json=False) as printer:
        for event in events:
            now[0] += seconds_each
            printer.on_event(event)
    return capsys.readouterr().err.splitlines()


def test_a_log_has_a_line_per_tenth(capsys, monkeypatch):
    events = [Planned("a", "o.mp4", 100, 0, 1, 8, 8, "codec")]
    events += [Advanced("a", "upscaling", i / 2, 100, 9.0) for i in range(1, 81)]
    events += [FrameDone(i, 100, 2.0, (100 - i) / 2) for i in range(1, 101)]
    shown = lines(capsys, events, monkeypatch, 0.01)
    assert [line.split(",")[0] for line in shown] == [f"o.mp4: {percent} %" for percent in range(10, 101, 10)]
    assert shown[0] == "o.mp4: 10 %, 10/100 frames, 9 s left"
    assert shown[-1] == "o.mp4: 100 %, 100/100 frames, 2.00 frames/s, writing the output"


def test_counts_and_percentages_agree(capsys, monkeypatch):
    """The network's passes come before the first frame, and the position stops short of the last one until it is there."""
    events = [Planned("a", "o.mp4", 48, 0, 1, 8, 8, "codec")]
    events += [Advanced("a", "upscaling", i / 4, 48, 9.0) for i in range(1, 192)]
    events += [FrameDone(i, 48, 2.0, (48 - i) / 2) for i in range(1, 49)]
    shown = lines(capsys, events, monkeypatch, 40)
    found = [re.match(r"o.mp4: (\d+) %, (\d+)/48 frames", line).groups() for line in shown]
    for percent, count in found:
        assert 100 * int(count) / 48 <= int(percent) + 1 and int(percent) <= 100 * (int(count) + 1) / 48
    assert [int(count) for _, count in found] == sorted(int(count) for _, count in found)
    assert found[-1] == ("100", "48") and all(percent != "100" for percent, count in found if count != "48")


def test_a_log_has_a_line_per_half_minute(capsys, monkeypatch):
    events = [ScanStarted("a.mp4"), *(Advanced("a.mp4", "reading", i, 5000) for i in range(100))]
    events += [Planned("a.mp4", "o.mp4", 5000, 0, 1, 8, 8, "codec")]
    events += [FrameDone(i, 5000, 1.0, 5000 - i) for i in range(1, 91)]
    shown = lines(capsys, events, monkeypatch)
    reading = [line for line in shown if "reading" in line]
    assert len(reading) == 3 and re.fullmatch(r"a.mp4: reading, \d+/5000 frames", reading[0])
    assert len(shown) == 1 + 3 + 3


def test_a_terminal_has_a_bar_before_the_first_event(monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    monkeypatch.setattr(progress, "stderr_console", lambda: console)
    with ProgressPrinter(as_json=False) as printer:
        assert "starting" in screen.getvalue()
        printer.on_event(ScanStarted("a.mp4"))
        for event in (Advanced("a.mp4", "reading", 7, 9), Advanced("a.mp4", "upscaling", 4.5, 9, 61.0)):
            printer.on_event(event)
            assert printer._bar is not None
            printer._bar.refresh()
        assert (
            "a.mp4 reading" in screen.getvalue() and "7/9" in screen.getvalue() and "0:01:01 left" in screen.getvalue()
        )
        printer.on_event(FrameDone(1, 9, 2.0, 4.0))
        assert printer._bar.tasks[0].completed == 4.5  # never back
        drawn = [line for line in screen.getvalue().split("\r") if "reading" in line]
        assert drawn and all("7/9" in line for line in drawn)  # a phase is drawn with its own count, or not at all
        printer.on_event(Advanced("a.mp4", "estimating", 0, None))
        assert printer._bar.tasks[0].total is None
    assert all(len(line) <= 80 for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).splitlines())
