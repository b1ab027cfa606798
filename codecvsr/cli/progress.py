"""Telling how far a long job is: a bar on a terminal, a line per 5 % elsewhere, or JSON for other programs."""

from __future__ import annotations

import json
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from codecvsr.cli import output
from codecvsr.cli.output import info, stderr_console
from codecvsr.json_values import jsonable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_STEP = 5  # per cent between two lines where stderr is no terminal


class Narrator:
    """Tells on stderr what the events of ``codecvsr.upscale`` say."""

    def __init__(self, *, as_json: bool) -> None:
        """``as_json``: one JSON object per event and line."""
        self._as_json = as_json
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._next = 0
        self._name = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def hear(self, event: dict[str, Any]) -> None:
        """Tell one event."""
        if self._as_json:
            click.echo(json.dumps(jsonable(event), allow_nan=False), err=True)
        elif not output.settings.quiet:
            getattr(self, f"_{event['event']}", self._other)(event)

    def _scan(self, event: dict[str, Any]) -> None:
        info(f"{event['input']}: looking through it once.")

    def _plan(self, event: dict[str, Any]) -> None:
        self._name = str(event["output"])
        self._next = _STEP * (100 * event["done_frames"] // max(event["frames"], 1) // _STEP + 1)
        if event["done_frames"]:
            info(f"{self._name}: going on after {event['done_frames']} of {event['frames']} frames.")
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
            self._task = self._bar.add_task(self._name, total=event["frames"], completed=event["done_frames"], speed="")

    def _progress(self, event: dict[str, Any]) -> None:
        speed = f"{event['frames_per_second']:.2f} frames/s"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=event["frame"], speed=speed)
            return
        percent = 100 * event["frame"] / event["frames"]
        if percent >= self._next:
            self._next = _STEP * (int(percent) // _STEP + 1)
            left = f"{event['eta_seconds']:.0f} s left" if event["frame"] < event["frames"] else "putting it together"
            info(f"{self._name}: {percent:.0f} %, {event['frame']}/{event['frames']} frames, {speed}, {left}")

    def _retry(self, event: dict[str, Any]) -> None:
        last = event["first_frame"] + event["frames"] - 1
        info(f"{self._name}: a worker was lost; frames {event['first_frame']} to {last} are made again.")

    def _done(self, event: dict[str, Any]) -> None:
        self._clear()

    def _failed(self, event: dict[str, Any]) -> None:
        self._clear()

    def _other(self, event: dict[str, Any]) -> None:
        """Events that only other programs need."""

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
