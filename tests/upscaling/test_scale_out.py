"""Several workers: processes of one machine and tasks of a Ray cluster; the same result, and lost ones are replaced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import codecvsr
from codecvsr.errors import InputError, OutputError
from codecvsr.files import read_image
from codecvsr.upscaling import worker_pool as worker_pool_module
from codecvsr.upscaling.checkpoint_dir import checkpoint_path
from codecvsr.upscaling.worker_pool import WorkerPool
from tests.videos import make_video, read, small_network

FRAMES = 24
OPTIONS = {"preset": "ultrafast", "chunk": 4, "overlap": 2}
CHUNKS = 6


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return small_network(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("video") / "video.mkv", FRAMES)


@pytest.fixture(scope="module")
def whole(video, small, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "whole.mkv"
    codecvsr.upscale(video, out, model=small, **OPTIONS)
    return read(out)


def children():
    """Process ids of the workers this process started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = int(status.read_text().split("PPid:")[1].split()[0])
            command = (status.parent / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == os.getpid() and b"codecvsr.upscaling.worker" in command:
            found.append(int(status.parent.name))
    return found


def test_two_workers_make_what_one_makes_and_a_lost_one_is_replaced(video, small, whole, tmp_path):
    out, preview = tmp_path / "o.mkv", tmp_path / "now.png"
    events, killed = [], []

    def listen(event):
        events.append(event)
        if event["event"] == "progress" and event["frame"] >= 3 and not killed:
            killed.append(children()[0])
            os.kill(killed[0], signal.SIGKILL)

    report = codecvsr.upscale(video, out, model=small, workers=2, listener=listen, preview=preview, **OPTIONS)
    assert report.workers == 2 and report.frames == FRAMES and report.peak_memory_mb > 50
    assert read(out) == whole
    assert [e["event"] for e in events].count("retry") >= 1 and killed
    assert (
        [e for e in events if e["event"] == "progress"][-1]["frame"] == FRAMES
        and not children()
        and not checkpoint_path(out).exists()
    )
    assert read_image(preview).shape == (4 * 48, 4 * 32, 3)  # right side up


def test_interrupted_work_goes_on_with_another_number_of_workers(video, small, whole, tmp_path):
    out = tmp_path / "o.mkv"

    def stop(event):
        if event["event"] == "progress" and event["frame"] >= 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=f"of {FRAMES} frames are done .* Run the same command to go on"):
        codecvsr.upscale(video, out, model=small, workers=2, listener=stop, **OPTIONS)
    assert not children() and not out.exists()
    report = codecvsr.upscale(video, out, model=small, **OPTIONS)
    assert 0 < report.resumed_frames < FRAMES and read(out) == whole


def test_what_a_worker_cannot_do_is_said_here(video, small, tmp_path):
    def lose(event):
        if event["event"] == "plan":
            small_copy.unlink()

    small_copy = tmp_path / "w.safetensors"
    small_copy.write_bytes(small.read_bytes())
    with pytest.raises(InputError, match=r"w.safetensors"):
        codecvsr.upscale(video, tmp_path / "o.mkv", model=small_copy, workers=2, listener=lose, **OPTIONS)
    with pytest.raises(InputError, match="choose one of them"):
        codecvsr.upscale(video, tmp_path / "o.mkv", model=small, workers=2, ray="auto")


def test_workers_that_always_end_are_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool_module.sys, "executable", "/bin/false")
    with (
        WorkerPool(2, {"output": "o.mkv", "options": {"device": "cpu"}}) as pool,
        pytest.raises(OutputError, match="use fewer"),
    ):
        pool.run([type("S", (), {"index": i})() for i in range(3)], lambda event: None)


def test_workers_end_when_whoever_started_them_is_killed(video, small, tmp_path):
    out = tmp_path / "o.mkv"
    command = [sys.executable, "-m", "codecvsr", "upscale", video, "-o", out, "-m", small, "--workers", "2", "--json",
               "--chunk", "4", "--overlap", "2", "--preset", "ultrafast"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=environment)
    for line in process.stderr:
        if line.startswith("{") and json.loads(line)["event"] == "progress":
            break
    workers = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    )
    process.kill()
    process.wait()
    process.stderr.close()
    pids = workers.stdout.split()
    assert len(pids) == 2
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "a worker went on"
        time.sleep(0.05)


def test_no_cluster_is_said(video, small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'codecvsr\[ray\]'"):
        codecvsr.upscale(video, tmp_path / "o.mkv", model=small, ray="auto", **OPTIONS)
    assert not checkpoint_path(tmp_path / "o.mkv").exists()


@pytest.mark.slow
def test_a_cluster_of_two_nodes_one_of_which_dies(video, small, whole, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1, include_dashboard=False)
    killed = []

    def listen(event):
        if event["event"] == "progress" and not killed:
            killed.append(event["frame"])
            cluster.remove_node(second, allow_graceful=False)

    try:
        cluster.wait_for_nodes()
        out = tmp_path / "o.mkv"
        report = codecvsr.upscale(video, out, model=small, ray=cluster.address, listener=listen, **OPTIONS)
        assert report.frames == FRAMES and killed and killed[0] < FRAMES
        assert read(out) == whole
    finally:
        ray.shutdown()
        cluster.shutdown()
