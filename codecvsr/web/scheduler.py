"""Runs the queued jobs one after the other in the job server, and tracks their progress."""

from __future__ import annotations

import logging
import queue
import shutil
import signal
import threading
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from codecvsr.web.job_process import JobProcess
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import DEMO
from codecvsr.web.store import Job, JobStore, is_whole_video

_logger = logging.getLogger(__name__)
_HOUSEKEEPING_SECONDS = 60.0
_ANY_TIME = 1e9  # seconds
_SIGNALS = {
    signal.SIGXCPU: "it exceeded the processor time of a job.",
    signal.SIGKILL: "its process was killed, most likely for lack of memory.",
    signal.SIGSEGV: "the file made the decoder crash.",
    signal.SIGABRT: "the file made the decoder crash.",
    signal.SIGBUS: "the file made the decoder crash.",
    signal.SIGFPE: "the file made the decoder crash.",
}
_TOO_LONG = "it exceeded the run time of a job; try fewer seconds or smaller frames."


class Scheduler:
    """Runs queued jobs; ``models`` is known once :meth:`start` returns."""

    def __init__(self, store: JobStore, limits: Limits, demo: Path) -> None:
        self.store, self.limits = store, limits
        self.models: list[dict[str, Any]] = []
        self._job_process = JobProcess()
        self._demo = demo
        self._change = threading.Condition()  # guards the fields below; notified when one of them, or a job, changes
        self._progress: dict[str, dict[str, Any]] = {}
        self._stop_wanted: dict[str, str] = {}  # running job -> its wanted final state
        self._to_delete: set[str] = set()  # running jobs to delete when they end
        self._closing = False
        self._version = 0
        self._thread = threading.Thread(target=self._serve, name="scheduler", daemon=True)
        self._cleaned = 0.0

    # --- for the server's threads -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the job server and the scheduler's thread.

        Raises:
            CodecVSRError: the job server does not start.
        """
        self.store.recover()
        self._start_job_process()
        self._thread.start()

    def stop(self) -> None:
        """Stop; a running job restarts at the next start."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._job_process.stop()
        if self._thread.is_alive():
            self._thread.join(10)

    @property
    def is_closing(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._closing

    def wake(self) -> None:
        """Notify the scheduler of a change in the queue."""
        with self._change:
            self._version += 1
            self._change.notify_all()

    def progress(self, id_: str) -> dict[str, Any] | None:
        """Returns the latest progress event of a running job; None for other jobs."""
        with self._change:
            return self._progress.get(id_)

    def wait(self, version: int, seconds: float) -> int:
        """Wait for a change after ``version``, at most ``seconds``; returns the current version."""
        with self._change:
            self._change.wait_for(lambda: self._version != version or self._closing, seconds)
            return self._version

    def remove(self, id_: str) -> None:
        """Delete a job and its files; a running job is cancelled first."""
        with self._change:
            self._to_delete.add(id_)
        self.cancel(id_)
        self.store.delete(id_)  # a running job is deleted when it has ended
        if self.store.job(id_) is None:
            with self._change:
                self._to_delete.discard(id_)
        self.wake()

    def cancel(self, id_: str) -> bool:
        """Cancel a queued or running job; returns False if it has ended."""
        if self.store.cancel_queued(id_):
            self.wake()
            return True
        with self._change:
            job = self.store.job(id_)
            if job is None or job.state != "running":
                return False
            self._stop_wanted[id_] = "cancelled"
            self._change.notify_all()
        self._job_process.order({"stop": True})
        return True

    # --- the scheduler's own thread -----------------------------------------------------------------------------------

    def _serve(self) -> None:
        job: Job | None = None
        while not self._closing:
            try:
                self._expire()
                job = self.store.claim()
                if job is None:
                    with self._change:
                        version = self._version
                    self.wait(version, 1.0)
                else:
                    self._run(job)
            except Exception:  # noqa: BLE001 - after any error the next job runs
                if not self.is_closing:
                    _logger.error("the scheduler failed:\n%s", traceback.format_exc())
                    if job is not None:
                        self.store.finish(job.id, "failed", "it could not be started; see the server's log.")
                        self.wake()
                    time.sleep(1.0)

    def _run(self, job: Job) -> None:
        clip = self.clip_path(job.clip)
        if clip is None:
            self.store.finish(job.id, "failed", "the upload has expired; upload it again.")
            return self.wake()
        if not self._job_process.is_running:
            self._start_job_process()
        folder = self.store.job_folder(job.id)
        order = {
            "folder": str(folder),
            "clip": str(clip),
            "clip_name": job.clip_name,
            "parameters": dict(job.parameters),
            "limits": asdict(self._limits_of(job)),
        }
        self._job_process.discard_events()
        self.wake()
        self._job_process.order({"run": order})
        error, code, wanted = self._watch(job)
        if self._closing and wanted is None and code != 0:
            return None  # remains "running" in the store: the next start runs it again
        if wanted == "cancelled":
            self.store.finish(job.id, "cancelled")
        elif code == 0 and error is None:
            self.store.finish(job.id, "done")
        else:
            reason = wanted or error or _exit_reason(code)
            self.store.finish(job.id, "failed", reason)
        with self._change:
            self._progress.pop(job.id, None)
            self._stop_wanted.pop(job.id, None)
            is_deleted = job.id in self._to_delete
            self._to_delete.discard(job.id)
        if is_deleted:
            self.store.delete(job.id)
        elif wanted or error or code != 0:
            shutil.rmtree(folder, ignore_errors=True)
        return self.wake()

    def _watch(self, job: Job) -> tuple[str | None, int | None, str | None]:
        """Wait for the end of a job; returns its error, its exit status and the reason why it was stopped."""
        deadline = time.monotonic() + self.limits.job_seconds
        at: tuple[str, int] | None = None  # step and frames of a whole video
        error: str | None = None
        why: str | None = None
        while True:
            try:
                event = self._job_process.events.get(timeout=0.5)
            except queue.Empty:
                with self._change:
                    why = why or self._stop_wanted.get(job.id)
                if why is not None:
                    self._job_process.order({"stop": True})
                elif time.monotonic() > deadline:
                    why = _TOO_LONG
                    self._job_process.order({"stop": True})
                continue
            if event is None:  # the job server has ended
                with self._change:
                    return error, None, why or self._stop_wanted.get(job.id)
            kind = event.pop("event", None)
            if kind == "progress":
                now_at = event["step"], event["done"]
                if is_whole_video(job.parameters) and now_at != at:
                    at, deadline = now_at, time.monotonic() + self.limits.job_seconds
                with self._change:
                    self._progress[job.id] = event
                    self._version += 1
                    self._change.notify_all()
                    is_wanted = job.id in self._stop_wanted
                if is_wanted or time.monotonic() > deadline:
                    why = why or (None if is_wanted else _TOO_LONG)
                    self._job_process.order({"stop": True})
            elif kind == "failed":
                error = str(event["error"])
                if event.get("trace"):
                    _logger.error("job %s: %s", job.id, event["trace"])
            elif kind == "ended":
                with self._change:
                    return error, int(event["exit"]), why or self._stop_wanted.get(job.id)

    def _limits_of(self, job: Job) -> Limits:
        """Returns the limits of a job's process: a whole video may take any time, as long as it gets on."""
        if not is_whole_video(job.parameters):
            return self.limits
        return replace(self.limits, job_seconds=_ANY_TIME, job_file=max(self.limits.job_file, self.limits.stored_bytes))

    def clip_path(self, id_: str) -> Path | None:
        """Returns the file of the demo clip or of an upload; None if it has expired."""
        if id_ == DEMO:
            return self._demo
        clip = self.store.clip(id_)
        path = None if clip is None else self.store.upload_path(clip.id, clip.suffix)
        return path if path is not None and path.is_file() else None

    def _expire(self) -> None:
        if time.monotonic() - self._cleaned > _HOUSEKEEPING_SECONDS:
            self._cleaned = time.monotonic()
            self.store.expire(self.limits.keep_seconds)

    def _start_job_process(self) -> None:
        self._job_process.start()
        self.models = self._job_process.models


def _exit_reason(code: int | None) -> str:
    """Returns a sentence for the exit status of a job; None if the job server ended."""
    if code is None:
        return "the job server ended; it is restarted for the next job."
    if code < 0:
        named = signal.Signals(-code) if -code in signal.valid_signals() else None
        return _SIGNALS.get(named, f"its process was ended by signal {-code}.") if named else "its process ended."
    return f"its process ended with status {code}."
