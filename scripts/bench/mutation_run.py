#!/usr/bin/env python3
"""Damage small videos at random and upscale each: every run has to end in time, with an output or a clean error.

python scripts/bench/mutation_run.py --cpu-minutes 60 --out scripts/results/mutations.json

A run counts as a fault if it does not end within the limits, is killed by a signal, prints a traceback or "internal error", ends with
another exit code than 0, 1 or 3, has exit code 0 and no readable output, or changes a file that it did not make.
"""

from __future__ import annotations

import hashlib
import os
import platform
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
from results_files import with_this_command, write_results

SECONDS, MEGABYTES = 120, 3000  # limits of a run
FRAMES, RATE = 12, Fraction(24)

# Containers and the encoders they store.
CONTAINERS = {
    "mp4": "libx264 libx265 mpeg4 mpeg2video libsvtav1 libvpx-vp9",
    "mov": "libx264 mjpeg prores_ks dvvideo mpeg4",
    "mkv": "libx264 libx265 libvpx libvpx-vp9 ffv1 mpeg2video mjpeg",
    "webm": "libvpx libvpx-vp9 libsvtav1",
    "avi": "libx264 mpeg4 mjpeg ffv1 huffyuv dvvideo wmv2 h263p",
    "ts": "libx264 libx265 mpeg2video",
    "mpg": "mpeg1video mpeg2video",
    "flv": "libx264 flv",
    "wmv": "wmv1 wmv2 mpeg4",
    "3gp": "libx264 mpeg4",
    "mxf": "mpeg2video dvvideo libx264",
    "nut": "libx264 mpeg4 ffv1 flv",
}
SIZES = ((64, 48), (98, 66), (176, 144))
FIXED_SIZES = {"dvvideo": (720, 576), "h263p": (176, 144)}
FORMATS = {"prores_ks": "yuv422p10le", "mjpeg": "yuvj420p", "huffyuv": "yuv422p"}
MUTATIONS = ("bits", "cut", "joined", "header", "zeros", "gap", "none")


