#!/usr/bin/env python3
"""Measure `codecvsr live`: what look-ahead is worth, and a paced run, and write the results file.

    python scripts/bench/bench_live.py look-ahead --clips bench/val_CRF15,bench/val_CRF25,bench/val_CRF35 --gt-root clips/val
    python scripts/bench/bench_live.py paced --minutes 10 --taskset 0,1
    python scripts/bench/bench_live.py paced --minutes 2 --fps 24 --taskset 0,1
    python scripts/bench/bench_live.py paced --minutes 2 --fps 10 --size 640x360 --taskset 0,1
    python scripts/bench/bench_live.py disturbed

`look-ahead` compares with the whole clip at once, as `infer` does it, on a part from the middle of every frame. `paced` sends a
stream by TCP from another process, at its own rate, and reads the report of `codecvsr live`; every line of the results is one command.
`disturbed` kills the source, loses datagrams, and loads the machine, and counts how often the output goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
import live_disturbances
import numpy as np
import torch
from live_look_ahead import measured_table
from results_files import TITLE_CARD, with_this_command, write_results
from speed_subjects import machine, machine_label

from codecvsr.versions import versions

RESULTS = Path(__file__).resolve().parents[1] / "results" / "live.json"


@click.group(help=__doc__)
def main() -> None:
    """See the help text."""


def _store(results: Path, kind: str, entries: Sequence[dict[str, Any]], note: str) -> None:
    """Adds measurements to the results file; they replace those of the same subject."""
    empty: dict[str, Any] = {"commands": [], "machines": {}, "look_ahead": [], "paced": [], "disturbed": []}
    content = empty | (json.loads(results.read_text()) if results.is_file() else {})
    about = machine(torch.device("cpu"))
    label = machine_label(about)
    content["machines"][label] = {**about, "versions": versions()}
    new = [{**entry, "machine": label, **({"note": note} if note else {})} for entry in entries]
    subjects = [entry["subject"] for entry in new]
    content[kind] = [entry for entry in content[kind] if entry["subject"] not in subjects] + new
    content["commands"] = with_this_command(content["commands"])
    write_results(results, content)
    click.echo(json.dumps(new, indent=1))


@main.command("look-ahead")
@click.option("--clips", required=True, help="Comma-separated folders of benchmark clips.")
@click.option("--gt-root", type=click.Path(path_type=Path), required=True, help="Folder of their originals.")
@click.option("--names", default="lake,park", show_default=True, help="Comma-separated clips.")
@click.option("--models", default="codecvsr,codecvsr-fast", show_default=True, help="Comma-separated models.")
@click.option("--look-ahead", default="0,1,2,4,8,16", show_default=True, help="Comma-separated numbers of frames.")
@click.option("--scored", default=10, show_default=True, help="Frames of each clip that are scored.")
@click.option(
    "--crop", default="96x160", show_default=True, help="Height and width of the part of a frame, in multiples of 16."
)
@click.option("--note", default="", help="A remark for the results file.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def look_ahead(
    clips: str,
    gt_root: Path,
    names: str,
    models: str,
    look_ahead: str,
    scored: int,
    crop: str,
    note: str,
    results: Path,
) -> None:
    """PSNR of the shipped weights against the number of frames seen ahead."""
    height, width = map(int, crop.split("x"))
    ahead = [int(n) for n in look_ahead.split(",")]
    for root in map(Path, clips.split(",")):
        for model in models.split(","):
            table = measured_table(root, gt_root, names.split(","), model, ahead, scored, (height, width))
            subject = f"{model}, CRF {root.name.rpartition('CRF')[2]}"
            _store(results, "look_ahead", [{"subject": subject, "scored_frames": scored, "crop": crop, **table}], note)


@main.command()
@click.option("--minutes", default=1.0, show_default=True, help="Length of the run.")
@click.option("--model", default="codecvsr-fast", show_default=True, help="The best network.")
@click.option("--size", default="320x180", show_default=True, help="Width and height of the source.")
@click.option("--fps", default=15, show_default=True, help="Frames per second of the source.")
@click.option("--latency", default=1.0, show_default=True, help="As of codecvsr live.")
@click.option("--taskset", default="", help="Processors that the command may use, such as 0,1.")
@click.option("--note", default="", help="A remark for the results file.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def paced(
    minutes: float, model: str, size: str, fps: int, latency: float, taskset: str, note: str, results: Path
) -> None:
    """A stream at its own rate: frames, latency, memory, and which networks kept up."""
    width, height = map(int, size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.ts"
        _make_clip(clip, width, height, fps)
        port = _free_port()
        address = f"tcp://127.0.0.1:{port}?listen=1"
        source = subprocess.Popen(
            [sys.executable, __file__, "serve", str(clip), address, str(round(minutes * 60 * fps))],
            stdout=subprocess.PIPE,
        )
        time.sleep(5)  # until it listens
        command = [
            sys.executable, "-m", "codecvsr", "live", f"tcp://127.0.0.1:{port}", "-o", f"{folder}/out.ts", "-m", model, "--latency",
            str(latency), "--reconnect", "0", "--json",
        ]  # fmt: skip
        limited = ["taskset", "-c", taskset, *command] if taskset else command
        with subprocess.Popen(limited, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            resident = _watch(process)
            assert process.stdout is not None and process.stderr is not None
            report, events = json.loads(process.stdout.read()), process.stderr.read().splitlines()
        source.communicate()
    early, late = _quarters(resident)
    changes = [json.loads(line) for line in events if '"level"' in line]
    entry = {
        "subject": f"{model}, {size} at {fps} frames/s, latency {latency:g} s, {minutes:g} min",
        "sent_frames": round(minutes * 60 * fps),
        "frames": report["frames"],
        "latency_median": report["latency_median"],
        "latency_p99": report["latency_p99"],
        "level_seconds": report["level_seconds"],
        "level_changes": len(changes),
        "resident_mb": {"second_quarter": early, "last_quarter": late},
        "load_average": os.getloadavg(),
        "taskset": taskset,
    }
    _store(results, "paced", [entry], note)


def _watch(process: subprocess.Popen[str]) -> list[float]:
    """Returns the resident MiB of a process, every second until its end."""
    sizes = []
    while process.poll() is None:
        try:
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            break
        sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
        time.sleep(1)
    return sizes


def _quarters(sizes: Sequence[float]) -> tuple[float, float]:
    """Returns the medians of the second and of the last quarter: what comes before is the start."""
    quarter = max(len(sizes) // 4, 1)
    return round(float(np.median(sizes[quarter : 2 * quarter])), 1), round(float(np.median(sizes[-quarter:])), 1)


def _make_clip(path: Path, width: int, height: int, fps: int) -> None:
    """Encodes the title card at another size and rate, as a camera would: P-frames, a key frame every two seconds."""
    with av.open(str(TITLE_CARD)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream(
            "libx264", rate=fps, options={"crf": "25", "bf": "0", "g": str(2 * fps), "preset": "veryfast"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index, frame in enumerate(old.decode(video=0)):
            if index == 10 * fps:
                break
            scaled = frame.reformat(width, height, "yuv420p")
            scaled.pts, scaled.time_base = index, Fraction(1, fps)
            new.mux(stream.encode(scaled))
        new.mux(stream.encode(None))


@main.command()
@click.option("--times", default=20, show_default=True, help="Disturbances of each kind.")
@click.option("--model", default="codecvsr-fast", show_default=True, help="The best network.")
@click.option("--kinds", default="killed,lossy,loaded", show_default=True, help="Comma-separated disturbances.")
@click.option("--note", default="", help="A remark for the results file.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def disturbed(times: int, model: str, kinds: str, note: str, results: Path) -> None:
    """A stream of 320x180 at 15 frames/s, disturbed: does the output go on?"""
    run = {"killed": live_disturbances.killed, "lossy": live_disturbances.lossy, "loaded": live_disturbances.loaded}
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.ts"
        _make_clip(clip, 320, 180, 15)

        def serve(address: str, lost: float) -> subprocess.Popen[bytes]:
            command = [sys.executable, __file__, "serve", str(clip), address, str(10**9), "--lost", str(lost)]
            return subprocess.Popen(command, stdout=subprocess.PIPE)

        for kind in kinds.split(","):
            entry = run[kind](serve, _free_port(), Path(folder), model, times)
            _store(results, "disturbed", [{**entry, "load_average": os.getloadavg()}], note)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@main.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.argument("address")
@click.argument("frames", type=int)
@click.option("--lost", default=0.0, help="Share of UDP datagrams that are lost.")
def serve(clip: Path, address: str, frames: int, lost: float) -> None:
    """Sends the packets of a clip, over and over, at their own rate; prints how many, at its end or at SIGTERM."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: over.set())
    port = int(address.rpartition(":")[2].partition("?")[0])
    target = live_disturbances.LossyDatagrams(port, lost) if address.startswith("udp:") else None
    sent = 0
    with av.open(str(clip)) as old, contextlib.suppress(av.FFmpegError, OSError):  # the reader may leave
        packets = [(bytes(p), p.is_keyframe) for p in old.demux(video=0) if p.size]
        rate = old.streams.video[0].average_rate
        with av.open(target or address, "w", format="mpegts", options={"flush_packets": "1"}) as out:
            copy = out.add_stream_from_template(old.streams.video[0])
            begun = None
            while sent < frames and not over.is_set():
                data, is_key = packets[sent % len(packets)]
                packet: av.Packet = av.Packet(data)
                packet.time_base, packet.pts, packet.dts, packet.duration = 1 / rate, sent, sent, 1
                packet.is_keyframe, packet.stream = is_key, copy
                out.mux_one(packet)
                sent += 1
                begun = time.monotonic() if begun is None else begun
                over.wait(max(begun + sent / rate - time.monotonic(), 0))
    counts = {} if target is None else {"sent_datagrams": target.sent, "lost_datagrams": target.lost}
    click.echo(json.dumps({"sent_frames": sent, **counts}))


if __name__ == "__main__":
    main()
