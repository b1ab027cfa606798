"""What ``bench_speed.py`` runs: videos of the first clip at any size, and networks ready to be timed."""

from __future__ import annotations

import itertools
import os
import platform
import subprocess
import time
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.engine.hardware import detect_hardware
from codecvsr.engine.plan import Plan, make_plan
from codecvsr.engine.run import prepare, running
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.motion_source import load_motion
from codecvsr.inference.source import Source
from codecvsr.inference.source_clip import SourceClip
from codecvsr.models.zoo import LoadedModel, load_model
from codecvsr.train.data import original_frames
from codecvsr.versions import versions
from codecvsr.video.resize import resample

THROUGH_ENGINE = (
    "@engine"  #: behind the name of a published network: native or with graphs, on codec motion, as `upscale -m` would
)
_PUBLISHED_CALL = (
    "basicvsr",
    "iconvsr",
    "basicvsr-pp",
)  # called with a clip alone, they estimate its motion themselves
CORNER = 64  #: width and height in pixels of the part of a frame that stands for the whole
_WARM_UP = {"cpu": 1, "cuda": 4}  # runs; on a GPU a graph is captured in the second and replayed from the third


@dataclass
class Subject:
    """A network with something to run on.

    Attributes:
        name: of the model; with ``@engine`` behind it where a published network runs as ours do.
        model: the network.
        plan: how it is run.
        source: what it is run on.
        seconds: per frame by the clock, one entry per timed run.
        processor_seconds: per frame and thread.
    """

    name: str
    model: LoadedModel
    plan: Plan
    source: Source
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Every frame once, from bytes in memory to bytes in memory (the published call: to tensors)."""
        if self.is_published_call:
            with running(self.plan):
                output = self.model.network(SourceClip(self.source, self.plan.device).frames())
                output[0, -1, 0, 0, 0].item()
            return
        for _ in upscale_frames(
            self.model, self.source, Ablations(), MemoryLimits(self.frames, is_fixed=True), self.plan
        ):
            pass

    @property
    def frames(self) -> int:
        """Of one run."""
        return len(self.source.names)

    @property
    def is_published_call(self) -> bool:
        """The network is called as its authors' code calls it."""
        return self.model.architecture in _PUBLISHED_CALL and not self.name.endswith(THROUGH_ENGINE)

    def warm_up(self) -> None:
        """Have it ready: on a CPU by a corner of two frames, on a GPU by whole runs."""
        prepare(self.model.network, self.plan)
        whole = self.source
        if self.plan.device.type == "cpu":
            self.source = whole.cut(0, 2).crop(slice(0, CORNER), slice(0, CORNER))
        for _ in range(_WARM_UP[self.plan.device.type]):
            self.run()
        self.source = whole

    def time(self) -> None:
        """One run by the clock and by the processor's time."""
        begun, processor = time.perf_counter(), time.process_time()
        self.run()
        self.seconds.append((time.perf_counter() - begun) / self.frames)
        self.processor_seconds.append((time.process_time() - processor) / self.frames / torch.get_num_threads())


def make_subject(name: str, path: Path, frames: int, device: str, precision: str) -> Subject:
    """A model on the first frames of a video."""
    model = load_model(name.removesuffix(THROUGH_ENGINE))
    plan = make_plan(device, precision, compile=None, architecture=model.architecture)
    is_ours = model.architecture == "codecvsr" or name.endswith(THROUGH_ENGINE)
    if not is_ours:  # as published: torch, eagerly
        plan = replace(plan, graphs=False, native=False)
    kind = "codec" if "codec" in model.motion else "none"
    source = load_motion(path, kind, Ablations(), model=model).cut(0, frames)
    return Subject(name, model, plan, source)


def video(clips: Path, work: Path, size: tuple[int, int], frames: int) -> Path:
    """The first clip of a folder, there and back, at (height, width), as x264 codes it by default at CRF 25."""
    height, width = size
    path = work / f"speed_{height}x{width}_{frames}.mp4"
    if not path.is_file():
        work.mkdir(parents=True, exist_ok=True)
        name = min(clips.glob("*.mp4")).stem
        there = [resample(rgb, height, width) for rgb in itertools.islice(original_frames(clips, name), frames)]
        loop = there + there[-2:0:-1]
        encode_h264((loop[i % len(loop)] for i in range(frames)), path, EncodeSettings(25, fps=Fraction(24)))
    return path


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures depend on: processor, cores and threads; of a GPU its name, driver and clocks."""
    about: dict[str, Any] = {
        "cpu": detect_hardware().cpu,
        "cpu_features": list(detect_hardware().features),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if device.type == "cuda":
        gpu = torch.cuda.get_device_properties(device)
        fields = "driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.limit"
        command = ["nvidia-smi", f"--id={device.index or 0}", f"--query-gpu={fields}", "--format=csv,noheader"]
        values = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().split(", ")
        about |= {"gpu": gpu.name, "capability": f"{gpu.major}.{gpu.minor}", "cuda": torch.version.cuda}
        about |= dict(zip(fields.split(","), values, strict=False))
    return about


def run_facts() -> dict[str, Any]:
    """What a results file of one machine says of it: in a few words, in full, and the versions of what ran."""
    about = machine(torch.device("cpu"))
    return {"machine": machine_label(about), "about": about, "versions": versions()}


def machine_label(about: dict[str, Any]) -> str:
    """In a few words."""
    return about.get("gpu") or f"{about['cpu']}, {about['threads']} of {about['cores']} cores"
