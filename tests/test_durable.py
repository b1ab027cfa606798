"""File systems that cannot sync folders or lock files: one warning, and the run continues."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
from pathlib import Path

import pytest

from codecvsr import durable
from codecvsr.errors import OutputError
from codecvsr.files import atomic_file, name_beside
from codecvsr.upscaling.checkpoint_dir import CheckpointDir, checkpoint_path


@pytest.fixture(autouse=True)
def _warn_again() -> None:
    durable._warn_of_sync.cache_clear()
    durable._warn_of_locks.cache_clear()


def test_a_folder_that_cannot_be_synced_is_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fsync = os.fsync

    def refuse(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(logging.getLogger("codecvsr"), "propagate", True)
    for _ in range(2):
        durable.sync_folder(tmp_path)
    assert len(caplog.records) == 1
    assert "cannot sync names" in caplog.text


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_lost_data_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match=os.strerror(code)):
        durable.sync_folder(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(logging.getLogger("codecvsr"), "propagate", True)
    with CheckpointDir(tmp_path / "o.mkv") as checkpoint:
        assert not checkpoint.open({}, resume=True)
    assert "o.mkv: its file system has no locks" in caplog.text


def test_a_lock_of_another_run_is_refused(tmp_path: Path) -> None:
    with CheckpointDir(tmp_path / "o.mkv") as first, CheckpointDir(tmp_path / "o.mkv") as second:
        first.open({}, resume=True)
        with pytest.raises(OutputError, match="another process is making it"):
            second.open({}, resume=True)


def test_names_as_long_as_the_file_system_stores(tmp_path: Path) -> None:
    target = tmp_path / ("é" * 125 + ".mkv")
    assert len(os.fsencode(target.name)) == 254
    assert len(os.fsencode(checkpoint_path(target).name)) <= 255
    with atomic_file(target) as part:
        part.write_bytes(b"1")
    assert target.read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    other = target.with_name("é" * 124 + "xx.mkv")
    assert checkpoint_path(other) != checkpoint_path(target)
    assert name_beside(Path("a/b.mkv"), ".", ".part") == Path("a/.b.mkv.part")
