"""The HTTP API and the page, as a WSGI application. ``openapi.json`` documents every address."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request, send_file
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from codecvsr.models.model_names import QUALITIES
from codecvsr.web.checks import ParameterError
from codecvsr.web.enlargement import stem_of
from codecvsr.web.estimator import BusyError, Estimator
from codecvsr.web.parameters import DEMO, Parameters
from codecvsr.web.refusals import Refused, http_error, refusal, unexpected_error
from codecvsr.web.scheduler import Scheduler
from codecvsr.web.security import Guard
from codecvsr.web.store import ACTIVE, Job, JobStore, QueueFullError
from codecvsr.web.uploads import check_disk_space, receive_upload

#: Files of a job for download: address -> file name and type. No other file is opened for a client.
FILES = {
    "comparison.mp4": ("comparison.mp4", "video/mp4"),
    "bicubic.mp4": ("bicubic.mp4", "video/mp4"),
    "model.mp4": ("model.mp4", "video/mp4"),
    "other.mp4": ("other.mp4", "video/mp4"),
    "metrics.json": ("result.json", "application/json"),
    "video": ("", ""),  # the enlarged video, whose name and type depend on the upload
}
_VIDEO_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".mkv": "video/x-matroska"}
_JSON_BYTES = 16_384
_MAX_STREAMS = 24  # concurrent event streams; each occupies a thread
_STREAM_SECONDS, _HEARTBEAT_SECONDS = 50.0, 10.0
_MAX_FRAMES = 48  # of layers per answer


class _Identifier(BaseConverter):
    """URL converter for identifiers of jobs and uploads."""

    regex = "[0-9a-f]{32}"


def demo_clip() -> Path:
    """Returns the demo clip: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "inputs"
    return (inside if inside.is_dir() else package.parent / "inputs") / "forest_720p.mp4"


def create_app(
    store: JobStore, scheduler: Scheduler, token: str | None = None, estimator: Estimator | None = None
) -> Flask:
    """Returns the application.

    Args:
        store: jobs and uploads.
        scheduler: runs the jobs; it must be started.
        token: access token of clients; None to serve only this machine.
        estimator: makes estimates; None for a new one, whose process starts with the first estimate.
    """
    app = Flask("codecvsr.web", root_path=str(Path(__file__).parent), static_folder="static")
    app.config["MAX_CONTENT_LENGTH"] = scheduler.limits.upload_bytes
    app.url_map.converters["identifier"] = _Identifier
    app.url_map.strict_slashes = True
    Guard(token).install(app)
    api = _Api(store, scheduler, estimator or Estimator(scheduler.limits, store.folder / "jobs"))
    for rule, name, methods in (
        ("/", "page", ["GET"]),
        ("/api/openapi.json", "openapi", ["GET"]),
        ("/api/models", "models", ["GET"]),
        ("/api/clips", "upload", ["POST"]),
        ("/api/estimates", "estimate", ["POST"]),
        ("/api/jobs", "create", ["POST"]),
        ("/api/jobs", "jobs", ["GET"]),
        ("/api/jobs/<identifier:id_>", "job", ["GET"]),
        ("/api/jobs/<identifier:id_>", "delete", ["DELETE"]),
        ("/api/jobs/<identifier:id_>/cancel", "cancel", ["POST"]),
        ("/api/jobs/<identifier:id_>/events", "events", ["GET"]),
        ("/api/jobs/<identifier:id_>/result", "result", ["GET"]),
        ("/api/jobs/<identifier:id_>/inspect", "inspect", ["GET"]),
        ("/api/jobs/<identifier:id_>/files/<name>", "file", ["GET"]),
    ):
        app.add_url_rule(rule, name, getattr(api, name), methods=methods)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(ParameterError, lambda error: refusal(422, str(error)))
    app.register_error_handler(Refused, lambda error: refusal(error.status, str(error)))
    app.register_error_handler(Exception, unexpected_error)
    return app


