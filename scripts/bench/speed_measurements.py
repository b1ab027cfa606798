"""What ``bench_speed.py`` measures: one function per part, one dictionary per cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, TypedDict

import numpy as np
import torch
from roofline import Traffic, peak_rates
from speed_subjects import CORNER, Subject, make_subject, video
from step_times import timed_steps

import codecvsr
from codecvsr.engine.cost import counting_macs, forget_peak, peak_bytes
from codecvsr.engine.native.buffers import spare_bytes
from codecvsr.engine.plan import make_plan
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.motion_source import load_motion
from codecvsr.metrics.psnr import psnr
from codecvsr.models.zoo import load_model
from codecvsr.train.data import original_frames

_MAX_OPERATIONS = 10
_LONG = 480  # frames of the video whose first frame is timed


class _Coded(TypedDict):
    preset: str
    crf: float


_CODED: _Coded = {"preset": "veryfast", "crf": 20}  # of the output


def net(
    clips: Path, work: Path, names: dict[str, int], size: tuple[int, int], repeats: int, device: str, precisions: list[str]
) -> dict[str, Any]:  # fmt: skip
    """Milliseconds per frame of the networks, in turn; of each network the precision in which it is fastest.

    ``ms`` is by the clock on a GPU; on a CPU it is processor time per thread, which other jobs change little.

    Args:
        clips: folder with the clip.
        work: scratch folder.
        names: frames by model.
        size: (height, width) of the input.
        repeats: runs of each.
        device: where.
        precisions: to try for each.
    """
    path = video(clips, work, size, max(names.values()))
    subjects = [
        make_subject(name, path, frames, device, precision)
        for name, frames in names.items()
        for precision in precisions
    ]
    costs = [_counted(subject) for subject in subjects]
    for subject in subjects:
        subject.warm_up()
    for _ in range(repeats):
        for subject in subjects:
            subject.time()
    best: dict[str, dict[str, Any]] = {}
    for subject, (macs, moved) in zip(subjects, costs, strict=True):
        found = _entry(subject, macs * size[0] * size[1], moved * size[0] * size[1])
        if subject.name not in best or found["ms"] < best[subject.name]["ms"]:
            best[subject.name] = found
    return {"size": list(size), "repeats": repeats, "load": _load(), "models": best}


def _entry(subject: Subject, macs: float, moved: float) -> dict[str, Any]:
    is_on_gpu = subject.plan.device.type == "cuda"
    milliseconds = [1e3 * each for each in (subject.seconds if is_on_gpu else subject.processor_seconds)]
    height, width = subject.source.frames.shape[1:3]
    return {
        "precision": subject.plan.precision,
        "native": subject.plan.native,
        "graphs": subject.plan.graphs,
        "frames": subject.frames,
        "ms": round(median(milliseconds), 2),
        "ms_of_runs": [round(each, 2) for each in milliseconds],
        "ms_by_clock": round(1e3 * median(subject.seconds), 2),
        "gmacs": round(macs / 1e9, 2),
        "gbytes": round(moved / 1e9, 3),
        "bytes_per_pixel_of_window": _memory(subject, height * width),
    }


def _counted(subject: Subject) -> tuple[float, float]:
    """Multiply-accumulates and bytes of products, per low-resolution pixel of a frame, counted on the CPU."""
    corner = subject.source.crop(slice(0, CORNER), slice(0, CORNER))
    dtype = subject.plan.dtype
    plan = replace(
        make_plan("cpu", "fp32", compile=False), dtype=dtype if dtype != torch.float16 else torch.bfloat16, native=False
    )
    counted = replace(subject, source=corner, plan=plan)
    counted.warm_up()
    with counting_macs() as macs:
        counted.run()
    with Traffic() as traffic:
        counted.run()
    pixels = subject.frames * CORNER**2
    return macs.total / pixels, traffic.bytes / pixels


def _memory(subject: Subject, pixels: int) -> int | None:
    """Returns the peak bytes over those before the run, per frame of the window and input pixel."""
    device = subject.plan.device
    if (device.type == "cpu" and subject.model.architecture != "codecvsr") or not forget_peak(device):
        return None  # of the others on a CPU one more run needs minutes
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else peak_bytes(device) - spare_bytes()
    subject.run()
    return round((peak_bytes(device) - before) / (subject.frames * pixels))


def rates(device: str) -> dict[str, Any]:
    """What the device can do in every precision, for the roofline: products and bytes per second."""
    target = make_plan(device).device
    kinds = {"fp32": (torch.float32, False)}
    if target.type == "cuda":
        kinds |= {"tf32": (torch.float32, True), "bf16": (torch.bfloat16, False), "fp16": (torch.float16, False)}
    found = {}
    for name, (dtype, tf32) in kinds.items():
        products, moved = peak_rates(target, dtype, tf32=tf32)
        found[name] = {"gmacs_per_s": round(products / 1e9, 1), "gbytes_per_s": round(moved / 1e9, 1)}
    return {"load": _load(), "rates": found}


def file_to_file(
    clips: Path, work: Path, names: dict[str, int], size: tuple[int, int], repeats: int, device: str
) -> dict[str, Any]:
    """Frames per second of ``upscale``, from one file to the other, in turn; and what all threads took of the processor."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    processor: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name, frames in names.items():
            out = work / "file_to_file.mp4"
            source = video(clips, work, size, frames)
            begun = time.process_time()
            found[name].append(codecvsr.upscale(source, out, model=name, device=device, overwrite=True, **_CODED))
            processor[name].append(1e3 * (time.process_time() - begun) / frames)
            out.unlink()
    models = {
        name: {
            "frames": names[name],
            "precision": reports[0].precision,
            "frames_per_second": round(median(names[name] / report.seconds for report in reports), 3),
            "processor_ms_per_frame": round(median(processor[name]), 2),
            "frames_per_second_of_runs": [round(names[name] / report.seconds, 3) for report in reports],
            "peak_mib": round(max(report.peak_memory_mb for report in reports)),
        }
        for name, reports in found.items()
    }
    return {"size": list(size), "repeats": repeats, "load": _load(), "coded": _CODED, "models": models}


