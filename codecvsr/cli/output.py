"""Output of commands: results on stdout, messages on stderr."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import logging
import operator
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import click

from codecvsr.cli.folding import fold
from codecvsr.json_values import jsonable

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

#: Where stderr is no terminal, a line of progress per so many per cent, or after so many seconds.
PLAIN_PERCENT, PLAIN_SECONDS = 10.0, 30.0

PIPED_WIDTH = 160  #: columns of a table where stdout is no terminal: wide enough that nothing is broken over lines


@dataclasses.dataclass
class Settings:
    """Verbosity; the options of the running command set it."""

    verbose: bool = False
    quiet: bool = False
    debug: bool = False


settings = Settings()


def begin() -> None:
    """Starts a command: resets verbosity and consoles, and shows the library's logs."""
    _repair_streams()
    settings.verbose = settings.quiet = settings.debug = False
    stderr_console.cache_clear()
    stdout_console.cache_clear()
    logger = logging.getLogger("codecvsr")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    if not any(isinstance(handler, _ToStderr) for handler in logger.handlers):
        logger.addHandler(_ToStderr())


def _repair_streams() -> None:
    """Opens the null device for streams that the shell closed (``>&-``), and lets file names of any bytes pass."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="surrogateescape")


@functools.cache
def stderr_console() -> Console:
    """Returns the rich console on stderr; it honours ``NO_COLOR`` and writes plain text where stderr is no terminal."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


@functools.cache
def stdout_console() -> Console:
    """Returns the rich console on stdout, for tables."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


def _print(message: str, label: str = "", style: str = "") -> None:
    from rich.text import Text

    console = stderr_console()
    text = fold(label + message, console.width) if console.is_terminal else label + message
    console.print(Text.assemble((label, style), text[len(label) :]))


def print_result(text: str, *, err: bool = False) -> None:
    """Prints a result on stdout, or with ``err`` on stderr; folded on a terminal."""
    console = stderr_console() if err else stdout_console()
    click.echo(fold(text, console.width) if console.is_terminal else text, err=err)


def info(message: str) -> None:
    """Prints a message on stderr, unless ``--quiet``."""
    if not settings.quiet:
        _print(message)


def detail(message: str) -> None:
    """Prints a message on stderr with ``--verbose``."""
    if settings.verbose and not settings.quiet:
        _print(message)


def warn(message: str) -> None:
    """Prints ``warning: message`` on stderr, with ``--quiet`` too."""
    _print(message, label="warning: ", style="bold yellow")


def print_error(message: str) -> None:
    """Prints ``error: message`` on stderr."""
    _print(message, label="error: ", style="bold red")


class _ToStderr(logging.Handler):
    """Prints the library's logs like the messages of commands."""

    def emit(self, record: logging.LogRecord) -> None:
        show = warn if record.levelno >= logging.WARNING else info if record.levelno >= logging.INFO else detail
        show(record.getMessage())


def print_json(value: object) -> None:
    """Prints one JSON object on stdout."""
    click.echo(json.dumps(jsonable(value), indent=2, allow_nan=False))


def track(iterable: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterates with progress on stderr: a bar on a terminal, a line per 10 % or 30 s elsewhere, nothing with ``--quiet``."""
    if settings.quiet:
        yield from iterable
        return
    if total is None:
        total = operator.length_hint(iterable) or None
    if stderr_console().is_terminal:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=stderr_console(), transient=True) as progress:
            yield from progress.track(iterable, total=total, description=description)
        return
    of_total = "" if total is None else f"/{total}"
    count, begun = 0, time.monotonic()
    last_print, last_count = begun, 0
    for count, item in enumerate(iterable, 1):
        yield item
        now = time.monotonic()
        is_far = total is not None and 100 * (count - last_count) >= PLAIN_PERCENT * total and now - begun >= 1
        if is_far or now - last_print >= PLAIN_SECONDS:
            last_print, last_count = now, count
            info(f"{description}: {count}{of_total}")
    info(f"{description}: {count}{of_total} in {time.monotonic() - begun:.1f} s")
