"""Outputs that take bytes in order and nothing else: standard output, named pipes and character devices.

A run makes a file in the folder for temporary files (``TMPDIR``) and sends it when it is complete; nothing of it is left.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from codecvsr.errors import InputError, OutputError
from codecvsr.events import Event, EventHandler
from codecvsr.upscaling.options import RunSettings

_STDOUT = ("-", "/dev/stdout", "/dev/fd/1")
_STDOUT_NAME = "standard output"
_SUFFIXES = {"auto": ".mkv", "mkv": ".mkv", "y4m": ".y4m", "png": ".png"}
_STDOUT_FD, _STDERR_FD = 1, 2
_BLOCK = 1 << 20  # bytes

_logger = logging.getLogger(__name__)


def is_stdout(output: Path | None) -> bool:
    """Whether an output is standard output."""
    return str(output) in _STDOUT


def is_stream(output: Path | None) -> bool:
    """Whether an output is standard output, a named pipe or a device."""
    return output is not None and (
        is_stdout(output) or output.is_fifo() or output.is_char_device() or output.is_socket()
    )


def stream_name(output: Path) -> str:
    """Returns the name of such an output in messages."""
    return _STDOUT_NAME if is_stdout(output) else str(output)


def stream_suffix(output: Path, form: str) -> str:
    """Returns the suffix of the file that is sent; by default Matroska's.

    Raises:
        InputError: the format cannot be sent through a pipe.
    """
    if form == "auto" and output.suffix.lower() == ".y4m":
        return ".y4m"
    if form not in _SUFFIXES:
        raise InputError(
            f"{stream_name(output)}: {form} has its index at the end and cannot be read from a pipe; use --format mkv or y4m."
        )
    return _SUFFIXES[form]


def for_stream(settings: RunSettings, output: Path) -> RunSettings:
    """Returns the settings of a run into a stream, whose work is in temporary files.

    Raises:
        InputError: a setting needs files that stay.
    """
    name = stream_name(output)
    if settings.resume:
        raise InputError(f"{name}: a run into a pipe cannot be continued, as it leaves no files; omit --resume.")
    if settings.ray is not None:
        raise InputError(f"{name}: machines of a Ray cluster need an output that they see; use a file, or omit --ray.")
    return replace(settings, resume=False, overwrite=True, skip_existing=False, leaves_work=False)


@contextmanager
def streamed(output: Path, suffix: str, settings: RunSettings) -> Iterator[tuple[Path, RunSettings]]:
    """Yields a temporary file to write, and settings for the run that writes it; then sends the file.

    While standard output is the target, everything that is printed goes to stderr.

    Raises:
        OutputError: the output cannot be opened, or its reader has closed it.
    """
    with opened_pipe(output) as target, ended_by_signals():
        try:
            folder = Path(tempfile.mkdtemp(prefix="codecvsr-"))
        except OSError as error:
            raise OutputError(f"{tempfile.gettempdir()}: cannot be written ({error.strerror}); set TMPDIR.") from error
        try:
            file = folder / f"output{suffix}"
            yield file, replace(settings, on_event=_WatchedEvents(settings.on_event, target, output))
            _send(file, target, output)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def opened_pipe(output: Path) -> Iterator[int]:
    """Opens standard output, a named pipe or a device for writing; yields its file descriptor.

    While standard output is the target, everything that is printed goes to stderr.

    Raises:
        OutputError: it cannot be opened, or is a terminal.
    """
    try:
        if not is_stdout(output):
            target = _open_pipe(output)
        elif os.isatty(_STDOUT_FD):
            raise OutputError(f"{_STDOUT_NAME}: is a terminal; name a file with -o, or send it to a program with '|'.")
        else:
            sys.stdout.flush()
            target = os.dup(_STDOUT_FD)
            os.dup2(_STDERR_FD, _STDOUT_FD)
    except OSError as error:
        raise OutputError(f"{stream_name(output)}: cannot be written ({error.strerror}).") from error
    try:
        yield target
    finally:
        if is_stdout(output):
            sys.stdout.flush()
            os.dup2(target, _STDOUT_FD)
        os.close(target)


def _open_pipe(path: Path) -> int:
    try:
        target = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO or not path.is_fifo():
            raise
        _logger.info("%s: waiting for a program that reads it.", path)
        return os.open(path, os.O_WRONLY)
    os.set_blocking(target, True)
    return target


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within ``with``, the signals that end a process end the run, so that no temporary file is left."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _WatchedEvents:
    """Passes events on, and ends the run at the first one after the reader has closed the pipe."""

    def __init__(self, on_event: EventHandler | None, target: int, output: Path) -> None:
        """Takes the receiver of the events, the open output and its path."""
        self._on_event, self._output = on_event, output
        self._poll = select.poll()
        self._poll.register(target, 0)

    def __call__(self, event: Event) -> None:
        """Passes an event on.

        Raises:
            OutputError: nobody reads the output any more.
        """
        if any(state & select.POLLERR for _, state in self._poll.poll(0)):
            raise _closed(self._output)
        if self._on_event is not None:
            self._on_event(event)


def _send(file: Path, target: int, output: Path) -> None:
    try:
        with file.open("rb") as source:
            while block := memoryview(source.read(_BLOCK)):
                while block:
                    block = block[os.write(target, block) :]
    except BrokenPipeError:
        raise _closed(output) from None
    except OSError as error:
        raise OutputError(f"{stream_name(output)}: cannot be written ({error.strerror}).") from error


def _closed(output: Path) -> OutputError:
    return OutputError(f"{stream_name(output)}: its reader has closed it before the end; the rest is not written.")