class _Api:
    """The addresses, one method each."""

    def __init__(self, store: JobStore, scheduler: Scheduler, estimator: Estimator) -> None:
        self.store, self.scheduler, self.limits = store, scheduler, scheduler.limits
        self.estimator = estimator
        self._streams = threading.BoundedSemaphore(_MAX_STREAMS)

    # --- the page and its settings ------------------------------------------------------------------------------------

    def page(self) -> Response:
        return _own_file("static/index.html", "text/html")

    def openapi(self) -> Response:
        return _own_file("openapi.json", "application/json")

    def models(self) -> Response:
        limits = {name: value for name, value in asdict(self.limits).items() if not name.startswith("job_")}
        demo = demo_clip()
        names = {model["name"] for model in self.scheduler.models}
        return jsonify(
            {
                "models": self.scheduler.models,
                "limits": limits,
                "demo": demo.name if demo.is_file() else None,
                "qualities": {quality: model for quality, model in QUALITIES.items() if model in names},
            }
        )

    # --- uploads ------------------------------------------------------------------------------------------------------

    def upload(self) -> tuple[Response, int]:
        self.estimator.warm_up()  # while the file arrives
        clip = receive_upload(request, self.store, self.limits)
        return jsonify({"id": clip.id, "name": clip.name, "bytes": clip.bytes}), 201

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def estimate(self) -> Response:
        parameters, name = self._request()
        path = self.scheduler.clip_path(parameters.clip)
        if parameters.upscale is None:
            raise ParameterError("upscale: options of a whole video were expected; comparisons have no estimate.")
        if path is None:
            raise Refused(404, "there is no such upload; it may have expired.")
        stored = parameters.to_json()
        try:
            made = self.estimator.estimate(json.dumps(stored, sort_keys=True), path, name, stored)
        except BusyError as error:
            raise Refused(503, str(error)) from None
        return jsonify(made)

    def create(self) -> tuple[Response, int]:
        parameters, name = self._request()
        check_disk_space(self.store, self.limits, 0)
        try:
            job = self.store.add_job(parameters.clip, name, parameters.to_json(), max_active=self.limits.queue)
        except QueueFullError as error:
            raise Refused(429, str(error)) from None
        self.scheduler.wake()
        return jsonify(self._job_json(job)), 201

    def _request(self) -> tuple[Parameters, str]:
        """Returns the checked parameters of a job and the name of its clip."""
        if not request.is_json:
            raise Refused(415, "JSON was expected (Content-Type: application/json).")
        if (request.content_length or 0) > _JSON_BYTES:
            raise Refused(413, "the request is too long.")
        try:
            body = json.loads(request.get_data())
        except (ValueError, RecursionError):
            raise Refused(400, "the request is not JSON.") from None
        known = {model["name"]: model for model in self.scheduler.models}
        parameters = Parameters.from_json(body, known, self.limits.seconds)
        clip = None if parameters.clip == DEMO else self.store.clip(parameters.clip)
        if parameters.clip != DEMO and clip is None:
            raise Refused(404, "there is no such upload; it may have expired.")
        return parameters, demo_clip().name if clip is None else clip.name

    def jobs(self) -> Response:
        return jsonify({"jobs": [self._job_json(job) for job in self.store.jobs()]})

    def job(self, id_: str) -> Response:
        return jsonify(self._job_json(self._find(id_)))

    def delete(self, id_: str) -> Response:
        self._find(id_)
        self.scheduler.remove(id_)
        return Response(status=204)

    def cancel(self, id_: str) -> Response:
        self._find(id_)
        if not self.scheduler.cancel(id_):
            raise Refused(409, "the job has ended already.")
        return jsonify(self._job_json(self._find(id_)))

    def events(self, id_: str) -> Response:
        self._find(id_)
        if not self._streams.acquire(blocking=False):
            raise Refused(503, "too many event streams; poll the job instead.")
        response = Response(self._stream(id_), mimetype="text/event-stream")
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"
        response.call_on_close(self._streams.release)
        return response

    def _stream(self, id_: str) -> Iterator[str]:
        """Yields the job whenever it changes, until it has ended or the stream has run its time."""
        previous, until = "", time.monotonic() + _STREAM_SECONDS
        version = self.scheduler.wait(-1, 0)
        yield "retry: 1500\n\n"
        while time.monotonic() < until and not self.scheduler.is_closing:
            job = self.store.job(id_)
            if job is None:
                yield "event: gone\ndata: {}\n\n"
                return
            current = json.dumps(self._job_json(job))
            yield f"event: job\ndata: {current}\n\n" if current != previous else ": heartbeat\n\n"
            previous = current
            if job.state not in ACTIVE:
                return
            version = self.scheduler.wait(version, _HEARTBEAT_SECONDS)

    def _job_json(self, job: Job) -> dict[str, Any]:
        names = ("id", "clip_name", "state", "created", "started", "finished", "error", "parameters")
        values = {name: getattr(job, name) for name in names}
        progress = self.scheduler.progress(job.id) if job.state == "running" else None
        return {**values, "position": self.store.queue_position(job), "progress": progress}

    def _find(self, id_: str) -> Job:
        job = self.store.job(id_)
        if job is None:
            raise Refused(404, "there is no such job; it may have expired.")
        return job

    def _done(self, id_: str) -> Path:
        job = self._find(id_)
        if job.state != "done":
            raise Refused(409, f"the job is {job.state}; it has no result.")
        return self.store.job_folder(id_)

    # --- results ------------------------------------------------------------------------------------------------------

    def result(self, id_: str) -> Response:
        return send_file(self._done(id_) / "result.json", mimetype="application/json", max_age=0)

    def file(self, id_: str, name: str) -> Response:
        if name not in FILES:
            raise Refused(404, f"a job has {', '.join(FILES)}.")
        folder = self._done(id_)
        file_name, kind = FILES[name]
        download = f"{stem_of(self._find(id_).clip_name)}_{name}"
        if name == "video":
            video = json.loads((folder / "result.json").read_text(encoding="utf-8")).get("video")
            if video is None:
                raise Refused(404, "this job has no such file.")
            file_name, download = video["file"], video["name"]
            kind = _VIDEO_TYPES[Path(file_name).suffix]
        path = folder / file_name
        if not path.is_file():
            raise Refused(404, "this job has no such file.")
        is_download = _whole(request.args.get("download", "0"), "download", 0, 1) == 1
        response = send_file(
            path,
            mimetype=kind,
            as_attachment=is_download,
            download_name=download,
            conditional=True,
            max_age=600,
        )
        response.headers["Cache-Control"] = "private, max-age=600"
        return response

    def inspect(self, id_: str) -> Response:
        folder = self._done(id_)
        start = _whole(request.args.get("start", "0"), "start", 0, 1_000_000)
        count = _whole(request.args.get("count", "24"), "count", 1, _MAX_FRAMES)
        summary, layers = folder / "inspection.json", folder / "layers.jsonl"
        frames: list[Any] = []
        if layers.is_file():
            with layers.open(encoding="utf-8") as file:
                frames = [json.loads(line) for line in itertools.islice(file, start, start + count)]
        content = json.loads(summary.read_text(encoding="utf-8")) if summary.is_file() else None
        return jsonify({"summary": content, "start": start, "frames": frames})


def _own_file(name: str, kind: str) -> Response:
    content = resources.files("codecvsr.web").joinpath(name).read_bytes()
    return Response(content, mimetype=kind, headers={"Cache-Control": "no-cache"})


def _whole(text: str, name: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise ParameterError(f"{name}: a whole number from {low} to {high} was expected.")
    return int(text)
