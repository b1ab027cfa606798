"""The log of a training run: lines of JSON in the run's folder, and a plot of them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codecvsr.engine.plan import precision_name
from codecvsr.errors import InputError
from codecvsr.files import atomic_file
from codecvsr.metrics.plot import require_plots
from codecvsr.train.processes import Processes
from codecvsr.train.recipe import Recipe

LOG = "log.jsonl"
_SMOOTHING = 0.05  # share of the losses that the plotted running mean covers

log = logging.getLogger(__name__)


class RunLog:
    """Writes the log of a run: a line when a session begins, lines of losses and scores, and a line when it ends."""

    def __init__(self, out: Path, *, resumed: Path | None = None, is_silent: bool = False) -> None:
        """Open the log.

        Args:
            out: the run's folder.
            resumed: folder of the run, or its state folder, that continues in ``out``; its log is copied if ``out`` has
                none.
            is_silent: write nothing, as another process writes the log.
        """
        self._path, self._is_silent = out / LOG, is_silent
        self._begun = self._last = time.monotonic()
        self._last_step = self._first_step = 0
        self.steps: int | None = None  #: of the whole run, once they are known; lines then tell the time that is left
        if not is_silent:
            out.mkdir(parents=True, exist_ok=True)
            for before in (resumed / LOG, resumed.parent / LOG) if resumed else ():
                if before.is_file() and not self._path.is_file():
                    shutil.copyfile(before, self._path)
            if self._path.is_file() and not self._path.read_bytes().endswith(b"\n"):
                with self._path.open("a", encoding="utf-8") as stream:  # a killed session left a partial line
                    stream.write("\n")

    def begin(self, step: int, recipe: Recipe, processes: Processes, dtype: torch.dtype) -> None:
        """Log the start of a session after ``step`` steps, with its recipe, device and versions."""
        self._last_step = self._first_step = step
        self._begun = self._last = time.monotonic()
        on_gpu = processes.device.type == "cuda"
        name = torch.cuda.get_device_name(processes.device) if on_gpu else f"{platform.machine()} CPU"
        self.write(
            step=step,
            begun=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            device=name,
            processes=processes.count,
            threads=torch.get_num_threads(),
            cores=os.cpu_count(),
            precision=precision_name(dtype),
            torch=torch.__version__,
            recipe=dataclasses.asdict(recipe),
        )

    def losses(self, step: int, loss: float, rate: float) -> None:
        """Log the mean loss since the previous such line, the learning rate, and seconds per step."""
        now = time.monotonic()
        if step > self._last_step:
            self.write(step=step, loss=loss, learning_rate=rate, s=(now - self._last) / (step - self._last_step))
        self._last, self._last_step = now, step

    def end(self, step: int, steps: int) -> None:
        """Log the end of a session after ``step`` of ``steps`` steps."""
        minutes = (time.monotonic() - self._begun) / 60
        self.write(step=step, ended_of=steps, minutes=minutes, steps_done=step - self._first_step)

    def write(self, **entry: Any) -> None:
        """Append one line."""
        if self._is_silent:
            return
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")
        log.info(_line(entry) + (self._left(entry["step"]) if "loss" in entry else ""))

    def _left(self, step: int) -> str:
        """Returns the time that is left at the speed of this session, in words; nothing while it is unknown."""
        if self.steps is None or step <= self._first_step:
            return ""
        seconds = (time.monotonic() - self._begun) / (step - self._first_step) * max(self.steps - step, 0)
        left = (
            f"{seconds / 3600:.1f} h"
            if seconds >= 5400
            else f"{seconds / 60:.0f} min"
            if seconds >= 90
            else f"{seconds:.0f} s"
        )
        return f" of {self.steps} steps, about {left} left"


def _line(entry: Mapping[str, Any]) -> str:
    """Returns an entry as people read it: scores beside those of bicubic, no recipe."""
    parts = [
        f"{key}={value:.5g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in entry.items()
        if key not in ("recipe", "val")
    ]
    for name, score in entry.get("val", {}).items():
        gain = score["psnr_rgb"] - score["bicubic"]
        parts.append(
            f"{name}: {score['psnr_rgb']:.2f} dB, {gain:+.2f} over bicubic ({score['bicubic']:.2f}), "
            f"without motion {score['without_motion']:.2f};"
        )
    return " ".join(parts).rstrip(";")


def read_log(path: Path) -> list[dict[str, Any]]:
    """Returns the lines of a log, without those that a killed session left incomplete.

    Raises:
        InputError: the file is unreadable, or no line of it is a log line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); a training run writes its log there.") from error
    entries: list[dict[str, Any]] = []
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):
            entry = json.loads(line)
            if isinstance(entry, dict) and "step" in entry:
                entries.append(entry)
    if not entries:
        raise InputError(f"{path}: has no JSON lines with steps; the log of a training run was expected.")
    return entries


