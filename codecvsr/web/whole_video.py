"""Enlarges a whole upload as ``codecvsr upscale`` does, and estimates it before. An interrupted job continues where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.errors import OtherJobError
from codecvsr.upscaling.api import upscale
from codecvsr.upscaling.dry_run import plan_all
from codecvsr.upscaling.options import RunSettings, UpscaleOptions
from codecvsr.video.probe import Media
from codecvsr.video.rotation import display_matrix
from codecvsr.video.scan import Scan, scan
from codecvsr.video.seek import Decoder
from codecvsr.web.enlargement import download_name, output_suffix
from codecvsr.web.job_context import JobContext
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters, Run
from codecvsr.web.probe import Facts, probe
from codecvsr.web.progress_meter import OnEvent, ProgressMeter, Step
from codecvsr.web.video_writer import Picture
from codecvsr.web.views import Shown, View, write_json, write_result

OUTPUT = "enlarged"  #: stem of the output in the job's folder
_REPORT = "report.json"
_SHOWN_FRAMES = 48  # of the comparison
_SHOWN_AT = 10.0  # seconds from the first frame, at most, where the comparison begins
_UPSCALE_SHARE = 0.94  # of the job's time; the rest makes the comparison
_LABELS = {
    "reading": "reading the video",
    "estimating": "reading the video",
    "decoding": "decoding",
    "motion": "reading the motion",
    "upscaling": "enlarging",
    "writing": "writing the video",
}
_KEYS = (
    "frames", "resumed_frames", "width", "height", "seconds", "frames_per_second", "model", "motion", "device", "precision",
    "concealed_frames", "deinterlaced_frames", "losses", "skipped_share",
)  # fmt: skip


def estimate_job(clip: Path, folder: Path, parameters: Parameters, limits: Limits, name: str) -> dict[str, Any]:
    """Returns what a job will make and take: the object of ``upscale --dry-run --json``, and the name of the download.

    Args:
        clip: the input file; only read.
        folder: a folder in which nothing is written.
        parameters: the request.
        limits: of the server.
        name: the clip's name.

    Raises:
        CodecVSRError: the clip or an option cannot be used.
    """
    options = _options(clip, parameters, limits, probe(clip, parameters, limits))
    suffix = output_suffix(clip, name, options)
    plans, _ = plan_all([clip], folder / f"{OUTPUT}{suffix}", options, RunSettings())
    plan = plans[0]
    return {
        **plan.to_json(),
        "input": name,
        "output": download_name(name, options, suffix),
        "source_width": plan.source_width,
        "source_height": plan.source_height,
        "gain_error_db": plan.estimate.gain_error_db,
        "note": plan.estimate.note,
        "rotation": _rotation(clip),
    }


def _rotation(clip: Path) -> list[int] | None:
    """Returns the display matrix of a video; None for none."""
    first = next(iter(VideoPictures(clip, allow_damaged=True).coded()), None)
    matrix = None if first is None else display_matrix(first.picture)
    return None if matrix is None else list(matrix)


def enlarge(job: JobContext) -> None:
    """Enlarge the whole clip of a job into its folder, then write a comparison of a part of it and ``result.json``.

    The folder may have what an interrupted run made.

    Raises:
        CodecVSRError: the clip or an option cannot be used.
    """
    options = _options(job.clip, job.parameters, job.limits, job.facts)
    suffix = output_suffix(job.clip, job.name, options)
    output = job.folder / f"{OUTPUT}{suffix}"
    report = _stored_report(job.folder, output)
    if report is None:
        report = _upscale(job.clip, output, options, job.on_event)
        write_json(job.folder / _REPORT, report)
    download = {"file": output.name, "name": download_name(job.name, options, suffix), "bytes": output.stat().st_size}
    _write_comparison(job, options, report, download)


def _options(clip: Path, parameters: Parameters, limits: Limits, facts: Facts) -> UpscaleOptions:
    assert parameters.upscale is not None
    return parameters.upscale.options(facts.width, facts.height, parameters.device, limits.output_pixels)


def _stored_report(folder: Path, output: Path) -> dict[str, Any] | None:
    path = folder / _REPORT
    if not path.is_file() or not output.is_file():
        return None
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def _upscale(clip: Path, output: Path, options: UpscaleOptions, on_event: OnEvent) -> dict[str, Any]:
    listener = _Listener(on_event)
    settings = {**options.to_json(), "fps": None}
    try:
        report = upscale(clip, output, resume=True, overwrite=True, listener=listener, **settings).to_json()
    except OtherJobError:  # another version of the program began it
        report = upscale(clip, output, resume=False, overwrite=True, listener=listener, **settings).to_json()
    return {key: report.get(key) for key in _KEYS}


class _Listener:
    """Turns the events of ``upscale`` into those of a job."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._frames, self._done, self._rate = 0, 0.0, None  # frames and parts of frames that are done

    def __call__(self, event: dict[str, Any]) -> None:
        """Pass on an event."""
        kind = event["event"]
        eta = event.get("eta_seconds")
        if kind == "plan":
            self._frames, self._done = event["frames"], event["done_frames"]
        elif kind == "progress":
            self._frames, self._rate = event["frames"], event["frames_per_second"]
            self._upscaled(event["frame"], eta)
        elif kind == "step":
            phase, total = event["phase"], event["total"] or 0
            if phase == "upscaling":
                self._upscaled(event["done"], eta)
            else:
                self._emit(phase, int(event["done"]), total, eta)

    def _upscaled(self, done: float, eta: float | None) -> None:
        """Passes on how far the network is: it passes over all frames of a window before the first one is complete."""
        self._done = max(self._done, done)
        self._emit("upscaling", int(self._done), self._frames, eta)

    def _emit(self, phase: str, done: int, total: int, eta: float | None) -> None:
        self._on_event(
            {
                "event": "progress",
                "step": phase,
                "label": _LABELS[phase],
                "done": done,
                "total": total,
                "fraction": round(_UPSCALE_SHARE * self._done / max(self._frames, 1), 4),
                "frames_per_second": self._rate,
                "eta_seconds": eta,
            }
        )


