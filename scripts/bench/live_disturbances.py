"""What ``bench_live.py disturbed`` does to a stream: kills its source, loses its packets, loads the machine."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_GROWTH = 100_000  # bytes of the output that show that it goes on
_PATIENCE = 60.0  # seconds after which it does not
_END = 600.0  # seconds that a backlog may take after the source's end
_LOAD = 20.0  # seconds
_PAUSE = 10.0  # seconds between two loads
_STRETCH = 6.0  # seconds with lost packets

Serve = Callable[[str, float], "subprocess.Popen[bytes]"]  # address and share of lost datagrams -> a source that runs


class LossyDatagrams:
    """A file that sends what is written to it in UDP datagrams of 7 transport packets, and loses a share of them."""

    def __init__(self, port: int, share: float, first: int = 60) -> None:
        """``first``: datagrams that all arrive, so that the stream can be opened."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._target, self._share, self._random, self._first = ("127.0.0.1", port), share, random.Random(1), first
        self.sent = self.lost = 0
        self._rest = b""

    def write(self, data: bytes) -> int:
        """Sends whole datagrams, and keeps what is left for the next call."""
        self._rest += bytes(data)
        while len(self._rest) >= 1316:
            part, self._rest = self._rest[:1316], self._rest[1316:]
            self.sent += 1
            if self.sent > self._first and self._random.random() < self._share:
                self.lost += 1
            else:
                self._socket.sendto(part, self._target)
        return len(data)


@contextlib.contextmanager
def _running(address: str, output: Path, model: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "codecvsr", "live", address, "-o", str(output), "-m", model, "--json", *options]
    with (
        tempfile.TemporaryFile("w+") as events,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=events, text=True) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _grows(output: Path, seconds: float = _PATIENCE) -> float | None:
    """Returns after how many seconds the output has grown; None if it has not in time."""
    begun = time.monotonic()
    before = output.stat().st_size if output.exists() else 0
    while time.monotonic() < begun + seconds:
        time.sleep(0.1)
        if output.exists() and output.stat().st_size > before + _GROWTH:
            return round(time.monotonic() - begun, 2)
    return None


def _ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Returns the report of a stream whose source has ended."""
    text, _ = process.communicate(timeout=_END)
    report: dict[str, Any] = json.loads(text)
    kept = ("frames", "reconnects", "lost_frames", "concealed_frames", "level_seconds", "level_changes", "latency_p99")
    return {key: report[key] for key in kept} | {"exit_code": process.returncode}


def killed(serve: Serve, port: int, folder: Path, model: str, times: int) -> dict[str, Any]:
    """The source is killed, and started again a second later."""
    address, output = f"tcp://127.0.0.1:{port}", folder / "killed.ts"
    source = serve(address + "?listen=1", 0.0)
    back: list[float | None] = []
    with _running(address, output, model, "--reconnect", "30") as process:
        _grows(output)
        for _ in range(times):
            source.kill()
            source.wait()
            time.sleep(1)
            source = serve(address + "?listen=1", 0.0)
            back.append(_grows(output))
            time.sleep(2)
        source.kill()
        source.wait()
        return _entry("source killed", back, _ended(process))


def lossy(serve: Serve, port: int, folder: Path, model: str, times: int) -> dict[str, Any]:
    """One datagram in a hundred is lost."""
    output = folder / "lossy.ts"
    source = serve(f"udp://127.0.0.1:{port}", 0.01)
    on: list[float | None] = []
    with _running(f"udp://127.0.0.1:{port}", output, model, "--reconnect", "0", "--timeout", "5") as process:
        _grows(output)
        for _ in range(times):
            time.sleep(_STRETCH)
            on.append(_grows(output))
        source.terminate()
        counts = json.loads(source.communicate()[0])
        return _entry(f"1 % of datagrams lost, {_STRETCH:g} s", on, {**_ended(process), **counts})


def loaded(serve: Serve, port: int, folder: Path, model: str, times: int) -> dict[str, Any]:
    """Another job keeps every processor busy for 20 s, and leaves 10 s of peace."""
    address, output = f"tcp://127.0.0.1:{port}", folder / "loaded.ts"
    source = serve(address + "?listen=1", 0.0)
    on: list[float | None] = []
    busy = [sys.executable, "-c", f"import time\nend = time.monotonic() + {_LOAD}\nwhile time.monotonic() < end: pass"]
    with _running(address, output, model, "--reconnect", "0") as process:
        _grows(output)
        for _ in range(times):
            others = [subprocess.Popen(busy) for _ in range(os.cpu_count() or 1)]
            time.sleep(_LOAD / 2)
            on.append(_grows(output, _LOAD / 2))
            for other in others:
                other.wait()
            time.sleep(_PAUSE)
        source.terminate()
        counts = json.loads(source.communicate()[0])
        return _entry(f"machine loaded for {_LOAD:g} s", on, {**_ended(process), **counts})


def _entry(subject: str, seconds: list[float | None], rest: dict[str, Any]) -> dict[str, Any]:
    known = [value for value in seconds if value is not None]
    return {
        "subject": subject,
        "times": len(seconds),
        "went_on": len(known),
        "longest_seconds": max(known, default=None),
        **rest,
    }
