"""What a command says: results on stdout, everything else on stderr."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import operator
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import click

from codecvsr.json_values import jsonable

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

PLAIN_PROGRESS_SECONDS = 5.0  #: where stderr is no terminal, a line of progress this often

PIPED_WIDTH = 160  #: columns of a table where stdout is no terminal: wide enough that nothing is broken over lines


@dataclasses.dataclass
class Settings:
    """How much to say; the options of the running command set it."""

    verbose: bool = False
    quiet: bool = False
    debug: bool = False


settings = Settings()


def begin() -> None:
    """Start a command: as much to say as by default, consoles that know today's terminal, the library's logs shown."""
    settings.verbose = settings.quiet = settings.debug = False
    stderr_console.cache_clear()
    stdout_console.cache_clear()
    logger = logging.getLogger("codecvsr")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    if not any(isinstance(handler, _ToStderr) for handler in logger.handlers):
        logger.addHandler(_ToStderr())


@functools.cache
def stderr_console() -> Console:
    """The rich console on stderr; it honours ``NO_COLOR`` and writes plain text where stderr is no terminal."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


@functools.cache
def stdout_console() -> Console:
    """The rich console on stdout, for a command's result in human form (tables)."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


def _say(message: str, label: str = "", style: str = "") -> None:
    from rich.text import Text

    stderr_console().print(Text.assemble((label, style), message))


def info(message: str) -> None:
    """Say something on stderr, unless ``--quiet``."""
    if not settings.quiet:
        _say(message)


def detail(message: str) -> None:
    """Say something on stderr that only ``--verbose`` asks for."""
    if settings.verbose and not settings.quiet:
        _say(message)


def warn(message: str) -> None:
    """Say ``warning: message`` on stderr, even with ``--quiet``."""
    _say(message, label="warning: ", style="bold yellow")


def say_error(message: str) -> None:
    """Say ``error: message`` on stderr."""
    _say(message, label="error: ", style="bold red")


class _ToStderr(logging.Handler):
    """Shows the library's log records the way the commands show their own messages."""

    def emit(self, record: logging.LogRecord) -> None:
        say = warn if record.levelno >= logging.WARNING else info if record.levelno >= logging.INFO else detail
        say(record.getMessage())


def print_json(value: object) -> None:
    """Print one JSON object on stdout."""
    click.echo(json.dumps(jsonable(value), indent=2, allow_nan=False))


def track(iterable: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Iterate with progress on stderr: a bar on a terminal, a line now and then elsewhere, nothing with ``--quiet``."""
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
    last_said = begun
    for count, item in enumerate(iterable, 1):
        yield item
        now = time.monotonic()
        if now - last_said >= PLAIN_PROGRESS_SECONDS:
            last_said = now
            info(f"{description}: {count}{of_total}")
    info(f"{description}: {count}{of_total} in {time.monotonic() - begun:.1f} s")
