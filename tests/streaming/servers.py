"""Sources of streams on loopback: libav's own servers, and a relay that loses datagrams."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of loopback that nobody uses."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    """Whether a port of loopback listens; does not connect, as libav's servers accept one connection alone."""
    wanted = f":{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(wanted) and row[3] == "0A" for row in rows)


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


class Source:
    """Sends the packets of files by libav, one file after the other, in a process of its own.

    Each file is a connection of its own: a server that listens is killed and started again between two.
    """

    def __init__(self, address: str, files: Sequence[Path], **how: Any) -> None:
        """``how``: see :func:`send`; ``pause``: seconds between two files; ``options``: of the muxer."""
        task = {"address": address, "files": list(map(str, files)), **how}
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(task)], stdout=subprocess.PIPE, text=True
        )

    def stop(self) -> None:
        """Kills the source."""
        self._process.kill()
        self._process.wait()

    def sent(self) -> int:
        """Waits for the end of the source; returns how many pictures it sent."""
        return int(self._process.communicate()[0])


def send(
    address: str, path: Path, *, rate: float = 60, loops: int = 1, skip: int = 0, options: dict[str, str] | None = None
) -> int:
    """Sends the packets of a file.

    Args:
        address: where to; or where to listen.
        path: the file.
        rate: pictures per second.
        loops: how often the file is sent; its times go on.
        skip: so many first packets are left out.
        options: of the muxer.
    """
    sent = 0
    with av.open(address, "w", format="mpegts", options={"flush_packets": "1", **(options or {})}) as out:
        copies: dict[int, av.stream.Stream] = {}
        length: dict[int, int] = {}
        for loop in range(loops):
            with av.open(str(path)) as old:
                copies = copies or {stream.index: out.add_stream_from_template(stream) for stream in old.streams}
                packets = [packet for packet in old.demux() if packet.size]
                length = length or {
                    i: max(p.dts + (p.duration or 0) for p in packets if p.stream_index == i)
                    - min(p.dts for p in packets if p.stream_index == i)
                    for i in copies
                }
                longest = max(length[i] * packets[0].time_base for i in copies)
                for packet in packets[skip if loop == 0 else 0 :]:
                    shift = round(loop * longest / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    is_video = packet.stream.type == "video"
                    packet.stream = copies[packet.stream_index]
                    out.mux_one(packet)
                    if is_video:
                        sent += 1
                        time.sleep(1 / rate)
    return sent


def main(address: str, files: Sequence[str], *, pause: float = 0.0, **how: Any) -> None:
    """Sends files; prints how many pictures were sent."""
    sent = 0
    for number, path in enumerate(files):
        time.sleep(pause if number else 0)
        with contextlib.suppress(av.FFmpegError, OSError):  # the reader has left
            sent += send(address, Path(path), **how)
    print(sent)


class LossyRelay(threading.Thread):
    """Passes datagrams from one port to another, and loses a share of them at random, always the same ones."""

    def __init__(self, target: int, share: float, seed: int = 1, first: int = 30) -> None:
        """``first``: datagrams that all arrive, so that the stream can be opened."""
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port = int(self._socket.getsockname()[1])
        self._target, self._share, self._random, self._first = target, share, random.Random(seed), first
        self.passed = self.lost = 0
        self._over = threading.Event()

    def run(self) -> None:
        with self._socket:
            while not self._over.is_set():
                try:
                    data = self._socket.recv(65536)
                except TimeoutError:
                    continue
                if self.passed >= self._first and self._random.random() < self._share:
                    self.lost += 1
                    continue
                self.passed += 1
                self._socket.sendto(data, ("127.0.0.1", self._target))

    def stop(self) -> None:
        self._over.set()


class WebServer(threading.Thread):
    """Answers one request with a file, with or without its length."""

    def __init__(self, path: Path, *, says_length: bool) -> None:
        super().__init__(daemon=True)
        self._data = path.read_bytes()
        length = f"Content-Length: {len(self._data)}\r\n" if says_length else ""
        self._head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n{length}Connection: close\r\n\r\n".encode()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    def run(self) -> None:
        with self._socket, contextlib.suppress(OSError):
            peer, _ = self._socket.accept()
            with peer:
                while not peer.recv(4096).endswith(b"\r\n\r\n"):
                    pass
                peer.sendall(self._head + self._data)


@contextlib.contextmanager
def serving(source: Source) -> Iterator[Source]:
    """Ends a source with ``with``."""
    try:
        yield source
    finally:
        source.stop()


class Garbage(threading.Thread):
    """A server that sends random bytes to whoever connects, without an end."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    def run(self) -> None:
        noise = random.Random(3).randbytes(1 << 16)
        with self._socket, contextlib.suppress(OSError):
            peer, _ = self._socket.accept()
            with peer:
                while True:
                    peer.sendall(noise)


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    main(task.pop("address"), task.pop("files"), **task)
