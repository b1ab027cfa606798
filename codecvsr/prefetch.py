"""Pipeline stages in threads, with bounded queues; errors are raised in the thread that waits for the result."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Iterates in a thread, one item ahead of its consumer."""

    def __init__(self, make: Callable[[Callable[[], bool]], Iterator[T]]) -> None:
        """``make`` returns the iterator; its argument is a function that tells whether to stop."""
        self._stop = threading.Event()
        self._items = make(self._stop.is_set)
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def _next(self) -> tuple[T, ...]:
        for item in self._items:
            return (item,)
        return ()

    def __iter__(self) -> Iterator[T]:
        future = self._pool.submit(self._next)
        while made := future.result():
            future = self._pool.submit(self._next)
            yield made[0]


class BackgroundRunner:
    """Runs jobs in order in a thread; at most ``capacity`` jobs wait. After a job that fails, no other runs."""

    def __init__(self, capacity: int) -> None:
        """Starts without jobs."""
        self._capacity = capacity
        self._pool = ThreadPoolExecutor(1)
        self._pending: deque[Future[None]] = deque()
        self._is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = self._is_over or error is not None
        self._pool.shutdown(cancel_futures=error is not None)
        if error is None:
            self._collect(0)

    def _run(self, job: Callable[[], object]) -> None:
        if self._is_over:
            return
        try:
            job()
        except BaseException:
            self._is_over = True
            raise

    def _collect(self, limit: int) -> None:
        """Waits until at most ``limit`` jobs are pending; raises the error of a job that failed."""
        while self._pending and (self._pending[0].done() or len(self._pending) > limit):
            self._pending.popleft().result()

    def submit(self, job: Callable[[], object]) -> None:
        """Queues ``job``; waits while the queue is full.

        Raises:
            BaseException: the error of an earlier job.
        """
        self._pending.append(self._pool.submit(self._run, job))
        self._collect(self._capacity)
