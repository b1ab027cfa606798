"""Syncing to the disk and locking, on file systems that support them in part.

Some network and FUSE file systems refuse to sync a folder (EINVAL) or to lock a file (ENOLCK). A run does not need either to
make the right output, so it continues with one warning.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import logging
import multiprocessing
import os
from pathlib import Path

_LOG = logging.getLogger(__name__)
#: Errors of a sync that mean lost data; all others mean that the file system does not support it.
_LOST = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.ENOTDIR, errno.EROFS, errno.EMFILE, errno.ENFILE)


def sync_file(handle: int) -> None:
    """Syncs the contents of an open file to the disk, where its file system supports it.

    Raises:
        OSError: the data could not be written.
    """
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in _LOST:
            raise
        _warn_of_sync(error.strerror or str(error))


def sync_folder(folder: Path) -> None:
    """Syncs the names in a folder to the disk, where its file system supports it.

    Raises:
        OSError: the folder does not exist, or its data could not be written.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError as error:  # a folder that may be written and not listed
        return _warn_of_sync(error.strerror or str(error))
    try:
        sync_file(handle)
    finally:
        os.close(handle)


def lock(handle: int, name: Path) -> bool:
    """Locks an open file for this process, where its file system supports locks.

    Args:
        handle: of the file.
        name: of what the lock protects, for the warning.

    Returns:
        Whether no other process has the lock; true where locks are not supported.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        _warn_of_locks(name, error.strerror or str(error))
    return True


@functools.cache
def _warn_of_sync(reason: str) -> None:
    if multiprocessing.parent_process() is None:
        _LOG.warning(
            "the file system of the output cannot sync names to the disk (%s); after a power cut, finished work may be "
            "made again.",
            reason,
        )


@functools.cache
def _warn_of_locks(name: Path, reason: str) -> None:
    if multiprocessing.parent_process() is None:
        _LOG.warning(
            "%s: its file system has no locks (%s); do not run two commands that make the same output at the same time.",
            name,
            reason,
        )
