"""What processes that make chunks report, one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NoReturn

import av

from codecvsr import errors
from codecvsr.errors import CodecVSRError
from codecvsr.events import Phase


@dataclass(frozen=True)
class FrameMade:
    """One more frame of a chunk is upscaled."""

    chunk: int


@dataclass(frozen=True)
class ChunkAdvanced:
    """A chunk has got on.

    Attributes:
        chunk: its index.
        phase: "decoding", "motion" or "upscaling".
        done: frames of the phase, or parts of frames.
        total: frames of the phase.
    """

    chunk: int
    phase: Phase
    done: float
    total: int


@dataclass(frozen=True)
class ChunkDone:
    """A chunk is complete and on the disk.

    Attributes:
        chunk: its index.
        skipped_frames: frames, or the work of so many, that was skipped since the last such event.
        peak_memory_bytes: of the process; 0 where it is this one.
    """

    chunk: int
    skipped_frames: float = 0.0
    peak_memory_bytes: int = 0


@dataclass(frozen=True)
class ChunkLost:
    """The process that made a chunk ended early."""

    chunk: int


@dataclass(frozen=True)
class JobFailed:
    """The job cannot go on.

    Attributes:
        error: a sentence.
        kind: name of a class of ``codecvsr.errors``; empty for an error of the operating system.
        errno: the operating system's error number.
    """

    error: str
    kind: str = ""
    errno: int = 0

    @classmethod
    def of(cls, error: CodecVSRError | OSError | av.FFmpegError) -> JobFailed:
        """Returns the event of an exception."""
        if not isinstance(error, CodecVSRError) and error.errno is not None:
            return cls(error.strerror or str(error), errno=error.errno)
        return cls(str(error), kind=type(error).__name__)

    def reraise(self) -> NoReturn:
        """Raises the exception again.

        Raises:
            CodecVSRError: or OSError, as it was.
        """
        if self.errno:
            raise OSError(self.errno, self.error)
        kind = getattr(errors, self.kind, CodecVSRError)
        raise (kind if issubclass(kind, CodecVSRError) else CodecVSRError)(self.error)


ChunkEvent = FrameMade | ChunkAdvanced | ChunkDone | ChunkLost
ChunkEventHandler = Callable[[ChunkEvent], None]

_CLASSES: dict[str, Callable[..., ChunkEvent | JobFailed]] = {
    cls.__name__: cls for cls in (FrameMade, ChunkAdvanced, ChunkDone, ChunkLost, JobFailed)
}


def to_line(event: ChunkEvent | JobFailed) -> str:
    """Returns an event as a line of JSON."""
    return json.dumps({"event": type(event).__name__, **asdict(event)}) + "\n"


def from_line(line: str) -> ChunkEvent | JobFailed:
    """Returns the event of a line that :func:`to_line` wrote."""
    fields = json.loads(line)
    return _CLASSES[fields.pop("event")](**fields)