def cold_start(clips: Path, work: Path, name: str, size: tuple[int, int], repeats: int, device: str) -> dict[str, Any]:
    """Seconds from the start of ``codecvsr upscale`` to its first frame, by the clock and of the processor, and by stages."""
    source, out = video(clips, work, size, _LONG), work / "cold.mp4"
    command = [sys.executable, "-m", "codecvsr", "upscale", source, "-o", out, "-m", name, "-d", device, "--json", "-y"]
    runs: list[dict[str, float]] = []
    for _ in range(repeats):
        begun = time.monotonic()
        process = subprocess.Popen(
            list(map(str, command)), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert process.stderr is not None
        times: dict[str, float] = {}
        for line in process.stderr:
            if line.startswith("{"):
                times.setdefault(json.loads(line)["event"], round(time.monotonic() - begun, 2))
            if "progress" in times:
                break
        process.kill()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = -9
        process.stderr.close()
        times["processor"] = round(usage.ru_utime + usage.ru_stime, 2)
        runs.append(times)
    stages = [sys.executable, str(Path(__file__).with_name("speed_start.py")), str(source), name, device]
    stages_of_runs: list[dict[str, float]] = [
        json.loads(subprocess.run(stages, capture_output=True, text=True, check=True).stdout) for _ in range(repeats)
    ]
    middle = sorted(stages_of_runs, key=lambda each: sum(each.values()))[repeats // 2]
    return {
        "model": name,
        "size": list(size),
        "frames": _LONG,
        "load": _load(),
        "first_frame_s": round(median(times["progress"] for times in runs), 2),
        "processor_s": round(median(times["processor"] for times in runs), 2),
        "runs": runs,
        "stages_processor_s": middle,
        "stages_sum_s": round(sum(middle.values()), 2),
    }


def precision_loss(clips: Path, clip: Path, name: str, frames: int, device: str, precisions: list[str]) -> dict[str, Any]:  # fmt: skip
    """RGB PSNR against the originals in fp32 and in shorter precisions."""
    model = load_model(name)
    source = load_motion(clip, model.motion[0], Ablations(), model=model).cut(0, frames)
    truth = list(original_frames(clips, clip.name))[:frames]
    found: dict[str, float] = {}
    for precision in ("fp32", *precisions):
        plan = make_plan(device, precision, compile=False, architecture=model.architecture)
        made = upscale_frames(model, source, Ablations(), MemoryLimits(frames, is_fixed=True), plan)
        found[precision] = float(np.mean([psnr(a, b) for a, b in zip(made, truth, strict=True)]))
    losses = {key: round(found["fp32"] - value, 4) for key, value in found.items() if key != "fp32"}
    return {
        "model": name,
        "clip": clip.name,
        "frames": len(truth),
        "psnr_fp32": round(found["fp32"], 3),
        "lost_db": losses,
    }


def profile(clips: Path, work: Path, name: str, size: tuple[int, int], frames: int, device: str) -> dict[str, Any]:
    """Where the time goes: shares of torch's operations in one window."""
    subject = make_subject(name, video(clips, work, size, frames), frames, device, "auto")
    subject.plan = replace(subject.plan, graphs=False)
    subject.warm_up()
    about = {"model": name, "size": list(size), "frames": frames, "precision": subject.plan.precision}
    if subject.plan.native:
        return about | _native_profile(subject)
    on_gpu = subject.plan.device.type == "cuda"
    kinds = [torch.profiler.ProfilerActivity.CPU, *([torch.profiler.ProfilerActivity.CUDA] if on_gpu else [])]
    with torch.profiler.profile(activities=kinds) as profiler:
        begun = time.perf_counter()
        subject.run()
        seconds = time.perf_counter() - begun
    key = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    times = {event.key.removeprefix("aten::"): getattr(event, key) / 1e6 for event in profiler.key_averages()}
    largest = sorted(times.items(), key=lambda item: -item[1])[:_MAX_OPERATIONS]
    return about | {
        "by": "torch.profiler",
        "ms": round(1e3 * seconds / frames, 2),
        "percent": {operation: round(100 * spent / sum(times.values()), 1) for operation, spent in largest},
    }


def _native_profile(subject: Subject) -> dict[str, Any]:
    """Shares of the native library's steps, which no profiler of torch sees, by the processor time of all threads."""
    with timed_steps() as spent:
        begun = time.process_time()
        subject.run()
        total = time.process_time() - begun
    spent["everything else, in Python"] = total - sum(spent.values())
    return {
        "by": "processor time of the native library's steps, one by one",
        "ms": round(1e3 * total / subject.frames, 2),
        "percent": {
            name: round(100 * each / total, 1) for name, each in sorted(spent.items(), key=lambda item: -item[1])
        },
    }


def _load() -> float:
    """How many processes wanted a core in the last minute, these included."""
    return round(os.getloadavg()[0], 1)
