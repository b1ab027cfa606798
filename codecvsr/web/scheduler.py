"""Takes jobs from the queue, one after the other, has each done in a process of its own, and knows how far it is."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codecvsr.errors import CodecVSRError
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import DEMO
from codecvsr.web.store import Job, JobStore

_logger = logging.getLogger(__name__)
_READY_SECONDS = 180  #: for the libraries to load
_HOUSEKEEPING_SECONDS = 60.0
_SIGNALS = {
    signal.SIGXCPU: "it took more processor time than a job may.",
    signal.SIGKILL: "its process was killed, most likely for lack of memory.",
    signal.SIGSEGV: "the file made the decoder crash.",
    signal.SIGABRT: "the file made the decoder crash.",
    signal.SIGBUS: "the file made the decoder crash.",
    signal.SIGFPE: "the file made the decoder crash.",
}
_TOO_LONG = "it took longer than a job may; try fewer seconds or smaller frames."


class Scheduler:
    """The one worker's master. ``models`` is known when :meth:`start` returns."""

    def __init__(self, store: JobStore, limits: Limits, demo: Path) -> None:
        self.store, self.limits = store, limits
        self.models: list[dict[str, Any]] = []
        self._demo = demo
        self._change = threading.Condition()  # guards what follows; told when any of it, or a job, changes
        self._progress: dict[str, dict[str, Any]] = {}
        self._stop_wanted: dict[str, str] = {}  # running job -> the state it is to end in
        self._unwanted: set[str] = set()  # to be forgotten as soon as they have ended
        self._closing = False
        self._version = 0
        self._job_server: subprocess.Popen[bytes] | None = None
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, name="foreman", daemon=True)
        self._cleaned = 0.0

    # --- for the server's threads -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work.

        Raises:
            CodecVSRError: the process that does the jobs cannot be started.
        """
        self.store.recover()
        self._begin_job_server()
        self._thread.start()

    def stop(self) -> None:
        """End; a running job waits for the next start."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._end_job_server()
        if self._thread.is_alive():
            self._thread.join(10)

    @property
    def is_closing(self) -> bool:
        """:meth:`stop` was called."""
        return self._closing

    def wake(self) -> None:
        """There is something new in the queue."""
        with self._change:
            self._version += 1
            self._change.notify_all()

    def progress(self, id_: str) -> dict[str, Any] | None:
        """How far a running job is; None of one that is not running."""
        with self._change:
            return self._progress.get(id_)

    def wait(self, version: int, seconds: float) -> int:
        """Wait until anything changes after ``version``, or so long; returns the version now."""
        with self._change:
            self._change.wait_for(lambda: self._version != version or self._closing, seconds)
            return self._version

    def remove(self, id_: str) -> None:
        """Forget a job and its files, whatever it is at."""
        with self._change:
            self._unwanted.add(id_)
        self.cancel(id_)
        self.store.delete(id_)  # one that still runs goes when it has stopped
        if self.store.job(id_) is None:
            with self._change:
                self._unwanted.discard(id_)
        self.wake()

    def cancel(self, id_: str) -> bool:
        """Cancel a job that waits or runs; False where it has ended."""
        if self.store.cancel_queued(id_):
            self.wake()
            return True
        with self._change:
            job = self.store.job(id_)
            if job is None or job.state != "running":
                return False
            self._stop_wanted[id_] = "cancelled"
            self._change.notify_all()
        self._order({"stop": True})
        return True

    # --- the foreman's own thread -------------------------------------------------------------------------------------

    def _serve(self) -> None:
        job: Job | None = None
        while not self._closing:
            try:
                self._keep_house()
                job = self.store.claim()
                if job is None:
                    with self._change:
                        version = self._version
                    self.wait(version, 1.0)
                else:
                    self._do(job)
            except Exception:  # noqa: BLE001 - whatever it was, the next job has its turn
                if not self.is_closing:
                    _logger.error("the foreman stumbled:\n%s", traceback.format_exc())
                    if job is not None:
                        self.store.finish(job.id, "failed", "it could not be begun; the server's log says why.")
                        self.wake()
                    time.sleep(1.0)

    def _do(self, job: Job) -> None:
        clip = self._clip_path(job)
        if clip is None:
            self.store.finish(job.id, "failed", "the upload is no longer kept; upload it again.")
            return self.wake()
        if self._job_server is None or self._job_server.poll() is not None:
            self._begin_job_server()
        folder = self.store.job_folder(job.id)
        work = {
            "folder": str(folder),
            "clip": str(clip),
            "clip_name": job.clip_name,
            "parameters": dict(job.parameters),
            "limits": asdict(self.limits),
        }
        self._drop_events()
        self.wake()
        self._order({"run": work})
        error, code, wanted = self._watch(job)
        if self._closing and wanted is None and code != 0:
            return None  # stays "running" in the store: the next start takes it up again
        if wanted == "cancelled":
            self.store.finish(job.id, "cancelled")
        elif code == 0 and error is None:
            self.store.finish(job.id, "done")
        else:
            reason = wanted or error or self._how_it_ended(code)
            self.store.finish(job.id, "failed", reason)
        with self._change:
            self._progress.pop(job.id, None)
            self._stop_wanted.pop(job.id, None)
            is_unwanted = job.id in self._unwanted
            self._unwanted.discard(job.id)
        if is_unwanted:
            self.store.delete(job.id)
        elif wanted or error or code != 0:
            shutil.rmtree(folder, ignore_errors=True)
        return self.wake()

    def _watch(self, job: Job) -> tuple[str | None, int | None, str | None]:
        """Follow a job to its end: (what failed, its exit status, why it was stopped)."""
        deadline = time.monotonic() + self.limits.job_seconds
        error: str | None = None
        why: str | None = None
        while True:
            try:
                event = self._events.get(timeout=0.5)
            except queue.Empty:
                with self._change:
                    why = why or self._stop_wanted.get(job.id)
                if why is not None:
                    self._order({"stop": True})
                elif time.monotonic() > deadline:
                    why = _TOO_LONG
                    self._order({"stop": True})
                continue
            if event is None:  # the nursery itself is gone
                self._job_server = None
                with self._change:
                    return error, None, why or self._stop_wanted.get(job.id)
            kind = event.pop("event", None)
            if kind == "progress":
                with self._change:
                    self._progress[job.id] = event
                    self._version += 1
                    self._change.notify_all()
                    is_wanted = job.id in self._stop_wanted
                if is_wanted or time.monotonic() > deadline:
                    why = why or (None if is_wanted else _TOO_LONG)
                    self._order({"stop": True})
            elif kind == "failed":
                error = str(event["error"])
                if event.get("trace"):
                    _logger.error("job %s: %s", job.id, event["trace"])
            elif kind == "ended":
                with self._change:
                    return error, int(event["exit"]), why or self._stop_wanted.get(job.id)

    def _clip_path(self, job: Job) -> Path | None:
        if job.clip == DEMO:
            return self._demo
        clip = self.store.clip(job.clip)
        path = None if clip is None else self.store.upload_path(clip.id, clip.suffix)
        return path if path is not None and path.is_file() else None

    def _how_it_ended(self, code: int | None) -> str:
        if code is None:
            return "the process that does the jobs ended; it is started again for the next one."
        if code < 0:
            named = signal.Signals(-code) if -code in signal.valid_signals() else None
            return _SIGNALS.get(named, f"its process was ended by signal {-code}.") if named else "its process ended."
        return f"its process ended with status {code}."

    def _keep_house(self) -> None:
        if time.monotonic() - self._cleaned > _HOUSEKEEPING_SECONDS:
            self._cleaned = time.monotonic()
            self.store.expire(self.limits.keep_seconds)

    # --- the process that jobs are born in ----------------------------------------------------------------------------

    def _begin_job_server(self) -> None:
        self._end_job_server()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._job_server = subprocess.Popen(
            [sys.executable, "-m", "codecvsr.web.job_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
        )
        self._events = queue.Queue()
        threading.Thread(target=_read, args=(self._job_server, self._events), name="events", daemon=True).start()
        try:
            event = self._events.get(timeout=_READY_SECONDS)
        except queue.Empty:
            event = None
        if event is None or event.get("event") != "ready":
            self._end_job_server()
            told = "" if event is None else f" ({event.get('error')})"
            raise CodecVSRError(f"the process that does the jobs could not be started{told}.")
        self.models = event["models"]

    def _drop_events(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._events.get_nowait()

    def _order(self, order: Mapping[str, Any]) -> None:
        job_server = self._job_server
        if job_server is not None and job_server.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ValueError):
                job_server.stdin.write((json.dumps(order) + "\n").encode())

    def _end_job_server(self) -> None:
        job_server, self._job_server = self._job_server, None
        if job_server is None:
            return
        with contextlib.suppress(OSError):
            if job_server.stdin is not None:
                job_server.stdin.close()
        try:
            job_server.wait(5)
        except subprocess.TimeoutExpired:
            job_server.kill()
            job_server.wait()


def _read(job_server: subprocess.Popen[bytes], events: queue.Queue[dict[str, Any] | None]) -> None:
    """Put what the nursery tells into ``events``; None when it ends."""
    assert job_server.stdout is not None
    for line in job_server.stdout:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a library that prints
        if isinstance(event, dict):
            events.put(event)
    events.put(None)
