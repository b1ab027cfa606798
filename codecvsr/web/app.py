"""The HTTP API and the page, as a WSGI application. What each address takes and gives is in ``openapi.json``."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request, send_file
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter

from codecvsr.errors import CodecVSRError
from codecvsr.web import sniff
from codecvsr.web.parameters import DEMO, ParameterError, Parameters
from codecvsr.web.scheduler import Scheduler
from codecvsr.web.security import Guard, refusal
from codecvsr.web.store import ACTIVE, Job, JobStore, QueueFullError

#: What can be fetched of a job: address -> its file. Nothing else is ever opened for a client.
FILES = {
    "comparison.mp4": ("comparison.mp4", "video/mp4"),
    "bicubic.mp4": ("bicubic.mp4", "video/mp4"),
    "model.mp4": ("model.mp4", "video/mp4"),
    "other.mp4": ("other.mp4", "video/mp4"),
    "metrics.json": ("result.json", "application/json"),
}
_JSON_BYTES = 16_384
_CHUNK = 1 << 20
_NAME_LENGTH = 120
_FREE_BYTES = 256 << 20  # that an upload leaves on the disk
_MAX_STREAMS = 24  # of events at once: each holds a thread
_STREAM_SECONDS, _HEARTBEAT_SECONDS = 50.0, 10.0
_MAX_FRAMES = 48  # of layers in one answer
_logger = logging.getLogger(__name__)


class _Identifier(BaseConverter):
    """What identifiers look like; anything else is no address of ours."""

    regex = "[0-9a-f]{32}"


def demo_clip() -> Path:
    """The clip that ships with codecvsr: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "inputs"
    return (inside if inside.is_dir() else package.parent / "inputs") / "bunny_720p.mp4"


