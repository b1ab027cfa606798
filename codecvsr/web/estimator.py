"""Estimates of jobs before their start, made one after the other in a job server of their own, beside a running job."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codecvsr.errors import CodecVSRError, InputError
from codecvsr.web.job_process import JobProcess
from codecvsr.web.limits import Limits

_MAX_SECONDS = 100.0  # for one estimate
_MAX_WAITING = 8
_REMEMBERED = 200


class BusyError(CodecVSRError):
    """Too many estimates are asked for at once."""


class Estimator:
    """Makes estimates; the process starts with the first one. Threads may share one estimator."""

    def __init__(self, limits: Limits, folder: Path) -> None:
        """Starts nothing yet.

        Args:
            limits: of an estimate's process.
            folder: of the jobs; nothing is written there.
        """
        self._limits, self._folder = limits, folder
        self._process = JobProcess()
        self._lock = threading.Lock()  # of the process
        self._waiting = threading.BoundedSemaphore(_MAX_WAITING)
        self._made: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def estimate(self, key: str, clip: Path, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the estimate of a job; see :func:`codecvsr.web.whole_video.estimate_job`.

        Args:
            key: identifies the clip and the options: the estimate of the same key is not made again.
            clip: the input file.
            name: its name for the user.
            parameters: the request.

        Raises:
            InputError: the clip or an option cannot be used.
            BusyError: too many estimates wait.
            CodecVSRError: the process does not start, or ends early.
        """
        if not self._waiting.acquire(blocking=False):
            raise BusyError("too many estimates are being made; try again in a moment.")
        try:
            with self._lock:
                if key not in self._made:
                    self._made[key] = self._make(clip, name, parameters)
                    while len(self._made) > _REMEMBERED:
                        self._made.popitem(last=False)
                return self._made[key]
        finally:
            self._waiting.release()

    def warm_up(self) -> None:
        """Start the process in the background, so that the first estimate does not wait for its libraries."""
        if not self._process.is_running and not self._lock.locked():
            threading.Thread(target=self._start, name="estimator", daemon=True).start()

    def _start(self) -> None:
        with self._lock, contextlib.suppress(CodecVSRError):  # the estimate that needs it reports why
            if not self._process.is_running:
                self._process.start()

    def stop(self) -> None:
        """Stop the process."""
        self._process.stop()

    def _make(self, clip: Path, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if not self._process.is_running:
            self._process.start()
        self._process.discard_events()
        limits = {**asdict(self._limits), "job_seconds": _MAX_SECONDS}
        order = {
            "folder": str(self._folder), "clip": str(clip), "clip_name": name, "parameters": dict(parameters), "limits": limits,
            "is_estimate": True,
        }  # fmt: skip
        self._process.order({"run": order})
        until = time.monotonic() + _MAX_SECONDS
        made: dict[str, Any] | None = None
        error = "the estimate took too long; the video can be enlarged nevertheless."
        while True:
            event: dict[str, Any] | None = {}
            with contextlib.suppress(queue.Empty):
                event = self._process.events.get(timeout=max(until - time.monotonic(), 0.0) or 5.0)
            if event is None:
                raise CodecVSRError("the estimate's process ended.")
            kind = event.get("event")
            if kind == "estimate":
                made = event["estimate"]
            elif kind == "failed":
                error = str(event["error"])
            elif kind == "ended":
                if made is None:
                    raise InputError(error)
                return made
            elif time.monotonic() >= until:
                self._process.order({"stop": True})
                until = time.monotonic() + _MAX_SECONDS
