"""What ``bench_upscale.py`` measures: one function per part, one dictionary per measurement."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import numpy as np
from upscale_videos import (
    cluster,
    copied,
    decode,
    finite,
    folder_bytes,
    looped,
    packets,
    run,
    run_until,
    start,
    tiny_network,
)  # fmt: skip

import codecvsr
from codecvsr.metrics.psnr import psnr
from codecvsr.train.data import original_frames
from codecvsr.upscaling.chunks import plan

ROOT = Path(__file__).resolve().parents[2]
EDGE = 4  # frames: this near to the edge of a chunk pictures may differ more


def peak_memory(clips: Path, work: Path, model: str, seconds: int, fps: int, chunk: int) -> dict[str, Any]:
    """The process's own peak, its size over time, and the most the work folder took."""
    video = looped(clips, work, seconds, fps, 640, 360)
    out = work / f"memory_{seconds}.mkv"
    arguments = [
        video,
        "-o",
        out,
        "-m",
        model,
        "--preset",
        "ultrafast",
        "--crf",
        "28",
        "--chunk",
        chunk,
        "-y",
        "--json",
    ]
    process = start(arguments, stdout=subprocess.PIPE)
    sizes, disk = [], 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        sizes.append(int(status.split("VmRSS:")[1].split()[0]) / 1024 if "VmRSS:" in status else 0.0)
        disk = max(disk, folder_bytes(out.with_name(f".{out.name}.codecvsr")))
        time.sleep(0.5)
    report = json.loads(process.communicate()[0])["made"][0]
    size = out.stat().st_size
    out.unlink()
    quarters = [round(max(part), 1) if len(part) else None for part in np.array_split(np.array(sizes), 4)]
    return {
        "model": model, "film_seconds": seconds, "chunk": chunk, "frames": report["frames"], "shards": report["shards"],
        "motion": report["motion"], "peak_mib": round(report["peak_memory_mb"], 1), "peak_mib_by_quarter": quarters,
        "work_folder_mib": round(disk / 2**20, 1), "output_mib": round(size / 2**20, 1),
        "frames_per_second": round(report["frames_per_second"], 3),
    }  # fmt: skip


def streamed(clips: Path, folder: Path, work: Path, model: str, chunk: int, frames: int) -> dict[str, Any]:
    """PSNR against the original of the whole clip and of its chunks, and between the two."""
    clip = folder / "clip.mp4"
    truth = list(original_frames(clips, folder.name))[:frames]
    whole = run(clip, work / "whole", model, len(truth), chunk=len(truth), window=len(truth))
    parts = run(clip, work / "parts", model, len(truth), chunk=chunk)
    keys = [frame.pict_type == 1 for frame in itertools.islice(decode(clip), len(truth))]
    edges = [part.start for part in plan(keys, chunk)][1:]
    scores = [(psnr(a, t), psnr(b, t), psnr(a, b)) for a, b, t in zip(whole, parts, truth, strict=True)]
    inside = [score[2] for i, score in enumerate(scores) if all(i < edge - EDGE or i >= edge + EDGE for edge in edges)]
    first, second, _ = np.mean(scores, axis=0)
    return {
        "clip": folder.name, "frames": len(truth), "chunk": chunk, "shard_edges": edges,
        "psnr_whole": round(float(first), 4), "psnr_streamed": round(float(second), 4),
        "streamed_minus_whole": round(float(second - first), 5),
        "between_min": finite(min(score[2] for score in scores)),
        "between_min_away_from_edges": finite(min(inside)),
    }  # fmt: skip


