"""Runs one job, in its own process, with the functions behind ``benchmark``, ``infer``, ``eval``, ``upscale`` and ``inspect``.

With a CRF the clip is the ground truth: it is downsampled, compressed, upscaled by every model and scored. Without a CRF it is
upscaled directly with its own vectors and not scored.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import codecvsr
from codecvsr.analysis.inspect import inspect_video
from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.datasets.benchmark import make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings
from codecvsr.errors import CodecVSRError, InputError
from codecvsr.files import FRAME_NAME, atomic_file, list_images, read_image, write_png
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.clip_folder import STREAM
from codecvsr.inference.infer import infer
from codecvsr.json_values import jsonable
from codecvsr.metrics.report import EvalResult, evaluate
from codecvsr.upscaling.api import upscale
from codecvsr.web.layers import write_layers
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters, Run
from codecvsr.web.probe import Facts, cropped_frames, probe, wanted_frames
from codecvsr.web.progress_meter import OnEvent, ProgressMeter, Step
from codecvsr.web.video_writer import Mosaic, VideoWriter

BICUBIC = Run("bicubic")
COMPARISON, LAYERS, INSPECTION, RESULT = "comparison.mp4", "layers.jsonl", "inspection.json", "result.json"

#: Estimated seconds per million output pixels, on two cores.
_COST = {"read": 0.06, "compress": 0.1, "bicubic": 0.15, "codecvsr": 1.0, "other": 8.0, "score": 0.12, "film": 0.08}


@dataclass(frozen=True)
class _View:
    """One version of the clip: ``pictures`` is a folder of frames or a video; ``video`` is the file for download."""

    key: str
    label: str
    pictures: Path
    video: str | None
    run: Run | None = None
    report: dict[str, Any] | None = None
    scores: EvalResult | None = None

    def frames(self) -> Iterable[Any]:
        if self.pictures.is_dir():
            return map(read_image, list_images(self.pictures))
        return VideoPictures(self.pictures)

    def to_json(self) -> dict[str, Any]:
        scores = self.scores
        return {
            "key": self.key,
            "label": self.label,
            "film": self.video,
            "run": None if self.run is None else asdict(self.run),
            "report": self.report,
            "scores": None if scores is None else _scores(scores),
        }


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
        self.count = 0
        self.span: tuple[float, float | None] = (0.0, None)  # seconds of ``stream`` that layers are drawn of

    def run_with_truth(self) -> list[_View]:
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
            views.append(_View(key, run.label, self.folder / key, f"{key}.mp4", run, report, scores))
        return [*views, _View("original", "original", original, None)]

    def run_directly(self) -> list[_View]:
        """Upscale the clip with its own vectors."""
        parameters = self.parameters
        self.meter.begin("read", 1)
        self.count = wanted_frames(self.clip, parameters)
        self.span = parameters.start, parameters.start + parameters.seconds
        return [self._upscale(key, run) for key, run in self.runs]

    def _upscale(self, key: str, run: Run) -> _View:
        if run.ablations:
            if self.count > self.limits.frames or self._is_cut():
                raise InputError(
                    f"'{run.label}' needs the whole clip, of at most {self.limits.frames} frames, if there is no CRF. "
                    "Choose the whole clip, or a CRF."
                )
            return _View(key, run.label, self.folder / key, f"{key}.mp4", run, self._infer(key, run, self.clip))
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
        return _View(key, run.label, target, target.name, run, {name: report.get(name) for name in keys})

    def _is_cut(self) -> bool:
        whole = Parameters(**{**vars(self.parameters), "start": 0.0, "seconds": 1e6})
        return wanted_frames(self.clip, whole) != self.count

    def _infer(self, key: str, run: Run, clip: Path) -> dict[str, Any]:
        self.meter.begin(f"run-{key}", self.count)
        report = infer(
            clip, self.folder / key, model=run.model, motion=run.motion, device=self.parameters.device,
            ablations=Ablations(**dict.fromkeys(run.ablations, True)), progress=self.meter.wrap,
        ).to_json()  # fmt: skip
        if report["scale"] != 4:
            raise InputError(f"{run.model}: restores at the same size; a network for x4 was expected.")
        return {name: value for name, value in report.items() if name != "out_dir"}

    def finish(self, views: Sequence[_View]) -> None:
        """Write layers, videos and ``result.json``."""
        layers, inspected, layers_fault = 0, None, None
        self.meter.begin("layers", min(self.count, self.limits.frames))
        try:
            inspected = inspect_video(self.stream).to_json()
            start, end = self.span
            layers = write_layers(
                self.stream,
                self.folder / LAYERS,
                max_frames=self.limits.frames,
                start=start,
                end=end,
                on_frame=self.meter.at,
            )
        except InputError as error:  # other codecs can be upscaled, but have no vectors to draw
            inspected = None
            layers_fault = without_paths(str(error), self.clip, self.folder, self.name)
        shown = min(self.count, self.limits.frames)
        height, width = next(iter(views[0].frames())).shape[:2]
        mosaic = Mosaic.of(width, height, len(views))
        videos = [view for view in views if view.video is not None and view.pictures.is_dir() and view.key != "bicubic"]
        self.meter.begin("film", shown)
        with ExitStack() as open_videos:
            comparison = open_videos.enter_context(VideoWriter(self.folder / COMPARISON, self.facts.fps))
            own = {view.key: VideoWriter(self.folder / str(view.video), self.facts.fps) for view in videos}
            for video in own.values():
                open_videos.enter_context(video)
            rows = zip(*(islice(view.frames(), shown) for view in views), strict=False)
            for pictures in self.meter.track(rows):
                comparison.add(mosaic.compose(pictures))
                for view, picture in zip(views, pictures, strict=True):
                    if view.key in own:
                        own[view.key].add(picture)
        if inspected is not None:
            inspected["video"] = None
            _write(self.folder / INSPECTION, inspected)
        made = {view.video for view in videos} | {view.video for view in views if view.pictures.is_file()}
        _write(
            self.folder / RESULT,
            {
                "frames": shown,
                "all_frames": self.count,
                "fps": float(self.facts.fps),
                "size": [width, height],
                "mosaic": mosaic.to_json(),
                "views": [{**view.to_json(), "film": view.video if view.video in made else None} for view in views],
                "layers": layers,
                "no_layers_because": layers_fault,
                "compressed": self.truth,
                "source": {"width": self.facts.width, "height": self.facts.height, "codec": self.facts.codec},
                "parameters": self.parameters.to_json(),
                "version": codecvsr.__version__,
            },
        )
        for name in ("original", "clips", *(key for key, _ in self.runs)):  # frames are large, and the videos have them
            shutil.rmtree(self.folder / name, ignore_errors=True)


def _scores(scores: EvalResult) -> dict[str, Any]:
    names = ("psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y")
    return {
        "mean": {name: getattr(scores, name) for name in names},
        "per_frame": {name: [getattr(row, name) for row in scores.rows] for name in names},
        "protocol": scores.protocol,
    }


def _write(path: Path, value: dict[str, Any]) -> None:
    with atomic_file(path) as part:
        part.write_text(json.dumps(jsonable(value), allow_nan=False) + "\n", encoding="utf-8")
