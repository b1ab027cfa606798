from __future__ import annotations

import threading
import time

import pytest

from codecvsr.prefetch import BackgroundRunner, Prefetcher


def test_one_item_is_made_ahead_and_no_more():
    made = []

    def items(stopped):
        for i in range(5):
            made.append(i)
            yield i

    with Prefetcher(items) as ahead:
        for i in ahead:
            deadline = time.monotonic() + 5
            while len(made) < min(i + 2, 5) and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(0.01)
            assert made == list(range(min(i + 2, 5)))


def test_errors_come_out_where_the_item_is_awaited():
    def items(stopped):
        yield 1
        raise ValueError("broken")

    got = []
    with pytest.raises(ValueError, match="broken"), Prefetcher(items) as ahead:
        for item in ahead:  # one by one: the list must have what came before the error
            got += [item]
    assert got == [1]


def test_who_leaves_early_stops_the_thread():
    begun, left = threading.Event(), threading.Event()

    def items(stopped):
        yield 1
        begun.set()
        while not stopped():
            time.sleep(0.001)
        left.set()

    with Prefetcher(items) as ahead:
        for _ in ahead:
            assert begun.wait(5)
            break
    assert left.is_set()


def test_jobs_are_done_in_order_and_none_after_one_that_fails():
    done = []

    def fail():
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), BackgroundRunner(8) as behind:
        for i in range(3):
            behind.submit(lambda i=i: done.append(i))
        behind.submit(fail)
        behind.submit(lambda: done.append("after"))
    assert done == [0, 1, 2]


def test_what_waits_is_passed_over_when_the_caller_fails():
    started, go, done = threading.Event(), threading.Event(), []

    def slow():
        started.set()
        go.wait(5)
        done.append("slow")

    with pytest.raises(KeyboardInterrupt), BackgroundRunner(8) as behind:
        behind.submit(slow)
        behind.submit(lambda: done.append("after"))
        started.wait(5)
        threading.Timer(0.05, go.set).start()
        raise KeyboardInterrupt
    assert done == ["slow"]


def test_no_more_wait_than_there_is_room_for():
    go, submitted = threading.Event(), []
    with BackgroundRunner(2) as behind:

        def submit():
            for i in range(5):
                behind.submit(lambda: go.wait(5))
                submitted.append(i)

        thread = threading.Thread(target=submit)
        thread.start()
        time.sleep(0.05)
        assert len(submitted) == 2
        go.set()
        thread.join()
    assert submitted == [0, 1, 2, 3, 4]
