#!/usr/bin/env python3
"""Measure what `codecvsr upscale` promises, and write the results file.

    python scripts/fetch_clips.py clips
    python scripts/bench_upscale.py --clips clips/val

Parts: `memory` (a long video against a short one), `streamed` (shards against the clip as a whole), `companion` (inputs
without vectors against H.264), `kills` (kill -9 at random moments), `containers` (the tests of the container matrix) and
`workers` (two processes, and two Ray nodes, against one). Every figure is one cell, kept under a key that names the weights
it depends on: cells the results file holds already are not computed again, so the command can be stopped and repeated.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import platform
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import click
import numpy as np
import torch
from safetensors.torch import save_file

import codecvsr
from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.cli import cli
from codecvsr.files import atomic_file, read_image
from codecvsr.metrics.psnr import psnr
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.zoo import load_model
from codecvsr.pipeline.benchmark import BenchmarkSettings, crf_label, make_benchmark
from codecvsr.pipeline.resize import resample
from codecvsr.pipeline.shards import plan
from codecvsr.train.data import original_frames

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "scripts" / "results" / "upscale.json"
PARTS = ("memory", "streamed", "companion", "kills", "containers", "workers")
LOOP_SECONDS = 5  # a film of any length is so much of a clip, again and again
EDGE = 4  # frames: this near to the edge of a shard the pictures may differ more
Cells = dict[str, dict[str, Any]]


@click.command(help=__doc__)
@click.option("--clips", type=click.Path(path_type=Path), required=True, help="Folder of validation clips.")
@click.option(
    "--work", type=click.Path(path_type=Path), default=Path("bench"), show_default=True, help="Scratch folder."
)
@click.option("--parts", default=",".join(PARTS), show_default=True, help="What to measure.")
@click.option("-m", "--model", default="codecvsr", show_default=True, help="A name or weights file.")
@click.option("--names", default="", help="Comma-separated clips; all by default.")
@click.option("--frames", type=int, default=96, show_default=True, help="Of each clip, for streamed and companion.")
@click.option("--crf", type=float, default=25, show_default=True, help="Of the clips, for streamed and companion.")
@click.option("--chunks", default="24,48", show_default=True, help="Frames of a shard, for streamed.")
@click.option("--memory", default="bicubic:30,bicubic:600", show_default=True,
              help="MODEL:SECONDS of the 360p films, for memory.")  # fmt: skip
@click.option("--memory-fps", type=int, default=24, show_default=True, help="Their frames per second.")
@click.option("--kills", type=int, default=20, show_default=True, help="How many processes are killed.")
@click.option("--ray/--no-ray", default=True, show_default=True, help="Measure workers on a local Ray cluster, too.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def main(
    clips: Path, work: Path, parts: str, model: str, names: str, frames: int, crf: float, chunks: str, memory: str,
    memory_fps: int, kills: int, ray: bool, results: Path,
) -> None:  # fmt: skip
    """Measure what is missing."""
    wanted = parts.split(",")
    if unknown := set(wanted) - set(PARTS):
        raise click.BadParameter(f"no such part: {', '.join(sorted(unknown))}.")
    work.mkdir(parents=True, exist_ok=True)
    stored = json.loads(results.read_text()) if results.is_file() else {"cells": [], "commands": []}
    cells: Cells = {cell["key"]: cell for cell in stored["cells"]}
    weights = load_model(model).sha256 or model

    def cell(part: str, key: str, make: Callable[[], dict[str, Any]]) -> None:
        key = f"{part} {key}"
        if key not in cells:
            begun = time.monotonic()
            made = make()
            cells[key] = {"key": key, "part": part, **made, "cell_seconds": round(time.monotonic() - begun, 1)}
            click.echo(json.dumps(cells[key]))
            save(results, cells, stored["commands"], weights)

    chosen = names.split(",") if names else sorted(path.stem for path in clips.glob("*.mp4"))
    bench = work / f"{clips.name}_{crf_label(crf)}"
    if {"streamed", "companion"} & set(wanted):
        missing = [name for name in chosen if not (bench / name / "meta.json").is_file()]
        if missing:
            make_benchmark(clips, work, BenchmarkSettings(crfs=(crf,)), clips=missing)
    tag = weights[:12]
    for part in wanted:
        if part == "memory":
            for name, seconds in (item.rsplit(":", 1) for item in memory.split(",")):
                key = f"{name} {(load_model(name).sha256 or '-')[:12]} 640x360 {seconds} s at {memory_fps}"
                cell(part, key, lambda n=name, s=int(seconds): peak_memory(clips, work, n, s, memory_fps))
        elif part == "streamed":
            for name in chosen:
                for chunk in map(int, chunks.split(",")):
                    key = f"{name} {crf_label(crf)} {frames} chunk {chunk} {tag}"
                    cell(part, key, lambda n=name, c=chunk: streamed(clips, bench / n, work, model, c, frames))
        elif part == "companion":
            for name in chosen:
                key = f"{name} {crf_label(crf)} {frames} {tag}"
                cell(part, key, lambda n=name: companion(clips, bench / n, work, model, frames))
        elif part == "kills":
            cell(part, f"{kills} kills", lambda: killed(clips, work, kills))
        elif part == "containers":
            cell(part, "matrix", containers)
        else:
            for how in ("processes", *(["ray"] if ray else [])):
                cell(part, how, lambda h=how: workers(clips, work, h))
    save(results, cells, stored["commands"], weights)


# --- the parts --------------------------------------------------------------------------------------------------------


def peak_memory(clips: Path, work: Path, model: str, seconds: int, fps: int) -> dict[str, Any]:
    """The process's own peak, its size over time, and the most the work folder took."""
    film = looped(clips, work, seconds, fps, 640, 360)
    out = work / f"memory_{seconds}.mkv"
    arguments = [film, "-o", out, "-m", model, "--preset", "ultrafast", "--crf", "28", "-y", "--json"]
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
        "model": model, "film_seconds": seconds, "frames": report["frames"], "shards": report["shards"],
        "motion": report["motion"], "peak_mib": round(report["peak_memory_mb"], 1), "peak_mib_by_quarter": quarters,
        "work_folder_mib": round(disk / 2**20, 1), "output_mib": round(size / 2**20, 1),
        "frames_per_second": round(report["frames_per_second"], 3),
    }  # fmt: skip


