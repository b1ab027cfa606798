"""Progress of ``codecvsr compare`` on stderr: which measurement of how many, and the time that is left."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from codecvsr.cli import output
from codecvsr.cli.output import info, stderr_console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from codecvsr.compare.run import Step


class StepPrinter:
    """Shows the steps of a comparison: a bar on a terminal, a line per measurement elsewhere and with ``--verbose``."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def on_step(self, step: Step) -> None:
        """Shows one step."""
        if output.settings.quiet:
            return
        if stderr_console().is_terminal:
            self._show(step)
            if not output.settings.verbose:
                return
        if step.measurement is not None:
            score = "untrained" if step.measurement.psnr_rgb is None else f"{step.measurement.psnr_rgb:.2f} dB"
            source = " (stored)" if step.is_stored else ""
            left = f"; {duration(step.eta_seconds)} left" if step.eta_seconds else ""
            info(f"{_place(step)}: {score}, {step.measurement.ms_per_frame:.0f} ms/frame{source}{left}")
        elif step.error:
            info(f"{_place(step)}: failed")

    def _show(self, step: Step) -> None:
        if self._bar is None:
            from rich.progress import BarColumn, Progress, TextColumn
            from rich.table import Column

            last = Column(no_wrap=True, overflow="ellipsis", ratio=1)  # last, so that nothing but a long name is cut
            columns = (
                TextColumn("{task.fields[count]}"),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[left]}"),
                TextColumn("{task.description}", table_column=last),
            )
            self._bar = Progress(*columns, console=stderr_console(), transient=True, expand=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=float(step.total), left="", count="")
        if self._task is not None:
            done = step.number - 1 + step.frame / max(step.frames, 1)
            left = "" if step.eta_seconds is None else f"{duration(step.eta_seconds)} left"
            count = f"{step.number} of {step.total}"
            name = f"{step.row} on {step.clip}".replace("[", "\\[")
            self._bar.update(self._task, completed=done, description=name, left=left, count=count)


def _place(step: Step) -> str:
    return f"{step.number} of {step.total}: {step.row} on {step.clip}"


def duration(seconds: float) -> str:
    """Returns a time in words: ``about 3 min``."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
