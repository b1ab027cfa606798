"""Streams from real servers on loopback: TCP, UDP and HTTP, with everything that happens to them. No test depends on speed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from codecvsr.errors import InputError
from codecvsr.streaming.api import run_live
from codecvsr.streaming.options import LiveOptions, OutputOptions
from tests.streaming.servers import Garbage, LossyRelay, Source, WebServer, free_port, is_listening, serving, wait_for
from tests.streams import encode, moving_texture

PARAMETERS = {"x264-params": "keyint=12:bframes=0:scenecut=0"}


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 frames at 24 frames/s with sound."""
    path = tmp_path_factory.mktemp("stream") / "in.ts"
    return encode(path, moving_texture(36, 48, 64, 1, 1), options=PARAMETERS, audio_first=True)


@pytest.fixture(scope="module")
def pictures_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("stream") / "in.ts", moving_texture(36, 48, 64, 1, 1), options=PARAMETERS)


def run(address, output, events=None, *, outputs=None, **options):
    options = {"model": "bicubic", "reconnect": 0.0, "timeout": 3.0, "latency": 0.1, **options}
    listener = (lambda event: None) if events is None else events.append
    return run_live(address, str(output), LiveOptions(**options), OutputOptions(**(outputs or {})), listener)


def kinds(events):
    return [event.event for event in events]


def frames_of(path):
    """Seconds of the frames that can be decoded."""
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def assert_regular(seconds):
    assert all(b > a for a, b in pairwise(seconds))


def test_tcp(stream, tmp_path):
    port = free_port()
    with serving(Source(f"tcp://127.0.0.1:{port}?listen=1", [stream])):
        report = run_when_open(port, f"tcp://127.0.0.1:{port}", tmp_path / "out.mkv")
    seconds = frames_of(tmp_path / "out.mkv")
    assert report.frames == len(seconds) == 36 and not report.lost_frames
    assert np.diff(seconds) == pytest.approx(1 / 24, abs=0.003)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert {s.codec_context.name for s in container.streams} == {"h264", "aac"}


def run_when_open(port, *arguments, **options):
    """Runs as soon as a server listens."""
    wait_for(lambda: is_listening(port))
    return run(*arguments, **options)


@pytest.mark.parametrize("says_length", [True, False])
def test_http(stream, tmp_path, says_length):
    server, events = WebServer(stream, says_length=says_length), []
    server.start()
    report = run(f"http://127.0.0.1:{server.port}/live.ts", tmp_path / "out.ts", events, reconnect=0.5)
    assert report.frames == 36
    assert ("interrupted" in kinds(events)) == (not says_length)  # the end of a file of known length is the end


def test_udp(stream, tmp_path):
    port = free_port(socket.SOCK_DGRAM)
    with serving(Source(f"udp://127.0.0.1:{port}?pkt_size=1316", [stream], loops=4)):
        report = run(f"udp://127.0.0.1:{port}", tmp_path / "out.mkv")
    assert report.frames >= 36
    assert_regular(frames_of(tmp_path / "out.mkv"))


def test_the_source_is_killed_and_comes_back(stream, tmp_path):
    port, events = free_port(), []
    source = Source(f"tcp://127.0.0.1:{port}?listen=1", [stream, stream, stream], pause=0.5)
    with serving(source):
        address = f"tcp://127.0.0.1:{port}"
        report = run_when_open(
            port, address, tmp_path / "out.mkv", events=events, reconnect=4.0, record=tmp_path / "record.ts"
        )
    seconds = frames_of(tmp_path / "out.mkv")
    assert report.frames == len(seconds) == 3 * 36
    assert report.reconnects == 2 and kinds(events).count("interrupted") == 3 and kinds(events)[-2] == "given_up"
    assert_regular(seconds)
    gaps = [gap for gap in np.diff(seconds) if gap > 0.2]
    assert len(gaps) == 2 and min(gaps) > 0.4  # as long as it was away
    assert len(frames_of(tmp_path / "record.ts")) == 3 * 36


def test_a_start_between_key_frames_waits_and_says_so(pictures_alone, tmp_path):
    port, events = free_port(), []
    with serving(Source(f"tcp://127.0.0.1:{port}?listen=1", [pictures_alone], skip=5)):
        record = tmp_path / "record.mkv"
        report = run_when_open(port, f"tcp://127.0.0.1:{port}", tmp_path / "out.mkv", events=events, record=record)
    assert report.frames == len(frames_of(record)) == 36 - 12
    assert kinds(events)[0] == "waiting" and "waiting for a key frame" in events[0].message