def _write_comparison(
    job: JobContext, options: UpscaleOptions, report: dict[str, Any], download: dict[str, Any]
) -> None:
    """Makes the same frames by bicubic, and shows them beside those of the output."""
    steps = [Step("bicubic", "making the comparison", 1.0), Step("layers", "drawing layers", 0.5), Step("film", "making the comparison", 1.0)]  # fmt: skip

    def of_the_rest(event: dict[str, Any]) -> None:
        job.on_event({**event, "fraction": round(_UPSCALE_SHARE + (1 - _UPSCALE_SHARE) * event["fraction"], 4)})

    meter = ProgressMeter(steps, of_the_rest)
    output = Media.open(job.folder / download["file"])
    first = max(min(report["frames"] // 2 - _SHOWN_FRAMES // 2, int(_SHOWN_AT * output.rate)), 0)
    count = min(_SHOWN_FRAMES, report["frames"] - first)
    rate = float(output.rate)
    start, end = (first - 0.5) / rate if first else None, (first + count - 0.5) / rate
    meter.begin("bicubic", count)
    bicubic = job.folder / "bicubic.mp4"
    usual = replace(
        options, model="bicubic", strength=1.0, skip_static=False, codec="h264", crf=14, preset="veryfast",
        pixel_format="yuv420p", start=start, end=end,
    )  # fmt: skip
    upscale(job.clip, bicubic, overwrite=True, audio="none", **{k: v for k, v in usual.to_json().items() if k not in ("fps", "audio")})  # fmt: skip
    found = scan(output, start=start, end=end)
    rotation = found.rotation
    model = Run(str(options.model))
    views = [
        View("bicubic", "bicubic", bicubic, None, Run("bicubic"), rotation=rotation),
        View(
            "model", model.label, job.folder / download["file"], None, model, report, rotation=rotation,
            read=lambda: _pictures(output, found),
        ),
    ]  # fmt: skip
    shown = Shown(views, job.clip, (start or 0.0, end), len(found), report["frames"], rotation, download=download)
    facts = replace(job.facts, fps=min(output.rate, job.facts.fps * 2))
    write_result(job.folder, shown, job.parameters, facts, job.limits, meter, job.explain)
    bicubic.unlink()


def _pictures(media: Media, found: Scan) -> Iterator[Picture]:
    decoded = Decoder(media, found).frames(0, len(found))
    return islice((frame.rgb for frame in decoded if frame is not None), len(found))
