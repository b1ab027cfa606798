"""``codecvsr doctor``: what this installation can do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from typing import Any

import click

from codecvsr.cli.common import CodecVSRCommand, ExitCode
from codecvsr.cli.options import json_option
from codecvsr.cli.output import print_json, stdout_console, warn

OPTIONAL_PACKAGES = ("ffmpeg-python", "motion-vector-extractor", "matplotlib", "scikit-image", "torchvision", "triton")


@click.command("doctor", cls=CodecVSRCommand)
@click.option(
    "--require-native",
    is_flag=True,
    help="Exit with code 1 unless both native libraries are active (for continuous integration).",
)
@json_option
def command(require_native: bool, as_json: bool) -> ExitCode:
    """Show versions, devices, weights and which backends are active."""
    report = examine()
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    for problem in report["problems"]:
        warn(problem)
    if require_native:
        from codecvsr.errors import CodecVSRError

        slow = [f"{part} ({backend})" for part, backend in report["backend"].items() if backend != "native"]
        if slow:
            raise CodecVSRError(
                f"The native backend is not active for {' and '.join(slow)}; install a C compiler, CMake, pkg-config "
                "and the libavformat and libavcodec headers, and reinstall codecvsr."
            )
    return ExitCode.OK


def examine() -> dict[str, Any]:
    """Everything ``doctor`` reports: ``backend``, ``device``, ``versions`` and more, ready for JSON."""
    from codecvsr import native_libraries
    from codecvsr.engine.hardware import detect_hardware, system_memory

    machine = detect_hardware()
    device, gpus, torch_threads = _torch()
    return {
        "backend": {
            "fields": "numpy" if native_libraries.field_library() is None else "native",
            "reader": "pyav" if native_libraries.reader_library() is None else "native",
        },
        "device": device,
        "versions": _versions(),
        "encoders": _encoders(),
        "cpu": {
            "model": machine.cpu,
            "features": list(machine.features),
            "cores": os.cpu_count(),
            "torch_threads": torch_threads,
            "compiler": machine.has_compiler,
        },
        "gpus": gpus,
        "plan": _plan(),
        "memory": system_memory(),
        "weights": _weights(),
        "problems": [
            f"{library} is built but cannot be used: {why}" for library, why in native_libraries.load_problems().items()
        ],
    }


def _versions() -> dict[str, str | None]:
    """Versions by name, None for what is optional and not there."""
    import av
    import cv2
    import numpy as np

    from codecvsr.bitstream import native_reader
    from codecvsr.cli import version

    return {
        "codecvsr": version(),
        "python": platform.python_version(),
        "torch": _package("torch"),
        "av": av.__version__,
        "av_libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
        "av_ffmpeg": av.ffmpeg_version_info,
        "native_libavcodec": native_reader.libavcodec_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "ffmpeg_program": _ffmpeg_program(),
        **{package: _package(package) for package in OPTIONAL_PACKAGES},
    }


def _package(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _ffmpeg_program() -> str | None:
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    printed = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=20).stdout
    found = re.search(r"ffmpeg version (\S+)", printed)
    return found[1] if found else "unknown"


def _encoders() -> dict[str, bool]:
    """Whether PyAV's own FFmpeg has the H.264 encoder that ``benchmark`` needs."""
    import av

    return {"libx264": "libx264" in av.codecs_available}


def _torch() -> tuple[str, list[dict[str, Any]], int | None]:
    """The device ``auto`` means, the GPUs torch can use, and its CPU threads (None where torch is not installed)."""
    try:
        import torch
    except ModuleNotFoundError:
        return "cpu", [], None
    from codecvsr.engine.device import choose_device

    properties = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    gpus = [
        {
            "device": f"cuda:{index}",
            "name": gpu.name,
            "memory_bytes": gpu.total_memory,
            "compute_capability": f"{gpu.major}.{gpu.minor}",
        }
        for index, gpu in enumerate(properties)
    ]
    return choose_device("auto").type, gpus, torch.get_num_threads()


def _plan() -> dict[str, Any] | None:
    """How networks are run here, and why; None without torch."""
    try:
        from codecvsr.engine.plan import make_plan
    except ModuleNotFoundError:
        return None
    return make_plan().to_json()


def _weights() -> dict[str, bool]:
    """Whether the weights of a model are here; those that are got by hand only where they are. Empty without torch."""
    try:
        from codecvsr.models import zoo
    except ModuleNotFoundError:
        return {}
    here = {name: zoo.is_present(name) for name in zoo.MODELS if zoo.weights_path(name) is not None}
    return {name: present for name, present in here.items() if present or zoo.MODELS[name].offer is None}


def _print_report(report: dict[str, Any]) -> None:
    """The report as a table on stdout: what was looked at, what was found, and what it means."""
    from rich.table import Table

    from codecvsr.engine.hardware import BF16_FEATURES

    backend, versions, cpu, memory = report["backend"], report["versions"], report["cpu"], report["memory"]
    table = Table(box=None, show_header=False)

    def row(what: str, found: object, note: str = "") -> None:
        table.add_row(what, str(found) if found else "-", note)

    row("codecvsr", versions["codecvsr"])
    row("fields", backend["fields"], "" if backend["fields"] == "native" else "slow: no C library")
    row("reader", backend["reader"], "" if backend["reader"] == "native" else "PyAV reads the same")
    row("device", report["device"], "" if report["device"] == "cuda" else "torch sees no GPU")
    for gpu in report["gpus"]:
        row(gpu["device"], gpu["name"], f"{gpu['memory_bytes'] / 2**30:.0f} GiB, {gpu['compute_capability']}")
    bf16 = BF16_FEATURES & set(cpu["features"])
    row("cpu", cpu["model"], " ".join(cpu["features"]) + ("" if bf16 else "; no bf16"))
    row("threads", cpu["torch_threads"] or cpu["cores"], f"{cpu['cores']} cores")
    row("memory", _gib(memory.get("total_bytes")), f"{_gib(memory.get('free_bytes'))} free" if memory else "")
    row("python", versions["python"])
    row("torch", versions["torch"], "" if versions["torch"] else "missing: pip install torch")
    x264 = "with libx264" if report["encoders"]["libx264"] else "without libx264: benchmark cannot encode"
    row("av", versions["av"], f"libavcodec {versions['av_libavcodec']}, {x264}")
    row("native libavcodec", versions["native_libavcodec"])
    row("numpy", versions["numpy"])
    row("opencv", versions["opencv"])
    row("ffmpeg program", versions["ffmpeg_program"], "optional")
    for package in OPTIONAL_PACKAGES:
        row(package, versions[package], "optional")
    for name, present in report["weights"].items():
        row(name, "here" if present else "", "weights" if present else "weights; see codecvsr models list")
    stdout_console().print(table)
    if report["plan"] is not None:
        stdout_console().print("\nNetworks run so, unless options say otherwise:")
        for reason in report["plan"]["reasons"]:
            stdout_console().print(f"  {reason}", markup=False, highlight=False)


def _gib(size: int | None) -> str:
    return "" if size is None else f"{size / 2**30:.1f} GiB"
