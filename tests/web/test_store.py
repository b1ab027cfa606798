"""Jobs and uploads: order, bound, restart, expiry."""

from __future__ import annotations

from pathlib import Path

import pytest

from codecvsr.errors import OutputError
from codecvsr.web.store import JobStore, QueueFullError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock):
    opened = JobStore(tmp_path / "data", clock=clock)
    yield opened
    opened.close()


def add(store: JobStore, max_active: int = 9, clip: str = "demo"):
    return store.add_job(clip, "clip.mp4", {"crf": 25}, max_active=max_active)


def test_jobs_are_claimed_in_order_and_the_queue_is_bounded(store: JobStore) -> None:
    first, second = add(store, 2), add(store, 2)
    with pytest.raises(QueueFullError, match="queue is full with 2 jobs"):
        add(store, 2)
    assert [store.queue_position(job) for job in (first, second)] == [0, 1]
    claimed = store.claim()
    assert claimed is not None and claimed.id == first.id and claimed.state == "running" and claimed.attempts == 1
    assert store.queue_position(second) == 1
    assert store.finish(first.id, "done") and not store.finish(first.id, "failed", "twice")
    assert store.job(first.id).state == "done"
    add(store, 2)  # one has ended: there is room again
    assert store.claim().id == second.id


def test_a_restart_takes_running_jobs_up_once_more(tmp_path: Path) -> None:
    for attempt in (1, 2):
        store = JobStore(tmp_path)
        store.recover()
        job = store.claim() if attempt == 2 else (add(store), store.claim())[1]
        assert job is not None and job.attempts == attempt and job.parameters == {"crf": 25}
        store.close()
    store = JobStore(tmp_path)
    store.recover()
    assert store.claim() is None
    assert store.job(job.id).state == "failed" and "stopped twice" in store.job(job.id).error
    store.close()


def test_what_is_old_expires_with_its_files(store: JobStore, clock: Clock) -> None:
    old, waiting = add(store), add(store, clip="c" * 32)
    store.claim()
    folder = store.job_folder(old.id)
    folder.mkdir()
    (folder / "result.json").write_text("{}")
    store.finish(old.id, "done")
    for id_ in ("c" * 32, "d" * 32):
        store.upload_path(id_, ".mp4").write_bytes(b"clip")
        store.add_clip(id_, "name", ".mp4", 4)
    stray = store.upload_path("e" * 32, ".mp4")
    stray.write_bytes(b"nobody knows it")
    clock.now += 50
    assert store.expire(100) == 0 and folder.is_dir() and not stray.exists()
    clock.now += 100
    assert store.expire(100) == 1
    assert store.job(old.id) is None and not folder.exists()
    assert store.job(waiting.id).state == "queued"
    assert store.clip("d" * 32) is None and not store.upload_path("d" * 32, ".mp4").exists()
    assert store.clip("c" * 32) is not None and store.upload_path("c" * 32, ".mp4").exists()  # a job waits for it


def test_cancelling_and_deleting(store: JobStore) -> None:
    first, second = add(store), add(store)
    assert store.cancel_queued(second.id) and not store.cancel_queued(second.id)
    store.claim()
    assert not store.cancel_queued(first.id)
    store.job_folder(first.id).mkdir()
    store.delete(first.id)
    assert store.job(first.id) is not None and store.job_folder(first.id).is_dir()  # it is running
    store.finish(first.id, "cancelled")
    store.delete(first.id)
    assert store.job(first.id) is None and not store.job_folder(first.id).exists()


def test_one_server_per_folder(store: JobStore, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="another server uses it"):
        JobStore(store.folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --data folder"):
        JobStore(tmp_path / "file" / "data")