def create_app(store: JobStore, scheduler: Scheduler, token: str | None = None) -> Flask:
    """The application; ``scheduler`` has been started.

    Args:
        store: jobs and uploads.
        scheduler: who does them.
        token: what clients have to show; None for this machine alone.
    """
    app = Flask("codecvsr.web", root_path=str(Path(__file__).parent), static_folder="static")
    app.config["MAX_CONTENT_LENGTH"] = scheduler.limits.upload_bytes
    app.url_map.converters["identifier"] = _Identifier
    app.url_map.strict_slashes = True
    Guard(token).install(app)
    api = _Api(store, scheduler)
    for rule, name, methods in (
        ("/", "page", ["GET"]),
        ("/api/openapi.json", "openapi", ["GET"]),
        ("/api/models", "models", ["GET"]),
        ("/api/clips", "upload", ["POST"]),
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
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(ParameterError, lambda error: refusal(422, str(error)))
    app.register_error_handler(_Refused, lambda error: refusal(error.status, str(error)))
    app.register_error_handler(Exception, _unforeseen)
    return app


class _Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Api:
    """The addresses, one method each."""

    def __init__(self, store: JobStore, scheduler: Scheduler) -> None:
        self.store, self.scheduler, self.limits = store, scheduler, scheduler.limits
        self._streams = threading.BoundedSemaphore(_MAX_STREAMS)

    # --- the page and what it has to know -----------------------------------------------------------------------------

    def page(self) -> Response:
        return _own_file("static/index.html", "text/html")

    def openapi(self) -> Response:
        return _own_file("openapi.json", "application/json")

    def models(self) -> Response:
        limits = {name: value for name, value in asdict(self.limits).items() if not name.startswith("job_")}
        demo = demo_clip()
        return jsonify(
            {"models": self.scheduler.models, "limits": limits, "demo": demo.name if demo.is_file() else None}
        )

    # --- uploads ------------------------------------------------------------------------------------------------------

    def upload(self) -> Response:
        if (request.mimetype or "") != "application/octet-stream":
            raise _Refused(415, "the file itself was expected, as application/octet-stream.")
        if request.content_length is None:
            raise _Refused(411, "the length of the file was expected (Content-Length).")
        if request.content_length > self.limits.upload_bytes:
            raise _Refused(413, f"the file is larger than the {self.limits.upload_bytes >> 20} MiB that are allowed.")
        self._check_room(request.content_length)
        id_ = self.store.new_id()
        part = self.store.upload_path(id_)
        try:
            size = self._receive(part)
            with part.open("rb") as file:
                suffix = sniff.video_suffix(file.read(sniff.HEAD))
            if suffix is None:
                raise _Refused(
                    415, "this is no video: MP4, MOV, MKV, WebM, AVI, FLV, MPEG-TS or raw H.264 was expected."
                )
            part.rename(self.store.upload_path(id_, suffix))
        finally:
            part.unlink(missing_ok=True)
        clip = self.store.add_clip(id_, _shown_name(request.args.get("name", "")), suffix, size)
        response: Response = jsonify({"id": clip.id, "name": clip.name, "bytes": clip.bytes})
        response.status_code = 201
        return response

    def _receive(self, part: Path) -> int:
        size = 0
        with part.open("wb") as file:
            while piece := request.stream.read(_CHUNK):
                size += len(piece)
                if size > self.limits.upload_bytes:
                    raise _Refused(413, "the file is larger than allowed.")
                file.write(piece)
        return size

    def _check_room(self, wanted: int) -> None:
        free = shutil.disk_usage(self.store.folder).free
        if free - wanted < _FREE_BYTES or self.store.stored_bytes() + wanted > self.limits.stored_bytes:
            raise _Refused(507, "the server's disk is full; delete some results.")

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def create(self) -> tuple[Response, int]:
        if not request.is_json:
            raise _Refused(415, "JSON was expected (Content-Type: application/json).")
        if (request.content_length or 0) > _JSON_BYTES:
            raise _Refused(413, "the request is longer than any job can be.")
        try:
            asked = json.loads(request.get_data())
        except (ValueError, RecursionError):
            raise _Refused(400, "the request is not JSON.") from None
        known = {model["name"]: model for model in self.scheduler.models}
        parameters = Parameters.from_json(asked, known, self.limits.seconds)
        clip = None if parameters.clip == DEMO else self.store.clip(parameters.clip)
        if parameters.clip != DEMO and clip is None:
            raise _Refused(404, "there is no such upload; it may have expired.")
        self._check_room(0)
        name = demo_clip().name if clip is None else clip.name
        try:
            job = self.store.add_job(parameters.clip, name, parameters.to_json(), most=self.limits.queue)
        except QueueFullError as error:
            raise _Refused(429, str(error)) from None
        self.scheduler.wake()
        return jsonify(self._told(job)), 201

    def jobs(self) -> Response:
        return jsonify({"jobs": [self._told(job) for job in self.store.jobs()]})

    def job(self, id_: str) -> Response:
        return jsonify(self._told(self._find(id_)))

    def delete(self, id_: str) -> Response:
        self._find(id_)
        self.scheduler.remove(id_)
        return Response(status=204)

    def cancel(self, id_: str) -> Response:
        self._find(id_)
        if not self.scheduler.cancel(id_):
            raise _Refused(409, "the job has ended already.")
        return jsonify(self._told(self._find(id_)))

    def events(self, id_: str) -> Response:
        self._find(id_)
        if not self._streams.acquire(blocking=False):
            raise _Refused(503, "too many listen already; ask for the job itself from time to time.")
        response = Response(self._stream(id_), mimetype="text/event-stream")
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"
        response.call_on_close(self._streams.release)
        return response

    def _stream(self, id_: str) -> Iterator[str]:
        """The job whenever it changes, until it has ended or it is time to reconnect."""
        said, until = "", time.monotonic() + _STREAM_SECONDS
        version = self.scheduler.wait(-1, 0)
        yield "retry: 1500\n\n"
        while time.monotonic() < until and not self.scheduler.is_closing:
            job = self.store.job(id_)
            if job is None:
                yield "event: gone\ndata: {}\n\n"
                return
            told = json.dumps(self._told(job))
            yield f"event: job\ndata: {told}\n\n" if told != said else ": still here\n\n"
            said = told
            if job.state not in ACTIVE:
                return
            version = self.scheduler.wait(version, _HEARTBEAT_SECONDS)

    def _told(self, job: Job) -> dict[str, Any]:
        kept = ("id", "clip_name", "state", "created", "started", "finished", "error", "parameters")
        told = {name: getattr(job, name) for name in kept}
        progress = self.scheduler.progress(job.id) if job.state == "running" else None
        return {**told, "position": self.store.waiting_before(job), "progress": progress}

    def _find(self, id_: str) -> Job:
        job = self.store.job(id_)
        if job is None:
            raise _Refused(404, "there is no such job; it may have expired.")
        return job

    def _done(self, id_: str) -> Path:
        job = self._find(id_)
        if job.state != "done":
            raise _Refused(409, f"the job is {job.state}; it has no result.")
        return self.store.job_folder(id_)

    # --- results ------------------------------------------------------------------------------------------------------

    def result(self, id_: str) -> Response:
        return send_file(self._done(id_) / "result.json", mimetype="application/json", max_age=0)

    def file(self, id_: str, name: str) -> Response:
        if name not in FILES:
            raise _Refused(404, f"a job has {', '.join(FILES)}.")
        file_name, kind = FILES[name]
        path = self._done(id_) / file_name
        if not path.is_file():
            raise _Refused(404, "this job has no such file.")
        is_download = _whole(request.args.get("download", "0"), "download", 0, 1) == 1
        response = send_file(
            path,
            mimetype=kind,
            as_attachment=is_download,
            download_name=f"codecvsr-{name}",
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
        told = json.loads(summary.read_text(encoding="utf-8")) if summary.is_file() else None
        return jsonify({"summary": told, "start": start, "frames": frames})


def _own_file(name: str, kind: str) -> Response:
    content = resources.files("codecvsr.web").joinpath(name).read_bytes()
    return Response(content, mimetype=kind, headers={"Cache-Control": "no-cache"})


def _whole(text: str, name: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise ParameterError(f"{name}: a whole number from {low} to {high} was expected.")
    return int(text)


def _shown_name(name: str) -> str:
    """A file's name to be shown, and used for nothing else."""
    tidy = "".join(sign for sign in name.replace("\\", "/").rsplit("/", 1)[-1] if sign.isprintable()).strip()
    return tidy[:_NAME_LENGTH] or "upload"


def _http_error(error: HTTPException) -> Response:
    response = refusal(error.code or 500, f"{(error.name or 'error').lower()}.")
    if isinstance(allowed := getattr(error, "valid_methods", None), (list, tuple, set)):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _unforeseen(error: Exception) -> Response:
    if isinstance(error, CodecVSRError):
        return refusal(422, str(error))
    _logger.error("a request failed:\n%s", "".join(traceback.format_exception(error)))
    return refusal(500, "internal error; the server's log has more.")