def make(path: Path, encoder: str, size: tuple[int, int], seed: int) -> None:
    """Write a moving texture of 12 frames with a tone of half a second beside it where the container takes one."""
    rng = np.random.default_rng(seed)
    width, height = FIXED_SIZES.get(encoder, size)
    canvas = rng.integers(0, 255, (height // 8 + 4, width // 8 + 4, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as out:
        rate = Fraction(25) if encoder == "dvvideo" or path.suffix == ".mxf" else RATE
        stream = out.add_stream(encoder, rate=rate)
        stream.width, stream.height = width, height
        stream.pix_fmt = FORMATS.get(encoder, "yuv420p")
        stream.gop_size = int(rng.integers(2, 12))
        if encoder in ("libx264", "libx265"):
            stream.options = {"preset": "ultrafast", "x265-params": "log-level=none"}
        for index in range(FRAMES):
            shift = index * int(rng.integers(1, 3))
            picture = np.ascontiguousarray(canvas[shift % 16 :, shift % 16 :][:height, :width])
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index
            out.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        out.mux(stream.encode(None))


def mutate(data: bytes, other: bytes, kind: str, rng: random.Random) -> bytes:
    """Return ``data`` damaged in one way; ``other`` is a second file's content."""
    damaged = bytearray(data)
    if kind == "bits":
        for _ in range(rng.choice((1, 3, 10, 100))):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del damaged[rng.randrange(len(damaged)) :]
    elif kind == "joined":
        damaged += other
    elif kind == "header":
        length = min(rng.choice((16, 64, 512, 2048)), len(data), len(other))
        damaged[:length] = other[:length]
    else:
        start = rng.randrange(len(damaged))
        end = min(len(damaged), start + rng.choice((1, 32, 500, 4000)))
        if kind == "zeros":
            damaged[start:end] = bytes(end - start)
        elif kind == "gap":
            del damaged[start:end]
    return bytes(damaged)


def run(command: list[str], log: Path) -> tuple[int, float, float, float]:
    """Run a command; return its exit code (negative: a signal), seconds, processor seconds and peak memory in MB.

    Linux begins the peak of a new program at that of the process that starts it, so call this from a small one.
    """
    begun = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() - begun > SECONDS:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    processor = usage.ru_utime + usage.ru_stime
    return process.returncode, time.monotonic() - begun, processor, usage.ru_maxrss / 1024


def fault_of(code: int, seconds: float, memory: float, text: str, output: Path) -> str:
    """Return what is wrong with the end of a run; empty if nothing is."""
    if seconds > SECONDS:
        return f"no end within {SECONDS} s"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    if "Traceback" in text or "internal error" in text.lower():
        return "a traceback or an internal error"
    if code not in (0, 1, 3):
        return f"exit code {code}"
    if code == 1 and "error:" not in text:
        return "an exit code of 1 without an error"
    if memory > MEGABYTES:
        return f"{memory:.0f} MB of memory"
    if code == 0:
        try:
            with av.open(str(output)) as result:
                next(result.decode(video=0))
        except (av.FFmpegError, OSError, StopIteration) as error:
            return f"an output that cannot be read ({type(error).__name__})"
    return ""


@click.command(help=__doc__)
@click.option("--cpu-minutes", type=float, default=60.0, show_default=True, help="Processor time of all runs together.")
@click.option("--files", type=int, default=200, show_default=True, help="Number of sound files.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of all files and damages.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the inputs that showed a fault.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON file of the results.")
def main(cpu_minutes: float, files: int, seed: int, keep: Path | None, out: Path) -> None:
    """Make the files, run until the processor time is used, and write the counts."""
    rng = random.Random(seed)
    codecvsr = Path(sys.executable).with_name("codecvsr")
    counts: dict[str, Counter[str]] = {
        "ends": Counter(),
        "containers": Counter(),
        "encoders": Counter(),
        "damages": Counter(),
    }
    faults: list[dict[str, Any]] = []
    used = longest = largest = 0.0
    runs = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pairs = [(suffix, encoder) for suffix, encoders in CONTAINERS.items() for encoder in encoders.split()]
        sources: list[tuple[Path, str]] = []
        for index in range(files):
            suffix, encoder = pairs[index % len(pairs)]
            path = root / f"{index:03d}.{suffix}"
            make(path, encoder, SIZES[index // len(pairs) % len(SIZES)], seed + index)
            sources.append((path, encoder))
        bystander = root / "work" / "bystander_4x.mkv"
        bystander.parent.mkdir()
        bystander.write_bytes(b"not ours")
        while used < cpu_minutes * 60:
            (path, encoder), (other, _) = sources[runs % files], rng.choice(sources)
            kind = rng.choice(MUTATIONS)
            data = mutate(path.read_bytes(), other.read_bytes(), kind, rng)
            damaged = bystander.parent / f"in{path.suffix}"
            damaged.write_bytes(data)
            output, log = bystander.parent / "out.mkv", root / "log"
            command = [
                str(codecvsr),
                "upscale",
                str(damaged),
                "-o",
                str(output),
                "-m",
                "bicubic",
                "--preset",
                "ultrafast",
                "-q",
                "-y",
            ]
            code, seconds, processor, memory = run(command, log)
            text = log.read_text(encoding="utf-8", errors="replace")
            fault = fault_of(code, seconds, memory, text, output)
            if (
                hashlib.sha256(damaged.read_bytes()).digest() != hashlib.sha256(data).digest()
                or bystander.read_bytes() != b"not ours"
            ):
                fault = "a file of others was changed"
            if kind == "none" and code != 0:
                fault = fault or "a sound file was refused"
            used, longest, largest, runs = used + processor, max(longest, seconds), max(largest, memory), runs + 1
            for name, value in (
                ("ends", str(code)),
                ("containers", path.suffix[1:]),
                ("encoders", encoder),
                ("damages", kind),
            ):
                counts[name][value] += 1
            if fault:
                faults.append(
                    {
                        "run": runs,
                        "container": path.suffix[1:],
                        "encoder": encoder,
                        "damage": kind,
                        "fault": fault,
                        "text": text[-300:],
                    }
                )
                click.echo(f"{faults[-1]}", err=True)
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{runs:05d}{path.suffix}").write_bytes(data)
            for left in bystander.parent.iterdir():
                if left not in (bystander, damaged):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
    result = {
        "commands": with_this_command([]),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "versions": {"python": platform.python_version(), "av": av.__version__, "numpy": np.__version__},
        "runs": runs, "files": files, "processor_seconds": round(used, 1), "longest_seconds": round(longest, 1),
        "largest_mb": round(largest), "limits": {"seconds": SECONDS, "megabytes": MEGABYTES},
        **{name: dict(sorted(each.items())) for name, each in counts.items()}, "faults": faults,
    }  # fmt: skip
    write_results(out, result)
    click.echo(f"{runs} runs, {len(faults)} faults, {used / 60:.1f} minutes of processor time")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