def proxy(clips: Path, folder: Path, work: Path, model: str, frames: int) -> dict[str, Any]:
    """The same decoded pictures as H.264, and as lossless HEVC and VP9, which export no vectors."""
    clip = folder / "clip.mp4"
    truth = list(original_frames(clips, folder.name))[:frames]
    found: dict[str, Any] = {"clip": folder.name, "frames": len(truth)}
    inputs = [("h264", clip, None), ("h264_dis", clip, "dis")]
    for codec, encoder, options in (
        ("hevc", "libx265", {"x265-params": "lossless=1:log-level=none"}),
        ("vp9", "libvpx-vp9", {"lossless": "1", "cpu-used": "8"}),
    ):
        inputs.append((codec, copied(clip, work / f"{codec}.mkv", encoder, options), None))
    decoded = [[frame.to_ndarray() for frame in decode(path)] for path in (clip, *(item[1] for item in inputs[2:]))]
    if not all(np.array_equal(other, decoded[0]) for other in decoded):
        raise click.ClickException("the copies differ from the pictures of the H.264 clip")
    for name, path, motion in inputs:
        pictures = run(path, work / "pictures", model, len(truth), motion=motion)
        found[f"psnr_{name}"] = round(float(np.mean([psnr(a, t) for a, t in zip(pictures, truth, strict=True)])), 4)
    for name in ("hevc", "vp9", "h264_dis"):
        found[f"{name}_minus_h264"] = round(found[f"psnr_{name}"] - found["psnr_h264"], 4)
    return found


def killed(clips: Path, work: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill runs at random moments until so many are dead; go on after each; compare every result, packet by packet.

    A moment is a number of progress events and a part of the time a frame took: from the scan to the muxing.
    """
    video, model = looped(clips, work, 2, 24, 96, 64), tiny_network(work)
    common = ["-m", model, "--preset", "ultrafast", "--chunk", "6", "--overlap", "2", "--json"]
    whole, out = work / "uninterrupted.mkv", work / "killed.mkv"
    run_until([video, "-o", whole, *common, "-y"], None, 0)
    expected, generator = packets(whole), random.Random(seed)
    out.unlink(missing_ok=True)
    shutil.rmtree(out.with_name(f".{out.name}.codecvsr"), ignore_errors=True)
    after: list[int] = []
    runs = 0
    while len(after) < kills or out.with_name(f".{out.name}.codecvsr").exists():
        events = generator.randrange(len(expected) // 2 + 1) if len(after) < kills else None
        if run_until([video, "-o", out, *common], events, generator.random()):
            after.append(events or 0)
            continue
        runs += 1
        if packets(out) != expected:
            raise click.ClickException(f"after {len(after)} kills the result differs from the uninterrupted one")
        out.unlink()
    return {
        "kills": len(after), "results_compared": runs, "frames": len(expected), "shards": -(-len(expected) // 6),
        "equal": True, "killed_after_frames_of_the_run": after,
    }  # fmt: skip


def containers() -> dict[str, Any]:
    """Run the tests of the container matrix and list what they say."""
    report = ROOT / "scripts" / "results" / ".containers.xml"
    command = [sys.executable, "-m", "pytest", "-q", "tests/video/test_containers.py", f"--junitxml={report}"]
    subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    cases: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        cases[str(case.get("name"))] = case[0].tag if len(case) and case[0].tag != "properties" else "passed"
    report.unlink()
    return {"tests": "tests/video/test_containers.py", "cases": cases}


def workers(clips: Path, work: Path, how: str) -> dict[str, Any]:
    """One against two: seconds of the whole job, and what each chunk costs more."""
    video, model = looped(clips, work, 10, 24, 160, 96), tiny_network(work)
    seconds: dict[int, float] = {}
    results = []
    common: dict[str, Any] = {"model": model, "preset": "ultrafast", "chunk": 24, "overlap": 4}
    chunks = 0
    for count in (1, 2):
        out = work / f"workers_{count}.mkv"
        out.unlink(missing_ok=True)
        with cluster(count) if how == "ray" else contextlib.nullcontext() as address:
            settings = {"ray": address} if how == "ray" else {"workers": count}
            begun = time.monotonic()
            chunks = codecvsr.upscale(video, out, **common, **settings).chunks
            seconds[count] = time.monotonic() - begun
        results.append(packets(out))
    if results[0] != results[1]:
        raise click.ClickException("two workers made other pictures than one")
    return {
        "how": how, "shards": chunks, "cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 1),
        "seconds_one": round(seconds[1], 1), "seconds_two": round(seconds[2], 1), "equal": True,
        "speed_up": round(seconds[1] / seconds[2], 2),
        "overhead_seconds_per_shard": round((seconds[2] - seconds[1] / 2) / chunks, 3),
    }  # fmt: skip
