"""Worker processes of this machine: assigns chunks, replaces lost workers, raises their failures."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Self

import torch

from codecvsr.errors import OutputError
from codecvsr.upscaling.chunk_events import ChunkDone, ChunkEventHandler, ChunkLost, JobFailed, from_line
from codecvsr.upscaling.chunks import Chunk

_MAX_TRIES = 3  # workers that may be lost on one chunk


def usual_workers(device: torch.device) -> int:
    """Returns how many processes to use: one per GPU for device "cuda", else one."""
    if str(device) == "cuda":
        return max(torch.cuda.device_count(), 1)
    return 1


@dataclass
class _Worker:
    number: int
    process: subprocess.Popen[str]
    chunks: deque[int] = field(default_factory=deque)  #: at most two: one in the network, one in decoding

    @property
    def orders(self) -> IO[str]:
        assert self.process.stdin is not None
        return self.process.stdin

    def send(self, order: Any) -> None:
        """Writes an order; a lost worker is noticed by the end of its output."""
        with contextlib.suppress(BrokenPipeError):
            self.orders.write(json.dumps(order) + "\n")
            self.orders.flush()

    def wait(self) -> int:
        """Waits for the end of the process; returns its exit status."""
        with contextlib.suppress(BrokenPipeError):
            self.orders.close()
        return self.process.wait()


class WorkerPool:
    """Worker processes of one job; leaving the context ends them."""

    def __init__(self, count: int, description: Mapping[str, Any]) -> None:
        """Starts the processes.

        Args:
            count: how many; several GPUs are assigned in turn.
            description: of the job.
        """
        self._description = description
        self._lines: queue.SimpleQueue[tuple[_Worker, str]] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._count = count
        self._todo: deque[int] = deque()
        self._lost: Counter[int] = Counter()
        self.replaced = 0  #: workers that were lost
        self.peak_memory_bytes = 0  #: of the largest worker
        self._workers += [self._start(number) for number in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.wait()

    def run(self, pending: Sequence[Chunk], on_event: ChunkEventHandler) -> None:
        """Makes all chunks.

        Args:
            pending: the chunks.
            on_event: called with every event.

        Raises:
            CodecVSRError: or OSError, what a worker failed with.
            OutputError: workers on one chunk were lost again and again.
        """
        self._todo.extend(chunk.index for chunk in pending)
        missing = {chunk.index for chunk in pending}
        self._assign_chunks()
        while missing:
            worker, line = self._lines.get()
            if not line:
                self._replace(worker, on_event)
                continue
            event = from_line(line)
            if isinstance(event, JobFailed):
                event.reraise()
            if isinstance(event, ChunkDone):
                missing.discard(event.chunk)
                worker.chunks.remove(event.chunk)
                self.peak_memory_bytes = max(self.peak_memory_bytes, event.peak_memory_bytes)
                self._assign_chunks()
            on_event(event)

    def _assign_chunks(self) -> None:
        """Sends every idle worker a chunk, and a second one to decode meanwhile where there are enough."""
        for limit in (1, 2):
            for worker in self._workers:
                if len(worker.chunks) < limit and len(self._todo) > (0 if limit == 1 else self._count):
                    worker.chunks.append(self._todo.popleft())
                    worker.send(worker.chunks[-1])

    def _replace(self, worker: _Worker, on_event: ChunkEventHandler) -> None:
        status = worker.wait()
        self.replaced += 1
        if worker.chunks:
            self._lost[worker.chunks[0]] += 1
            for index in worker.chunks:
                on_event(ChunkLost(index))
            if self._lost[worker.chunks[0]] >= _MAX_TRIES:
                how = f"signal {-status}" if status < 0 else f"exit status {status}"
                raise OutputError(
                    f"{self._description['output']}: {_MAX_TRIES} workers ended early on the same chunk (the last by "
                    f"{how}); there may be too little memory for {self._count} of them: use fewer."
                )
            self._todo.extendleft(reversed(worker.chunks))
        elif self.replaced > _MAX_TRIES * self._count:
            raise OutputError(f"{self._description['output']}: workers end before they begin (exit status {status}).")
        self._workers[self._workers.index(worker)] = self._start(worker.number)
        self._assign_chunks()

    def _start(self, number: int) -> _Worker:
        description = json.loads(json.dumps(self._description))
        environment = dict(os.environ)
        device = torch.device(description["options"]["device"])
        if str(device) == "cuda":
            description["options"]["device"] = f"cuda:{number % max(torch.cuda.device_count(), 1)}"
        elif device.type == "cpu":
            environment.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // self._count, 1)))
        process = subprocess.Popen(
            [sys.executable, "-m", "codecvsr.upscaling.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment,
            start_new_session=True,  # Ctrl-C goes to the process that started it, which ends it
        )  # fmt: skip
        worker = _Worker(number, process)
        worker.send(description)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        with worker.process.stdout as lines:
            for line in lines:
                self._lines.put((worker, line))
        self._lines.put((worker, ""))
