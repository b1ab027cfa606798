"""Worker processes of this machine: shards handed out, lost workers replaced, failures raised here."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Self

import torch

from codecvsr.errors import OutputError
from codecvsr.upscaling.chunks import Shard
from codecvsr.upscaling.worker import raise_failure

_MAX_TRIES = 3  # workers that may be lost on one shard


def usual_workers(device: torch.device) -> int:
    """One process per GPU where no particular one was asked for, else one."""
    if str(device) == "cuda":
        return max(torch.cuda.device_count(), 1)
    return 1


@dataclass
class _Worker:
    number: int
    process: subprocess.Popen[str]
    shards: deque[int] = field(default_factory=deque)  #: at most two: the one worked on, and the one decoded meanwhile

    @property
    def orders(self) -> IO[str]:
        assert self.process.stdin is not None
        return self.process.stdin

    def tell(self, order: Any) -> None:
        """Order something; that a worker is lost is told by the end of its output."""
        with contextlib.suppress(BrokenPipeError):
            self.orders.write(json.dumps(order) + "\n")
            self.orders.flush()

    def bury(self) -> int:
        """Wait for its end; returns its exit status."""
        with contextlib.suppress(BrokenPipeError):
            self.orders.close()
        return self.process.wait()


class WorkerPool:
    """So many worker processes on one job; leaving ends those that are still there."""

    def __init__(self, count: int, description: Mapping[str, Any]) -> None:
        """Start them.

        Args:
            count: how many; on a machine with several GPUs they take turns.
            description: of the job.
        """
        self._description = description
        self._events: queue.SimpleQueue[tuple[_Worker, str]] = queue.SimpleQueue()
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
            worker.bury()

    def run(self, pending: Sequence[Shard], heard: Callable[[Mapping[str, Any]], None]) -> None:
        """Have all shards made.

        Args:
            pending: the shards.
            heard: gets {"event": "frame" | "done" | "lost", "shard": N}.

        Raises:
            CodecVSRError: what a worker could not do, or OSError.
            OutputError: the workers on one shard were lost again and again.
        """
        self._todo.extend(shard.index for shard in pending)
        left = {shard.index for shard in pending}
        self._hand_out()
        while left:
            worker, line = self._events.get()
            if not line:
                self._replace(worker, heard)
                continue
            event = json.loads(line)
            if event["event"] == "failed":
                raise_failure(event)
            if event["event"] == "done":
                left.discard(event["shard"])
                worker.shards.remove(event["shard"])
                self.peak_memory_bytes = max(self.peak_memory_bytes, event["peak_memory_bytes"])
                self._hand_out()
            heard(event)

    def _hand_out(self) -> None:
        """Give every idle worker a shard, and another to prepare where there are enough."""
        for most in (1, 2):
            for worker in self._workers:
                if len(worker.shards) < most and len(self._todo) > (0 if most == 1 else self._count):
                    worker.shards.append(self._todo.popleft())
                    worker.tell(worker.shards[-1])

    def _replace(self, worker: _Worker, heard: Callable[[Mapping[str, Any]], None]) -> None:
        status = worker.bury()
        self.replaced += 1
        if worker.shards:
            self._lost[worker.shards[0]] += 1
            for index in worker.shards:
                heard({"event": "lost", "shard": index})
            if self._lost[worker.shards[0]] >= _MAX_TRIES:
                how = f"signal {-status}" if status < 0 else f"exit status {status}"
                raise OutputError(
                    f"{self._description['output']}: {_MAX_TRIES} workers ended early on the same stretch (the last by "
                    f"{how}); there may be too little memory for {self._count} of them: use fewer."
                )
            self._todo.extendleft(reversed(worker.shards))
        elif self.replaced > _MAX_TRIES * self._count:
            raise OutputError(f"{self._description['output']}: workers end before they begin (exit status {status}).")
        self._workers[self._workers.index(worker)] = self._start(worker.number)
        self._hand_out()

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
            start_new_session=True,  # Ctrl-C is for the one who started it, who ends it
        )  # fmt: skip
        worker = _Worker(number, process)
        worker.tell(description)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        with worker.process.stdout as lines:
            for line in lines:
                self._events.put((worker, line))
        self._events.put((worker, ""))