def test_lost_packets_are_concealed_and_counted(tmp_path):
    noise = np.random.default_rng(0).integers(0, 60, (36, 48, 64, 3), np.uint8)
    textured = np.clip(moving_texture(36, 48, 64, 1, 1).astype(int) + noise, 0, 255).astype(np.uint8)
    path = encode(tmp_path / "in.ts", textured, options={"x264-params": PARAMETERS["x264-params"], "crf": "10"})
    port, events = free_port(socket.SOCK_DGRAM), []
    relay = LossyRelay(port, 0.05, first=60)
    relay.start()
    with serving(Source(f"udp://127.0.0.1:{relay.port}?pkt_size=1316", [path], loops=6)) as source:
        report = run(f"udp://127.0.0.1:{port}", tmp_path / "out.mkv", events=events)
        assert report.frames > source.sent() / 2
    relay.stop()
    assert relay.lost > 5
    assert report.lost_frames + report.concealed_frames > 0 and "damaged" in kinds(events)
    assert_regular(frames_of(tmp_path / "out.mkv"))


def test_another_size_and_another_codec_after_the_source_came_back(stream, tmp_path):
    other = encode(tmp_path / "b.ts", moving_texture(12, 32, 48, 1, 1), codec="mpeg2video")
    port, events = free_port(), []
    with serving(Source(f"tcp://127.0.0.1:{port}?listen=1", [stream, other])):
        address = f"tcp://127.0.0.1:{port}"
        report = run_when_open(
            port, address, tmp_path / "out.mkv", events=events, reconnect=4.0, record=tmp_path / "r.ts"
        )
    assert report.frames == 48 and (report.width, report.height) == (256, 192)
    assert any("now mpeg2video, 48x32" in event.message for event in events)
    assert len(frames_of(tmp_path / "r.ts")) == 36 and len(frames_of(tmp_path / "r-2.ts")) == 12


def test_a_clock_that_jumps_goes_on(pictures_alone, tmp_path):
    jumped = tmp_path / "in.ts"
    with av.open(str(pictures_alone)) as old, av.open(str(jumped), "w", options={"output_ts_offset": "5000"}) as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = copy
                new.mux_one(packet)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(pictures_alone.read_bytes() + jumped.read_bytes() + pictures_alone.read_bytes())
    command = [sys.executable, "-m", "codecvsr", "live", "-", "-o", str(tmp_path / "out.mkv"), "-m", "bicubic"]
    subprocess.run(command, stdin=joined.open("rb"), check=True, capture_output=True)
    seconds = frames_of(tmp_path / "out.mkv")
    assert len(seconds) == 3 * 36
    assert_regular(seconds)
    assert max(np.diff(seconds)) < 0.5


def test_endless_garbage_is_one_sentence(tmp_path):
    server = Garbage()
    server.start()
    with pytest.raises(InputError, match=r"no video that can be read|has no video stream"):
        run(f"tcp://127.0.0.1:{server.port}", tmp_path / "out.mkv", timeout=60.0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_file_properly(stream, tmp_path, number):
    port, output = free_port(), tmp_path / "out.mp4"
    command = [sys.executable, "-m", "codecvsr", "live", f"tcp://127.0.0.1:{port}", "-o", str(output), "-m", "bicubic"]
    source = Source(f"tcp://127.0.0.1:{port}?listen=1", [stream], loops=1000, rate=100)
    with serving(source), subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        wait_for(lambda: output.exists() and output.stat().st_size > 20_000)
        process.send_signal(number)
        assert process.stderr is not None
        message = process.stderr.read().decode()
        assert process.wait() == 130
    assert "is complete" in message and "Traceback" not in message
    assert len(frames_of(output)) > 10


def test_a_stream_goes_out_by_udp_and_comes_in_again(stream, tmp_path):
    port, events = free_port(socket.SOCK_DGRAM), []
    made: list[object] = []
    receiver = threading.Thread(
        target=lambda: made.append(run(f"udp://127.0.0.1:{port}", tmp_path / "out.mkv", events, timeout=20.0)),
        daemon=True,
    )
    receiver.start()
    for _ in range(3):
        run(str(stream), f"udp://127.0.0.1:{port}", realtime=True)
    receiver.join(120)
    assert made and frames_of(tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].codec_context.width == 1024


def test_a_source_faster_than_this_machine_loses_nothing(pictures_alone, tmp_path):
    """It sends more than the queues store; it has to wait."""
    port = free_port()
    with serving(Source(f"tcp://127.0.0.1:{port}?listen=1", [pictures_alone], loops=4, rate=1e6)):
        report = run_when_open(port, f"tcp://127.0.0.1:{port}", tmp_path / "out.mkv")
    assert report.frames == 4 * 36 and not report.lost_frames
