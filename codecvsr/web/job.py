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
from codecvsr.web.job_context import JobContext
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters, Run
from codecvsr.web.probe import cropped_frames, probe, wanted_frames
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
    job = JobContext(clip, folder, parameters, limits, probe(clip, parameters, limits), on_event, name)
    if parameters.upscale is not None:
        folder.mkdir(parents=True, exist_ok=True)  # a job that was interrupted continues with what it made
        enlarge(job)
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    work = _Work(job)
    views = work.run_with_truth() if parameters.crf is not None else work.run_directly()
    work.finish(views)


class _Work:
    """One running job."""

    def __init__(self, job: JobContext) -> None:
        self.job, parameters = job, job.parameters
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
        self.meter = ProgressMeter(steps, job.on_event)
        self.stream = job.clip
        self.truth: dict[str, Any] | None = None
        self.rotation: Sequence[int] | None = None  # display matrix of ``stream``
        self.count = 0
        self.span: tuple[float, float | None] = (0.0, None)  # seconds of ``stream`` that layers are drawn of

    def run_with_truth(self) -> list[View]:
        """Downsample, compress, upscale and score."""
        parameters, limits = self.job.parameters, self.job.limits
        original = self.job.folder / "original"
        original.mkdir()
        frames = round(min(float(self.job.facts.fps) * parameters.seconds, limits.frames))
        self.meter.begin("read", max(frames, 1))
        for index, frame in enumerate(self.meter.track(cropped_frames(self.job.clip, parameters, limits))):
            write_png(original / (FRAME_NAME % index), frame)
            self.count = index + 1
        settings = BenchmarkSettings(crfs=(parameters.crf,), fps=self.job.facts.fps)
        self.meter.begin("compress", 3 * self.count)
        made = make_benchmark(original, self.job.folder / "clips", settings, name="clip", progress=self.meter.wrap)
        if made.failed:
            raise CodecVSRError(made.failed[0].error)
        built = made.built[0]
        self.stream = built.folder / STREAM
        self.truth = {"kbit_per_second": built.bit_rate, "lr_psnr": built.lr_psnr}
        views = []
        for key, run in self.runs:
            report = self._infer(key, run, built.folder)
            self.meter.begin(f"score-{key}", self.count)
            scores = evaluate(self.job.folder / key, original, progress=self.meter.wrap)
            views.append(View(key, run.label, self.job.folder / key, f"{key}.mp4", run, report, scores))
        return [*views, View("original", "original", original, None)]

    def run_directly(self) -> list[View]:
        """Upscale the clip with its own vectors."""
        parameters = self.job.parameters
        self.meter.begin("read", 1)
        found = wanted_frames(self.job.clip, parameters)
        self.count, self.rotation = len(found), found.rotation
        self.span = parameters.start, parameters.start + parameters.seconds
        return [self._upscale(key, run) for key, run in self.runs]

    def _upscale(self, key: str, run: Run) -> View:
        if run.ablations:
            if self.count > self.job.limits.frames or self._is_cut():
                raise InputError(
                    f"'{run.label}' needs the whole clip, of at most {self.job.limits.frames} frames, if there is no CRF. "
                    "Choose the whole clip, or a CRF."
                )
            report = self._infer(key, run, self.job.clip)
            return View(key, run.label, self.job.folder / key, f"{key}.mp4", run, report, rotation=self.rotation)
        self.meter.begin(f"run-{key}", self.count)
        target = self.job.folder / f"{key}.mp4"

        def on_event(event: dict[str, Any]) -> None:
            if event["event"] == "progress":
                self.meter.at(event["frame"], event["frames"])

        report = upscale(
            self.job.clip, target, model=run.model, motion=run.motion, start=self.job.parameters.start or None, crf=14,
            end=self.job.parameters.start + self.job.parameters.seconds, pixel_format="yuv420p", preset="veryfast",
            device=self.job.parameters.device, listener=on_event,
        ).to_json()  # fmt: skip
        keys = ("frames", "width", "height", "seconds", "frames_per_second", "model", "motion", "device", "precision")
        report = {name: report.get(name) for name in keys}
        return View(key, run.label, target, target.name, run, report, rotation=self.rotation)

    def _is_cut(self) -> bool:
        whole = Parameters(**{**vars(self.job.parameters), "start": 0.0, "seconds": 1e6})
        return len(wanted_frames(self.job.clip, whole)) != self.count

    def _infer(self, key: str, run: Run, clip: Path) -> dict[str, Any]:
        self.meter.begin(f"run-{key}", self.count)
        report = infer(
            clip, self.job.folder / key, model=run.model, motion=run.motion, device=self.job.parameters.device,
            ablations=Ablations(**dict.fromkeys(run.ablations, True)), progress=self.meter.wrap,
        ).to_json()  # fmt: skip
        if report["scale"] != 4:
            raise InputError(f"{run.model}: restores at the same size; a network for x4 was expected.")
        return {name: value for name, value in report.items() if name != "out_dir"}

    def finish(self, views: Sequence[View]) -> None:
        """Write what the page shows, and remove the frames: they are large, and the videos have them."""
        shown = Shown(
            views,
            self.stream,
            self.span,
            min(self.count, self.job.limits.frames),
            self.count,
            self.rotation,
            self.truth,
        )
        write_result(
            self.job.folder, shown, self.job.parameters, self.job.facts, self.job.limits, self.meter, self.job.explain
        )
        for name in ("original", "clips", *(key for key, _ in self.runs)):
            shutil.rmtree(self.job.folder / name, ignore_errors=True)
