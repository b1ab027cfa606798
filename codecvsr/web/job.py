"""Runs one job, in its own process, with the functions behind ``benchmark``, ``infer``, ``eval``, ``upscale`` and ``inspect``.

With a CRF the clip is the ground truth: it is downsampled, compressed, upscaled by every model and scored. Without a CRF it is
upscaled directly with its own vectors and not scored.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codecvsr.datasets.benchmark import make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings
from codecvsr.errors import CodecVSRError, InputError
from codecvsr.files import FRAME_NAME, write_png
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.clip_folder import STREAM
from codecvsr.inference.infer import infer
from codecvsr.metrics.report import evaluate
from codecvsr.upscaling.api import upscale
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters, Run
from codecvsr.web.probe import Facts, cropped_frames, probe, wanted_frames
from codecvsr.web.progress_meter import OnEvent, ProgressMeter, Step
from codecvsr.web.views import Shown, View, write_result
from codecvsr.web.whole_video import enlarge

BICUBIC = Run("bicubic")

#: Estimated seconds per million output pixels, on two cores.
_COST = {"read": 0.06, "compress": 0.1, "bicubic": 0.15, "codecvsr": 1.0, "other": 8.0, "score": 0.12, "film": 0.08}


def run_job(
    clip: Path, folder: Path, parameters: Parameters, limits: Limits, on_event: OnEvent, *, name: str = "the clip"
) -> None:
    """Run a job and write its results to ``folder``, ``result.json`` last.

    Args:
        clip: the input file; only read.
        folder: the job's folder.
        parameters: the request.
        limits: limits of the server.
        on_event: called with every progress event.
        name: the clip's name in messages.

    Raises:
        CodecVSRError: the clip cannot be used, or a model does not support the request.
    """
    facts = probe(clip, parameters, limits)
    if parameters.upscale is not None:
        folder.mkdir(parents=True, exist_ok=True)  # a job that was interrupted continues with what it made
        enlarge(
            clip, folder, parameters, limits, facts, on_event, name, lambda e: without_paths(str(e), clip, folder, name)
        )
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    work = _Work(clip, folder, parameters, limits, facts, on_event, name)
    views = work.run_with_truth() if parameters.crf is not None else work.run_directly()
    work.finish(views)


def without_paths(text: str, clip: Path, folder: Path, name: str) -> str:
    """Returns a message with the clip's own name instead of server paths."""
    for private in (str(clip), clip.name):
        text = text.replace(private, name)
    return text.replace(f"{folder}/", "")


