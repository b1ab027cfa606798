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
from speed_subjects import Subject, film, make_subject

import codecvsr
from codecvsr.engine.cost import Traffic, counting_macs, forget_peak, peak_bytes, peak_rates
from codecvsr.engine.plan import make_plan
from codecvsr.metrics.psnr import psnr
from codecvsr.models.zoo import load_model
from codecvsr.pipeline.budget import Budget
from codecvsr.pipeline.infer import Ablations, load_motion, upscale_frames
from codecvsr.train.data import original_frames

_COUNTED = 64  # pixels each way on which operations are counted, and scaled to the frame's area
_OPERATIONS_TOLD = 10
_LONG = 480  # frames of the film whose first frame is waited for


class _Coded(TypedDict):
    preset: str
    crf: float


_CODED: _Coded = {"preset": "veryfast", "crf": 20}  # of the films that come out


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
    path = film(clips, work, size, max(names.values()))
    subjects = [
        make_subject(name, path, frames, device, precision)
        for name, frames in names.items()
        for precision in precisions
    ]
    costs = [_counted(subject) for subject in subjects]
    rates: dict[str, tuple[float, float]] = {}
    for subject in subjects:
        subject.warm_up()
        plan = subject.plan
        if plan.precision not in rates:
            rates[plan.precision] = peak_rates(plan.device, plan.dtype, tf32=plan.tf32)
    for _ in range(repeats):
        for subject in subjects:
            subject.time()
    best: dict[str, dict[str, Any]] = {}
    for subject, (macs, moved) in zip(subjects, costs, strict=True):
        found = _told(subject, macs * size[0] * size[1], moved * size[0] * size[1], rates[subject.plan.precision])
        if subject.name not in best or found["ms"] < best[subject.name]["ms"]:
            best[subject.name] = found
    peaks = {name: {"gmacs_per_s": round(m / 1e9), "gbytes_per_s": round(b / 1e9)} for name, (m, b) in rates.items()}
    return {"size": list(size), "repeats": repeats, "load": _load(), "peaks": peaks, "models": best}


def _told(subject: Subject, macs: float, moved: float, rates: tuple[float, float]) -> dict[str, Any]:
    products, copies = macs / rates[0], moved / rates[1]
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
        "roofline_ms": round(1e3 * max(products, copies), 3),
        "bound_by": "products" if products > copies else "memory",
        "bytes_per_pixel_of_window": _memory(subject, height * width),
    }


def _counted(subject: Subject) -> tuple[float, float]:
    """Multiply-accumulates and bytes of products, per low-resolution pixel of a frame, counted on the CPU."""
    corner = subject.source.crop(slice(0, _COUNTED), slice(0, _COUNTED))
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
    pixels = subject.frames * _COUNTED**2
    return macs.total / pixels, traffic.bytes / pixels


def _memory(subject: Subject, pixels: int) -> int | None:
    """Peak bytes over what was held before, per frame of the window and input pixel."""
    device = subject.plan.device
    if not forget_peak(device):
        return None
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else peak_bytes(device)
    subject.run()
    return round((peak_bytes(device) - before) / (subject.frames * pixels))


def file_to_file(
    clips: Path, work: Path, names: dict[str, int], size: tuple[int, int], repeats: int, device: str
) -> dict[str, Any]:
    """Frames per second of ``upscale``, from one file to the other, in turn; and what all threads took of the processor."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    processor: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name, frames in names.items():
            out = work / "file_to_file.mp4"
            source = film(clips, work, size, frames)
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
    """Seconds from the start of ``codecvsr upscale`` to its first frame, by the clock and of the processor."""
    source, out = film(clips, work, size, _LONG), work / "cold.mp4"
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
    middle = sorted(runs, key=lambda times: times["processor"])[len(runs) // 2]
    return {
        "model": name,
        "size": list(size),
        "frames": _LONG,
        "load": _load(),
        "first_frame_s": middle["progress"],
        "stages_s": {"survey": middle["survey"], "plan": middle["plan"], "first frame": middle["progress"]},
        "processor_s": middle["processor"],
        "processor_s_of_runs": [times["processor"] for times in runs],
    }


def precision_loss(clips: Path, clip: Path, name: str, frames: int, device: str, precisions: list[str]) -> dict[str, Any]:  # fmt: skip
    """RGB PSNR against the originals in fp32 and in half precision."""
    model = load_model(name)
    source = load_motion(clip, model.motion[0], Ablations(), model=model).cut(0, frames)
    truth = list(original_frames(clips, clip.name))[:frames]
    found: dict[str, float] = {}
    for precision in ("fp32", *precisions):
        plan = make_plan(device, precision, compile=False, architecture=model.architecture)
        made = upscale_frames(model, source, Ablations(), Budget(frames, is_fixed=True), plan)
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
    subject = make_subject(name, film(clips, work, size, frames), frames, device, "auto")
    subject.plan = replace(subject.plan, graphs=False)
    subject.warm_up()
    on_gpu = subject.plan.device.type == "cuda"
    kinds = [torch.profiler.ProfilerActivity.CPU, *([torch.profiler.ProfilerActivity.CUDA] if on_gpu else [])]
    with torch.profiler.profile(activities=kinds) as profiler:
        begun = time.perf_counter()
        subject.run()
        seconds = time.perf_counter() - begun
    key = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    times = {event.key.removeprefix("aten::"): getattr(event, key) / 1e6 for event in profiler.key_averages()}
    largest = sorted(times.items(), key=lambda item: -item[1])[:_OPERATIONS_TOLD]
    return {
        "model": name,
        "size": list(size),
        "frames": frames,
        "precision": subject.plan.precision,
        "ms": round(1e3 * seconds / frames, 2),
        "outside_torch_percent": round(100 * max(0.0, 1 - sum(times.values()) / seconds), 1) if not on_gpu else None,
        "percent": {operation: round(100 * spent / sum(times.values()), 1) for operation, spent in largest},
    }


def _load() -> float:
    """How many processes wanted a core in the last minute, these included."""
    return round(os.getloadavg()[0], 1)
