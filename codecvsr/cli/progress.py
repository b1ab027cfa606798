"""Progress of a long job on stderr: a bar on a terminal, a line per 10 % or 30 s elsewhere, or JSON for other programs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from codecvsr.cli import output
from codecvsr.cli.output import PLAIN_PERCENT, PLAIN_SECONDS, info, stderr_console
from codecvsr.events import Advanced, ChunkRetried, Event, FrameDone, Planned, ScanStarted
from codecvsr.json_values import jsonable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_NAME_COLUMNS = 24  # of a terminal, for the name of the output
_PHASES = {"motion": "estimating motion"}  # others are shown as they are called


class ProgressPrinter:
    """Prints the events of ``codecvsr.upscale`` on stderr; on a terminal a bar moves from the first second on."""

    def __init__(self, *, as_json: bool) -> None:
        """``as_json``: one JSON object per event and line."""
        self._as_json = as_json
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._percent, self._printed = 0.0, time.monotonic()  # of the latest line
        self._name = ""
        self._phase: tuple[str, int | None] = "", None  # that the bar shows, and its frames
        self._position = 0.0  # frames and parts of frames that are upscaled; never less than before

    def __enter__(self) -> Self:
        if not self._as_json and not output.settings.quiet and stderr_console().is_terminal:
            self._start_bar()
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
            self._name = Path(event.input).name
            if self._bar is None:
                info(f"{event.input}: decoding it once to find its frames.")
        elif isinstance(event, Planned):
            self._name = Path(event.output).name if self._bar is not None else event.output
            self._position = event.done_frames
            self._percent, self._printed = 100 * event.done_frames / max(event.frames, 1), time.monotonic()
            if event.done_frames:
                info(f"{event.output}: continuing after {event.done_frames} of {event.frames} frames.")
        elif isinstance(event, Advanced):
            self._advance(event)
        elif isinstance(event, FrameDone):
            self._show(event)
        elif isinstance(event, ChunkRetried):
            last = event.first_frame + event.frames - 1
            info(f"{self._name}: a worker was lost; frames {event.first_frame} to {last} are made again.")
        elif self._bar is not None:  # an input is finished; another may follow
            self._update("")

    def _advance(self, event: Advanced) -> None:
        phase = _PHASES.get(event.phase, event.phase)
        done = self._reach(event.done) if event.phase == "upscaling" else event.done
        if self._bar is not None:
            self._update(phase, done, event.total, eta_seconds=event.eta_seconds)
            return
        left = "" if event.eta_seconds is None else f", {event.eta_seconds:.0f} s left"
        if event.phase == "upscaling" and event.total:
            self._line(done, event.total, left)
        elif time.monotonic() - self._printed >= PLAIN_SECONDS:
            self._printed = time.monotonic()
            of_total = "" if event.total is None else f"/{event.total}"
            info(f"{self._name}: {phase}, {int(done)}{of_total} frames")

    def _show(self, event: FrameDone) -> None:
        done, speed = self._reach(event.frame), f"{event.frames_per_second:.2f} frames/s"
        if self._bar is not None:
            self._update("upscaling", done, event.frames, speed=speed, eta_seconds=event.eta_seconds)
            return
        remaining = f"{event.eta_seconds:.0f} s left" if event.frame < event.frames else "writing the output"
        self._line(done, event.frames, f", {speed}, {remaining}")

    def _reach(self, done: float) -> float:
        """Returns what is upscaled, which is not less than before.

        A network passes over all frames of a window before the first one is complete: parts of frames count as such.
        """
        self._position = max(self._position, done)
        return self._position

    def _line(self, done: float, total: int, more: str) -> None:
        """Prints a line if enough is done, or enough time has passed, since the latest."""
        percent, now = 100 * done / total, time.monotonic()
        steps = int(percent // PLAIN_PERCENT) - int(self._percent // PLAIN_PERCENT)
        if steps > 0 or now - self._printed >= PLAIN_SECONDS:
            self._percent, self._printed = percent, now
            info(f"{self._name}: {int(percent)} %, {int(done)}/{total} frames{more}")

    # ------------------------------------------------------------------------------------------------- on a terminal

    def _start_bar(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            *(TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("count", "speed", "left")),
        )
        self._bar = Progress(*columns, console=stderr_console(), transient=True, redirect_stdout=False)
        self._task = self._bar.add_task("starting", total=None, count="", speed="", left="")
        self._bar.start()

    def _update(
        self,
        phase: str,
        done: float = 0.0,
        total: int | None = None,
        *,
        speed: str = "",
        eta_seconds: float | None = None,
    ) -> None:
        """Moves the bar; within a phase never back."""
        bar, task = self._bar, self._task
        assert bar is not None and task is not None
        name = self._name if len(self._name) <= _NAME_COLUMNS else f"...{self._name[3 - _NAME_COLUMNS :]}"
        is_new = self._phase != (phase, total)
        self._phase = phase, total
        done = done if is_new else max(done, bar.tasks[0].completed)
        fields: dict[str, Any] = {
            "description": f"{name} {phase}".strip(),
            "count": f"{int(done)}/{total}" if total else f"{int(done)} frames" if done else "",
            "left": "" if eta_seconds is None else _clock(eta_seconds),
        }
        if speed or is_new:
            fields["speed"] = speed
        if is_new:  # a reset draws the bar, and takes None for no change: everything is set before
            bar.tasks[0].total = total
            bar.reset(task, total=total, completed=int(done), **fields)
        is_last = total is not None and done >= total
        bar.update(task, completed=done, refresh=is_last, **fields)

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None


def _clock(seconds: float) -> str:
    """Returns "h:mm:ss left"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} left"
