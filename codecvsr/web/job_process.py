"""The server's side of the job server (:mod:`codecvsr.web.job_server`): starts the process, sends orders, reads events."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from codecvsr.errors import CodecVSRError

_READY_SECONDS = 180  #: for the libraries to load


class JobProcess:
    """The job server as a child process; it is started again whenever it has ended.

    Attributes:
        models: models that jobs can use, as the job server reported them at its start.
        events: its events; None once it has ended.
    """

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = []
        self.events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process, after stopping a former one.

        Raises:
            CodecVSRError: it does not start.
        """
        self.stop()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "codecvsr.web.job_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            bufsize=0,
        )
        self.events = queue.Queue()
        threading.Thread(target=_read, args=(self._process, self.events), name="events", daemon=True).start()
        try:
            event = self.events.get(timeout=_READY_SECONDS)
        except queue.Empty:
            event = None
        if event is None or event.get("event") != "ready":
            self.stop()
            reason = "" if event is None else f" ({event.get('error')})"
            raise CodecVSRError(f"the job server could not be started{reason}.")
        self.models = event["models"]

    def order(self, order: Mapping[str, Any]) -> None:
        """Send an order; without effect if the process has ended."""
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ValueError):
                process.stdin.write((json.dumps(order) + "\n").encode())

    def discard_events(self) -> None:
        """Discard the events of a former job."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.events.get_nowait()

    def stop(self) -> None:
        """Stop the process and its running job."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _read(process: subprocess.Popen[bytes], events: queue.Queue[dict[str, Any] | None]) -> None:
    """Put the events of the process into ``events``; None when it ends."""
    assert process.stdout is not None
    for line in process.stdout:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a library printed something
        if isinstance(event, dict):
            events.put(event)
    events.put(None)
