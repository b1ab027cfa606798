"""Stages of a pipeline in threads of their own, with a bounded store between them; errors come out where they are awaited."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Iterates in a thread, exactly one item ahead of whoever iterates over this."""

    def __init__(self, make: Callable[[Callable[[], bool]], Iterator[T]]) -> None:
        """``make`` gets a function that says whether to stop, and returns the iterator."""
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


class Behind:
    """Does what it is given, in order, in a thread; at most ``room`` jobs wait. After one that fails, none is done."""

    def __init__(self, room: int) -> None:
        """Nothing runs yet."""
        self._room = room
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

    def _collect(self, most: int) -> None:
        """Wait until at most so many jobs are left; raise what went wrong in any that is done."""
        while self._pending and (self._pending[0].done() or len(self._pending) > most):
            self._pending.popleft().result()

    def submit(self, job: Callable[[], object]) -> None:
        """Have ``job`` done after those before it; waits while there is no room.

        Raises:
            BaseException: whatever one of them raised.
        """
        self._pending.append(self._pool.submit(self._run, job))
        self._collect(self._room)
