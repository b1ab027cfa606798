"""Progress of long jobs: the events of ``upscale``, and the type of functions that show progress.

``to_json`` of an event returns the object that ``codecvsr upscale --json`` prints on stderr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

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
        frames_per_second: speed of this run, from the network's first step on.
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


#: What a run does: reads the input once, tries a few frames, decodes the first chunk, estimates its motion, upscales, writes.
Phase = Literal["reading", "estimating", "decoding", "motion", "upscaling", "writing"]


@dataclass(frozen=True)
class Advanced:
    """A run has got on, in a phase that may last long before a frame is done.

    Attributes:
        input: path of the input.
        phase: what is done.
        done: frames of the phase; in "upscaling" with the parts of frames that the network's passes have done.
        total: frames of the phase; None where it is not known.
        eta_seconds: estimate of the time to the last frame, from "upscaling" on; None before there is one.
    """

    input: str
    phase: Phase
    done: float = 0.0
    total: int | None = None
    eta_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the event as a JSON object."""
        return {
            "event": "step", "input": self.input, "phase": self.phase, "done": round(self.done, 2), "total": self.total,
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


Event = ScanStarted | Planned | Advanced | FrameDone | ChunkRetried | Finished | Failed
EventHandler = Callable[[Event], None]
