"""Progress of a long job on stderr: a bar on a terminal, a line per 5 % elsewhere, or JSON for other programs."""

from __future__ import annotations

import json
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from codecvsr.cli import output
from codecvsr.cli.output import info, stderr_console
from codecvsr.events import ChunkRetried, Event, FrameDone, Planned, ScanStarted
from codecvsr.json_values import jsonable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_STEP = 5  # per cent between two lines where stderr is no terminal


class ProgressPrinter:
    """Prints the events of ``codecvsr.upscale`` on stderr."""

    def __init__(self, *, as_json: bool) -> None:
        """``as_json``: one JSON object per event and line."""
        self._as_json = as_json
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._next_percent = 0
        self._name = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def on_event(self, event: Event) -> None:
        """Prints one event."""
        if self._as_json:
            click.echo(json.dumps(jsonable(event.to_json()), allow_nan=False), err=True)
            return
        if output.settings.quiet:
            return
        if isinstance(event, ScanStarted):
            info(f"{event.input}: decoding it once to find its frames.")
        elif isinstance(event, Planned):
            self._begin(event)
        elif isinstance(event, FrameDone):
            self._show(event)
        elif isinstance(event, ChunkRetried):
            last = event.first_frame + event.frames - 1
            info(f"{self._name}: a worker was lost; frames {event.first_frame} to {last} are made again.")
        else:
            self._clear()

    def _begin(self, event: Planned) -> None:
        self._name = event.output
        self._next_percent = _STEP * (100 * event.done_frames // max(event.frames, 1) // _STEP + 1)
        if event.done_frames:
            info(f"{self._name}: continuing after {event.done_frames} of {event.frames} frames.")
        if stderr_console().is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=stderr_console(), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._name, total=event.frames, completed=event.done_frames, speed="")

    def _show(self, event: FrameDone) -> None:
        speed = f"{event.frames_per_second:.2f} frames/s"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=event.frame, speed=speed)
            return
        percent = 100 * event.frame / event.frames
        if percent >= self._next_percent:
            self._next_percent = _STEP * (int(percent) // _STEP + 1)
            remaining = f"{event.eta_seconds:.0f} s left" if event.frame < event.frames else "writing the output"
            info(f"{self._name}: {percent:.0f} %, {event.frame}/{event.frames} frames, {speed}, {remaining}")

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
