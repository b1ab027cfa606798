"""Inputs that can be read only once (stdin, named pipes, ``<(...)``) are copied to a file beside the output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codecvsr.errors import InputError, OutputError
from codecvsr.files import name_beside

STDIN, STDIN_NAME = Path("-"), "standard input"
_BLOCK = 1 << 20


def is_pipe(path: Path) -> bool:
    """Whether ``path`` is ``-`` or a file that can be read only once."""
    return path == STDIN or path.is_fifo() or path.is_char_device() or path.is_socket()


def pipe_name(path: Path) -> str:
    """Returns the name of such an input in messages."""
    return STDIN_NAME if path == STDIN else str(path)


@contextmanager
def spooled(source: Path, output: Path, max_bytes: int) -> Iterator[Path]:
    """Yields a file with the contents of ``source``, which is removed at the end.

    Raises:
        InputError: ``source`` has nothing, more than ``max_bytes``, or cannot be read.
        OutputError: the file cannot be written.
    """
    place = name_beside(output, ".", ".spool")
    name = pipe_name(source)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            stream = sys.stdin.buffer if source == STDIN else source.open("rb")
            size = 0
            while block := stream.read(_BLOCK):
                size += len(block)
                if size > max_bytes:
                    raise InputError(
                        f"{name}: has more than {max_bytes / 1e9:g} GB; write it to a file first, or raise --max-spool."
                    )
                file.write(block)
        if not size:
            raise InputError(f"{name}: the pipe had no data; a video was expected.")
        yield place
    except OSError as error:
        raise OutputError(f"{name}: cannot be copied to {place} ({error.strerror or error}).") from error
    finally:
        place.unlink(missing_ok=True)
