"""A real ``codecvsr serve`` in a process of its own, and a client that knows nothing but HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Service:
    """``codecvsr serve`` on a free port."""

    data: Path
    options: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    address: str = ""
    process: subprocess.Popen[str] | None = None

    def start(self) -> Service:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "codecvsr", "serve", "--port", "0", "--data", str(self.data), *self.options],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **self.variables},
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http://127.0.0.1:"), self.address
        return self

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        status = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> Answer:
        """A request; what is not bytes is sent as JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        address = self.address.split("#")[0] + path.lstrip("/")
        request = urllib.request.Request(address, body, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def upload(self, content: bytes, name: str = "clip.mp4") -> Answer:
        quoted = urllib.request.quote(name)
        return self.ask(f"api/clips?name={quoted}", content, Content_Type="application/octet-stream")

    def job(self, **asked: Any) -> str:
        """The identifier of a new job; bicubic on the demo clip by default."""
        answer = self.ask("api/jobs", {"clip": "demo", "crf": 25, "seconds": 0.1, "model": "bicubic", **asked})
        assert answer.status == 201, answer.body
        return answer.json()["id"]

    def wait(self, id_: str, seconds: float = 120) -> Any:
        """The job when it has ended."""
        until = time.monotonic() + seconds
        while (job := self.ask(f"api/jobs/{id_}").json())["state"] in ("queued", "running"):
            assert time.monotonic() < until, job
            time.sleep(0.1)
        return job