class _Work:
    """One running job."""

    def __init__(
        self,
        clip: Path,
        folder: Path,
        parameters: Parameters,
        limits: Limits,
        facts: Facts,
        on_event: OnEvent,
        name: str,
    ) -> None:
        self.name = name
        self.clip, self.folder, self.parameters, self.limits, self.facts = clip, folder, parameters, limits, facts
        self.runs = [("bicubic", BICUBIC)]
        for key, run in (("model", parameters.run), ("other", parameters.other)):
            if run is not None and run not in [known for _, known in self.runs]:
                self.runs.append((key, run))
        is_scored = parameters.crf is not None
        steps = [Step("read", "reading the clip", _COST["read"])]
        if is_scored:
            steps.append(Step("compress", "shrinking, compressing, reading motion", _COST["compress"]))
        for key, run in self.runs:
            steps.append(Step(f"run-{key}", f"upscaling: {run.label}", _COST.get(run.model, _COST["other"])))
            if is_scored:
                steps.append(Step(f"score-{key}", f"scoring: {run.label}", _COST["score"]))
        videos = len(self.runs) + 2 if is_scored else 2
        steps += [Step("layers", "drawing layers", 0.03), Step("film", "making videos", _COST["film"] * videos)]
        self.meter = ProgressMeter(steps, on_event)
        self.stream = clip
        self.truth: dict[str, Any] | None = None
        self.rotation: Sequence[int] | None = None  # display matrix of ``stream``
        self.count = 0
        self.span: tuple[float, float | None] = (0.0, None)  # seconds of ``stream`` that layers are drawn of

    def run_with_truth(self) -> list[View]:
        """Downsample, compress, upscale and score."""
        parameters, limits = self.parameters, self.limits
        original = self.folder / "original"
        original.mkdir()
        frames = round(min(float(self.facts.fps) * parameters.seconds, limits.frames))
        self.meter.begin("read", max(frames, 1))
        for index, frame in enumerate(self.meter.track(cropped_frames(self.clip, parameters, limits))):
            write_png(original / (FRAME_NAME % index), frame)
            self.count = index + 1
        settings = BenchmarkSettings(crfs=(parameters.crf,), fps=self.facts.fps)
        self.meter.begin("compress", 3 * self.count)
        made = make_benchmark(original, self.folder / "clips", settings, name="clip", progress=self.meter.wrap)
        if made.failed:
            raise CodecVSRError(made.failed[0].error)
        built = made.built[0]
        self.stream = built.folder / STREAM
        self.truth = {"kbit_per_second": built.bit_rate, "lr_psnr": built.lr_psnr}
        views = []
        for key, run in self.runs:
            report = self._infer(key, run, built.folder)
            self.meter.begin(f"score-{key}", self.count)
            scores = evaluate(self.folder / key, original, progress=self.meter.wrap)
            views.append(View(key, run.label, self.folder / key, f"{key}.mp4", run, report, scores))
        return [*views, View("original", "original", original, None)]

    def run_directly(self) -> list[View]:
        """Upscale the clip with its own vectors."""
        parameters = self.parameters
        self.meter.begin("read", 1)
        found = wanted_frames(self.clip, parameters)
        self.count, self.rotation = len(found), found.rotation
        self.span = parameters.start, parameters.start + parameters.seconds
        return [self._upscale(key, run) for key, run in self.runs]

    def _upscale(self, key: str, run: Run) -> View:
        if run.ablations:
            if self.count > self.limits.frames or self._is_cut():
                raise InputError(
                    f"'{run.label}' needs the whole clip, of at most {self.limits.frames} frames, if there is no CRF. "
                    "Choose the whole clip, or a CRF."
                )
            report = self._infer(key, run, self.clip)
            return View(key, run.label, self.folder / key, f"{key}.mp4", run, report, rotation=self.rotation)
        self.meter.begin(f"run-{key}", self.count)
        target = self.folder / f"{key}.mp4"

        def on_event(event: dict[str, Any]) -> None:
            if event["event"] == "progress":
                self.meter.at(event["frame"], event["frames"])

        report = upscale(
            self.clip, target, model=run.model, motion=run.motion, start=self.parameters.start or None, crf=14,
            end=self.parameters.start + self.parameters.seconds, pixel_format="yuv420p", preset="veryfast",
            device=self.parameters.device, listener=on_event,
        ).to_json()  # fmt: skip
        keys = ("frames", "width", "height", "seconds", "frames_per_second", "model", "motion", "device", "precision")
        report = {name: report.get(name) for name in keys}
        return View(key, run.label, target, target.name, run, report, rotation=self.rotation)

    def _is_cut(self) -> bool:
        whole = Parameters(**{**vars(self.parameters), "start": 0.0, "seconds": 1e6})
        return len(wanted_frames(self.clip, whole)) != self.count

    def _infer(self, key: str, run: Run, clip: Path) -> dict[str, Any]:
        self.meter.begin(f"run-{key}", self.count)
        report = infer(
            clip, self.folder / key, model=run.model, motion=run.motion, device=self.parameters.device,
            ablations=Ablations(**dict.fromkeys(run.ablations, True)), progress=self.meter.wrap,
        ).to_json()  # fmt: skip
        if report["scale"] != 4:
            raise InputError(f"{run.model}: restores at the same size; a network for x4 was expected.")
        return {name: value for name, value in report.items() if name != "out_dir"}

    def finish(self, views: Sequence[View]) -> None:
        """Write what the page shows, and remove the frames: they are large, and the videos have them."""
        shown = Shown(
            views, self.stream, self.span, min(self.count, self.limits.frames), self.count, self.rotation, self.truth
        )
        write_result(self.folder, shown, self.parameters, self.facts, self.limits, self.meter, self._explain)
        for name in ("original", "clips", *(key for key, _ in self.runs)):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _explain(self, error: Exception) -> str:
        return without_paths(str(error), self.clip, self.folder, self.name)
