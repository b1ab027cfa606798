"""Progress of long jobs: the events of ``upscale``, and the type of functions that show progress.

``to_json`` of an event returns the object that ``codecvsr upscale --json`` prints on stderr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: Passes items on and shows progress: called with the items, a description and their number (None if unknown).
Progress = Callable[[Iterable[Any], str, int | None], Iterable[Any]]


@dataclass(frozen=True)
class ScanStarted:
    """An input is decoded once, to find its frames."""

    input: str

    def to_json(self) -> dict[str, Any]:
        """Returns the event as a JSON object."""
        return {"event": "survey", "input": self.input}


@dataclass(frozen=True)
class Planned:
    """The size of the job is known.

    Attributes:
        input: path of the input.
        output: path of the output.
        frames: frames of the output.
        done_frames: frames that earlier runs made.
        chunks: chunks of the input.
        width: of the output, in pixels.
        height: of the output, in pixels.
        motion: kind of motion.
    """

    input: str
    output: str
    frames: int
    done_frames: int
    chunks: int
    width: int
    height: int
    motion: str

    def to_json(self) -> dict[str, Any]:
        """Returns the event as a JSON object."""
        return {
            "event": "plan", "input": self.input, "output": self.output, "frames": self.frames,
            "done_frames": self.done_frames, "shards": self.chunks, "width": self.width, "height": self.height,
            "motion": self.motion,
        }  # fmt: skip


@dataclass(frozen=True)
class FrameDone:
    """A frame is upscaled.

    Attributes:
        frame: number of frames done, by this and earlier runs.
        frames: frames of the output.
        frames_per_second: speed of this run.
        eta_seconds: estimate of the time to the last frame.
    """

    frame: int
    frames: int
    frames_per_second: float
    eta_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns the event as a JSON object."""
        return {
            "event": "progress", "frame": self.frame, "frames": self.frames, "frames_per_second": self.frames_per_second,
            "eta_seconds": self.eta_seconds,
        }  # fmt: skip


@dataclass(frozen=True)
class ChunkRetried:
    """A worker process was lost; its chunk is made again.

    Attributes:
        chunk: index of the chunk.
        first_frame: index of its first frame.
        frames: number of its frames.
    """

    chunk: int
    first_frame: int
    frames: int

    def to_json(self) -> dict[str, Any]:
        """Returns the event as a JSON object."""
        return {"event": "retry", "shard": self.chunk, "first_frame": self.first_frame, "frames": self.frames}


@dataclass(frozen=True)
class Finished:
    """The output is complete; ``report`` is its report as a JSON object."""

    report: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Returns the event as a JSON object."""
        return {"event": "done", **self.report}


@dataclass(frozen=True)
class Failed:
    """One of several inputs was not upscaled."""

    input: str
    error: str

    def to_json(self) -> dict[str, Any]:
        """Returns the event as a JSON object."""
        return {"event": "failed", "input": self.input, "error": self.error}


Event = ScanStarted | Planned | FrameDone | ChunkRetried | Finished | Failed
EventHandler = Callable[[Event], None]
