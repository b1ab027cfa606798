"""Jobs and uploads in SQLite, with a bounded queue that survives a restart.

A job's files are in its own folder, named by its random identifier; clients never choose identifiers.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from codecvsr.durable import lock
from codecvsr.errors import CodecVSRError, OutputError
from codecvsr.upscaling.checkpoint_dir import CHUNK_SUFFIXES

State = Literal["queued", "running", "done", "failed", "cancelled"]
ACTIVE: tuple[State, ...] = ("queued", "running")
_CLOCK_STEP = 0.1  # seconds by which times of files may lag behind the clock
_MAX_ATTEMPTS = 2  #: starts of a job that the server's end interrupted

_SCHEMA = """
CREATE TABLE IF NOT EXISTS clips (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, suffix TEXT NOT NULL, bytes INTEGER NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, clip TEXT NOT NULL, clip_name TEXT NOT NULL,
    parameters TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, started REAL, finished REAL,
    attempts INTEGER NOT NULL DEFAULT 0, error TEXT);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number);
"""


class QueueFullError(CodecVSRError):
    """The queue is full."""


@dataclass(frozen=True)
class Clip:
    """An upload. ``suffix`` is that of the container found in the content."""

    id: str
    name: str
    suffix: str
    bytes: int
    created: float


@dataclass(frozen=True)
class Job:
    """A job; times are in seconds since 1970, ``parameters`` as in the request."""

    number: int
    id: str
    clip: str
    clip_name: str
    parameters: Mapping[str, Any]
    state: State
    created: float
    started: float | None
    finished: float | None
    attempts: int
    error: str | None


class JobStore:
    """Jobs and uploads on disk. Threads may share one store."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Open or create the store in ``folder``.

        Raises:
            OutputError: the folder cannot be written.
        """
        self.folder = folder
        self._clock = clock
        self._lock = threading.RLock()
        try:
            for sub in ("clips", "jobs"):
                (folder / sub).mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)  # only this user may read uploads
            self._own = (folder / "lock").open("w")
            if not lock(self._own.fileno(), folder):
                raise OutputError(
                    f"{folder}: another server uses it; stop that server, or choose another --data folder."
                )
            self._database = sqlite3.connect(folder / "jobs.sqlite3", check_same_thread=False, isolation_level=None)
            self._database.row_factory = sqlite3.Row
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{folder}: cannot store jobs ({error}); choose another --data folder.") from error

    def close(self) -> None:
        """Close the database and release the lock."""
        with self._lock:
            self._database.close()
            self._own.close()

    # --- uploads ------------------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """Returns a random identifier that cannot be guessed."""
        return secrets.token_hex(16)

    def upload_path(self, id_: str, suffix: str = ".part") -> Path:
        """Returns the path of the upload ``id_``."""
        return self.folder / "clips" / f"{id_}{suffix}"

    def add_clip(self, id_: str, name: str, suffix: str, size: int) -> Clip:
        """Add an upload that is complete at :meth:`upload_path`."""
        clip = Clip(id_, name, suffix, size, self._clock())
        with self._lock:
            self._database.execute(
                "INSERT INTO clips VALUES (?, ?, ?, ?, ?)", (clip.id, clip.name, clip.suffix, clip.bytes, clip.created)
            )
        return clip

    def clip(self, id_: str) -> Clip | None:
        """Returns the upload ``id_``; None if there is none."""
        with self._lock:
            row = self._database.execute("SELECT * FROM clips WHERE id = ?", (id_,)).fetchone()
        return None if row is None else Clip(**dict(row))

    def stored_bytes(self) -> int:
        """Returns the size in bytes of all uploads and results."""
        total = 0
        for folder, _, names in os.walk(self.folder):  # os.walk tolerates folders that a running job deletes
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += os.lstat(os.path.join(folder, name)).st_size
        return total

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def job_folder(self, id_: str) -> Path:
        """Returns the folder of the job ``id_``."""
        return self.folder / "jobs" / id_

    def add_job(self, clip: str, clip_name: str, parameters: Mapping[str, Any], *, max_active: int) -> Job:
        """Put a job at the end of the queue.

        Raises:
            QueueFullError: ``max_active`` jobs are queued or running.
        """
        id_ = self.new_id()
        with self._lock:
            active = self._count("state IN ('queued', 'running')")
            if active >= max_active:
                raise QueueFullError(f"the queue is full with {active} jobs; try again when some are done.")
            self._database.execute(
                "INSERT INTO jobs (id, clip, clip_name, parameters, state, created) VALUES (?, ?, ?, ?, 'queued', ?)",
                (id_, clip, clip_name, json.dumps(parameters), self._clock()),
            )
            job = self.job(id_)
        assert job is not None
        return job

    def job(self, id_: str) -> Job | None:
        """Returns the job ``id_``; None if there is none."""
        with self._lock:
            row = self._database.execute("SELECT * FROM jobs WHERE id = ?", (id_,)).fetchone()
        return None if row is None else _job(row)

    def jobs(self, limit: int = 50) -> list[Job]:
        """Returns the latest jobs, newest first."""
        with self._lock:
            rows = self._database.execute("SELECT * FROM jobs ORDER BY number DESC LIMIT ?", (limit,)).fetchall()
        return [_job(row) for row in rows]

    def queue_position(self, job: Job) -> int:
        """Returns the number of jobs that run before ``job``."""
        if job.state != "queued":
            return 0
        with self._lock:
            return self._count("state IN ('queued', 'running') AND number < ?", job.number)

    def claim(self) -> Job | None:
        """Mark the oldest queued job as running and return it; None if the queue is empty."""
        with self._lock:
            row = self._database.execute(
                "UPDATE jobs SET state = 'running', started = ?, attempts = attempts + 1 WHERE number = "
                "(SELECT MIN(number) FROM jobs WHERE state = 'queued') RETURNING *",
                (self._clock(),),
            ).fetchone()
        return None if row is None else _job(row)

    def finish(self, id_: str, state: State, error: str | None = None) -> bool:
        """End a queued or running job; returns False if it had ended."""
        with self._lock:
            done = self._database.execute(
                "UPDATE jobs SET state = ?, error = ?, finished = ? WHERE id = ? AND state IN ('queued', 'running')",
                (state, error, self._clock(), id_),
            )
        return done.rowcount > 0

    def cancel_queued(self, id_: str) -> bool:
        """Cancel a queued job; returns False if it is not queued."""
        with self._lock:
            done = self._database.execute(
                "UPDATE jobs SET state = 'cancelled', finished = ? WHERE id = ? AND state = 'queued'",
                (self._clock(), id_),
            )
        return done.rowcount > 0

    def delete(self, id_: str) -> None:
        """Delete a job that is not running, with its files."""
        with self._lock:
            self._database.execute("DELETE FROM jobs WHERE id = ? AND state != 'running'", (id_,))
            if self.job(id_) is None:
                shutil.rmtree(self.job_folder(id_), ignore_errors=True)

    # --- cleaning up --------------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """After a start: queue the jobs that were running again; those interrupted twice without getting on fail."""
        with self._lock:
            for row in self._database.execute("SELECT * FROM jobs WHERE state = 'running'").fetchall():
                job = _job(row)
                if is_whole_video(job.parameters) and self._has_saved(job):
                    self._database.execute("UPDATE jobs SET attempts = 0 WHERE id = ?", (job.id,))
            self._database.execute(
                "UPDATE jobs SET state = 'failed', finished = ?, error = 'the server stopped twice while this job ran.' "
                "WHERE state = 'running' AND attempts >= ?",
                (self._clock(), _MAX_ATTEMPTS),
            )
            self._database.execute("UPDATE jobs SET state = 'queued', started = NULL WHERE state = 'running'")
            for path in (self.folder / "clips").glob("*.part"):
                path.unlink(missing_ok=True)

    def _has_saved(self, job: Job) -> bool:
        """Whether an interrupted job left work of its last attempt, from which it continues."""
        started = (job.started or job.created) - _CLOCK_STEP
        files = self.job_folder(job.id).glob(".*.codecvsr/*")
        return any(path.suffix in CHUNK_SUFFIXES and path.stat().st_mtime > started for path in files)

    def expire(self, keep_seconds: float) -> int:
        """Delete older jobs and uploads, and unknown files; returns the number of deleted jobs."""
        oldest = self._clock() - keep_seconds
        with self._lock:
            old = self._database.execute("SELECT id FROM jobs WHERE finished < ?", (oldest,)).fetchall()
            for row in old:
                self.delete(row["id"])
            self._database.execute(
                "DELETE FROM clips WHERE created < ? AND id NOT IN "
                "(SELECT clip FROM jobs WHERE state IN ('queued', 'running'))",
                (oldest,),
            )
            clips = {row["id"] for row in self._database.execute("SELECT id FROM clips")}
            jobs = {row["id"] for row in self._database.execute("SELECT id FROM jobs")}
            for path in (self.folder / "clips").iterdir():
                if path.suffix != ".part" and path.stem not in clips:
                    path.unlink(missing_ok=True)
            for path in (self.folder / "jobs").iterdir():
                if path.name not in jobs:
                    shutil.rmtree(path, ignore_errors=True)
        return len(old)

    def _count(self, condition: str, *values: Any) -> int:
        """Returns the number of matching jobs; ``condition`` is a constant of this module."""
        return int(self._database.execute(f"SELECT COUNT(*) FROM jobs WHERE {condition}", values).fetchone()[0])


def is_whole_video(parameters: Mapping[str, Any]) -> bool:
    """Whether a job enlarges a whole video, and continues after an interruption."""
    return parameters.get("upscale") is not None


def _job(row: sqlite3.Row) -> Job:
    return Job(**{**dict(row), "parameters": json.loads(row["parameters"])})