def streamed(clips: Path, folder: Path, work: Path, model: str, chunk: int, frames: int) -> dict[str, Any]:
    """PSNR against the original of the whole clip and of its shards, and between the two."""
    clip = folder / "clip.mp4"
    truth = list(original_frames(clips, folder.name))[:frames]
    whole = run(clip, work / "whole", model, len(truth), chunk=len(truth), window=len(truth))
    parts = run(clip, work / "parts", model, len(truth), chunk=chunk)
    keys = [frame.pict_type == 1 for frame in itertools.islice(decode(clip), len(truth))]
    edges = [shard.start for shard in plan(keys, chunk)][1:]
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


def companion(clips: Path, folder: Path, work: Path, model: str, frames: int) -> dict[str, Any]:
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
        raise click.ClickException("the copies do not hold the pictures of the H.264 clip")
    for name, path, motion in inputs:
        pictures = run(path, work / "pictures", model, len(truth), motion=motion)
        found[f"psnr_{name}"] = round(float(np.mean([psnr(a, t) for a, t in zip(pictures, truth, strict=True)])), 4)
    for name in ("hevc", "vp9", "h264_dis"):
        found[f"{name}_minus_h264"] = round(found[f"psnr_{name}"] - found["psnr_h264"], 4)
    return found


def killed(clips: Path, work: Path, kills: int) -> dict[str, Any]:
    """Kill runs at random moments until so many are dead; go on after each; compare every result, packet by packet.

    A moment is a number of progress events and a part of the time a frame took: from the survey to the putting together, and
    whatever else the machine does.
    """
    film, model = looped(clips, work, 2, 24, 96, 64), tiny_network(work)
    common = ["-m", model, "--preset", "ultrafast", "--chunk", "6", "--overlap", "2", "--json"]
    whole, out = work / "uninterrupted.mkv", work / "killed.mkv"
    run_until([film, "-o", whole, *common, "-y"], None, 0)
    expected, generator = packets(whole), random.Random(20)
    out.unlink(missing_ok=True)
    after: list[int] = []
    runs = 0
    while len(after) < kills or out.with_name(f".{out.name}.codecvsr").exists():
        events = generator.randrange(len(expected) // 2 + 1) if len(after) < kills else None
        if run_until([film, "-o", out, *common], events, generator.random()):
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


def run_until(arguments: list[Any], events: int | None, part: float) -> bool:
    """The command in a forked process, which spares loading PyTorch; kill -9 after so many progress events, or never.

    Returns:
        Whether it was killed before it ended.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
        try:
            cli.main(["upscale", *map(str, arguments)], standalone_mode=False)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    seen, last, step = 0, time.monotonic(), 0.2
    with os.fdopen(read) as lines:
        if events == 0:
            time.sleep(part * step)
            os.kill(child, signal.SIGKILL)
        for line in lines:
            if not line.startswith("{") or json.loads(line)["event"] != "progress":
                continue
            seen, last, step = seen + 1, time.monotonic(), time.monotonic() - last
            if seen == events:
                time.sleep(part * step)
                os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.waitstatus_to_exitcode(status):
        raise click.ClickException(f"upscale {shlex.join(map(str, arguments))} failed")
    return False


def containers() -> dict[str, Any]:
    """Run the tests of the container matrix and list what they say."""
    report = RESULTS.with_name(".containers.xml")
    command = [sys.executable, "-m", "pytest", "-q", "tests/pipeline/test_containers.py", f"--junitxml={report}"]
    subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    cases: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        cases[str(case.get("name"))] = case[0].tag if len(case) and case[0].tag != "properties" else "passed"
    report.unlink()
    return {"tests": "tests/pipeline/test_containers.py", "cases": cases}


def workers(clips: Path, work: Path, how: str) -> dict[str, Any]:
    """One against two: seconds of the whole job, and what each shard costs more."""
    film, model = looped(clips, work, 10, 24, 160, 96), tiny_network(work)
    seconds: dict[int, float] = {}
    results = []
    common: dict[str, Any] = {"model": model, "preset": "ultrafast", "chunk": 24, "overlap": 4}
    shards = 0
    for count in (1, 2):
        out = work / f"workers_{count}.mkv"
        out.unlink(missing_ok=True)
        with cluster(count) if how == "ray" else contextlib.nullcontext() as address:
            settings = {"ray": address} if how == "ray" else {"workers": count}
            begun = time.monotonic()
            shards = codecvsr.upscale(film, out, **common, **settings).shards
            seconds[count] = time.monotonic() - begun
        results.append(packets(out))
    if results[0] != results[1]:
        raise click.ClickException("two workers made other pictures than one")
    return {
        "how": how, "shards": shards, "cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 1),
        "seconds_one": round(seconds[1], 1), "seconds_two": round(seconds[2], 1), "equal": True,
        "speed_up": round(seconds[1] / seconds[2], 2),
        "overhead_seconds_per_shard": round((seconds[2] - seconds[1] / 2) / shards, 3),
    }  # fmt: skip


# --- what they need ---------------------------------------------------------------------------------------------------


def run(source: Path, target: Path, model: str, frames: int, **options: Any) -> Iterator[np.ndarray]:
    """The first frames of a 24 fps clip, upscaled: (H, W, 3) uint8 each."""
    codecvsr.upscale(source, target, model=model, end=(frames - 0.5) / 24, overwrite=True, **options)
    return map(read_image, sorted(target.iterdir()))


def start(arguments: list[Any], **keywords: Any) -> subprocess.Popen[bytes]:
    """Begin ``codecvsr upscale``; its messages go nowhere."""
    command = [sys.executable, "-m", "codecvsr", "upscale", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, **{"stdout": subprocess.DEVNULL, **keywords})


def looped(clips: Path, work: Path, seconds: int, fps: int, width: int, height: int) -> Path:
    """A film of any length: the beginning of the first clip, shrunk, coded once and copied again and again."""
    film = work / f"film_{width}x{height}_{fps}fps_{seconds}s.mp4"
    if film.is_file():
        return film
    frames = [resample(rgb, height, width) for rgb in original_frames(clips, min(clips.glob("*.mp4")).stem)]
    count = fps * min(LOOP_SECONDS, seconds)
    there_and_back = frames + frames[-2:0:-1]
    piece = work / "piece.mp4"
    encode_h264(itertools.islice(itertools.cycle(there_and_back), count), piece, EncodeSettings(25, fps=Fraction(fps)))
    with av.open(str(piece)) as old, atomic_file(film) as part, av.open(str(part), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        held = [packet for packet in old.demux(old.streams.video[0]) if packet.size]
        length = round(Fraction(count, fps) / held[0].time_base)
        for number in range(seconds * fps // count):
            for packet in held:
                again = av.Packet(bytes(packet))
                again.pts, again.dts = packet.pts + number * length, packet.dts + number * length
                again.time_base, again.is_keyframe, again.stream = packet.time_base, packet.is_keyframe, copy
                again.duration = packet.duration
                new.mux(again)
    return film


@contextlib.contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """A Ray cluster on this machine, of so many nodes with one core each; yields its address."""
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            made.add_node(num_cpus=1, include_dashboard=False)
        made.wait_for_nodes()
        yield made.address
    finally:
        ray.shutdown()
        made.shutdown()


def decode(path: Path) -> Iterator[av.VideoFrame]:
    """The decoded pictures of a video."""
    with av.open(str(path)) as container:
        yield from container.decode(container.streams.video[0])


def copied(clip: Path, path: Path, encoder: str, options: dict[str, str]) -> Path:
    """The decoded pictures of a clip, without loss, in another codec."""
    with av.open(str(path), "w") as new:
        stream = new.add_stream(encoder, rate=24, options=options)
        for frame in decode(clip):
            if not stream.codec_context.is_open:
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
            plain = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
            plain.pts, plain.time_base = frame.pts, frame.time_base
            new.mux(stream.encode(plain))
        new.mux(stream.encode(None))
    return path


def tiny_network(work: Path) -> Path:
    """Weights of a network so small that the pipeline around it is what takes the time."""
    path = work / "tiny.safetensors"
    if not path.is_file():
        generator = torch.Generator().manual_seed(1)
        state = CodecVSR(channels=8, blocks=1).state_dict()
        state = {k: torch.randn(v.shape, generator=generator) * 0.05 if v.ndim == 4 else v for k, v in state.items()}
        save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path


def packets(path: Path) -> list[tuple[int | None, bytes]]:
    """Times and bytes of a video's coded pictures."""
    with av.open(str(path)) as container:
        return [(p.pts, bytes(p)) for p in container.demux(container.streams.video[0]) if p.size]


def folder_bytes(folder: Path) -> int:
    """What a folder takes while others write to it and remove from it."""
    total = 0
    for path in folder.glob("**/*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def finite(value: float) -> float | str:
    """A PSNR as JSON holds it."""
    return "inf" if math.isinf(value) else round(float(value), 2)


def save(results: Path, cells: Cells, commands: list[str], weights: str) -> None:
    """Write the results file."""
    command = shlex.join(["python", *map(str, sys.argv)])
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    content = {
        "commands": commands if command in commands else [*commands, command],
        "machine": f"{os.cpu_count()} CPU cores, {platform.machine()}, {memory:.0f} GiB; other jobs ran at the same time",
        "versions": {
            "codecvsr": codecvsr.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "av": av.__version__,
            "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
        },
        "weights_sha256": weights,
        "cells": sorted(cells.values(), key=lambda cell: (PARTS.index(cell["part"]), cell["key"])),
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(results) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