def plot_log(log_path: Path, picture: Path) -> None:
    """Plot loss, learning rate and validation PSNR by CRF over the steps as a PNG; starts of sessions are marked.

    Raises:
        InputError: the log is unreadable or has no losses.
        OutputError: matplotlib is not installed or the picture cannot be written.
    """
    require_plots()
    from matplotlib.figure import Figure

    entries = read_log(log_path)
    losses = [entry for entry in entries if "loss" in entry]
    if not losses:
        raise InputError(f"{log_path}: has no losses yet; train for at least reporting.log_every steps.")
    scored = [entry for entry in entries if "val" in entry]
    figure = Figure(figsize=(9, 8 if scored else 5), layout="constrained")
    axes = figure.subplots(2 if scored else 1, 1, sharex=True, squeeze=False)[:, 0]
    steps, values = [entry["step"] for entry in losses], np.array([entry["loss"] for entry in losses])
    width = max(1, round(_SMOOTHING * len(values)))
    kernel = np.ones(width)
    smooth = np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")
    axes[0].plot(steps, values, color="tab:blue", alpha=0.3, linewidth=0.8)
    axes[0].plot(steps, smooth, color="tab:blue", label="loss")
    axes[0].set(ylabel="Charbonnier loss", yscale="log")
    rates = axes[0].twinx()
    rates.plot(steps, [entry["learning_rate"] for entry in losses], color="tab:orange", linewidth=0.8)
    rates.set_ylabel("learning rate", color="tab:orange")
    for index, name in enumerate(dict.fromkeys(name for entry in scored for name in entry["val"])):
        with_name = [entry for entry in scored if name in entry["val"]]
        at = [entry["step"] for entry in with_name]
        for key, style, label in (("psnr_rgb", "-", name), ("without_motion", ":", f"{name}, no motion")):
            points = [entry["val"][name][key] for entry in with_name]
            axes[1].plot(at, points, style, marker=".", color=f"C{index}", label=f"{label}: {points[-1]:.2f}")
        if "bicubic" in with_name[-1]["val"][name]:  # older logs have none
            base = with_name[-1]["val"][name]["bicubic"]
            axes[1].axhline(
                base, color=f"C{index}", linestyle="--", linewidth=0.6, label=f"{name}, bicubic: {base:.2f}"
            )
    if scored:
        axes[1].set_ylabel("validation PSNR, RGB (dB)")
        axes[1].legend(fontsize="small")
    for each in axes:
        each.grid(alpha=0.3)
        for begun in (entry["step"] for entry in entries if "begun" in entry):
            each.axvline(begun, color="grey", linestyle="--", linewidth=0.6)
    ended = [entry for entry in entries if "minutes" in entry]
    axes[0].set_title(f"{steps[-1]} steps, {sum(e['minutes'] for e in ended):.1f} minutes in {len(ended)} sessions")
    axes[-1].set_xlabel("step")
    with atomic_file(picture) as part:
        figure.savefig(part, format="png", dpi=120)
