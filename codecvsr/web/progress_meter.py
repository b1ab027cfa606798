"""Progress of a job: steps with estimated costs, items per step, speed and remaining time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

OnEvent = Callable[[dict[str, Any]], None]
_EVERY_SECONDS = 0.2  #: between two events


@dataclass(frozen=True)
class Step:
    """A part of a job. ``cost`` is an estimate in seconds; only the proportions matter."""

    name: str
    label: str
    cost: float


class ProgressMeter:
    """Emits progress events: ``{"event": "progress", "step", "label", "done", "total", "fraction", ...}``."""

    def __init__(self, steps: Sequence[Step], on_event: OnEvent) -> None:
        self._steps = {step.name: step for step in steps}
        self._on_event = on_event
        self._begun = self._step_begun = time.monotonic()
        self._finished_cost = 0.0
        self._total_cost = sum(step.cost for step in steps)
        self._step: Step | None = None
        self._done = self._total = 0
        self._last_emitted = 0.0

    def begin(self, name: str, total: int) -> None:
        """Begin a step of ``total`` items; the previous step is finished."""
        if self._step is not None:
            self._finished_cost += self._step.cost
        self._step = self._steps[name]
        self._done, self._total = 0, total
        self._step_begun = time.monotonic()
        self._emit(0.0)

    def at(self, done: int, total: int | None = None) -> None:
        """Report that ``done`` items of the step are finished."""
        self._done, self._total = done, self._total if total is None else total
        self._emit(_EVERY_SECONDS)

    def track(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield the items and count them."""
        for item in items:
            yield item
            self.at(self._done + 1)

    def wrap(self, items: Iterable[Any], description: str, total: int | None) -> Iterable[Any]:
        """:meth:`track` with the signature of a progress callback."""
        return self.track(items)

    def _emit(self, min_seconds: float) -> None:
        now = time.monotonic()
        if self._step is None or (now - self._last_emitted < min_seconds and self._done < self._total):
            return
        self._last_emitted = now
        part = min(self._done / max(self._total, 1), 1.0)
        fraction = min((self._finished_cost + self._step.cost * part) / self._total_cost, 1.0)
        elapsed, in_step = now - self._begun, now - self._step_begun
        self._on_event(
            {
                "event": "progress",
                "step": self._step.name,
                "label": self._step.label,
                "done": self._done,
                "total": self._total,
                "fraction": round(fraction, 4),
                "frames_per_second": round(self._done / in_step, 2) if self._done and in_step > 0 else None,
                "eta_seconds": round(elapsed * (1 - fraction) / fraction, 1) if fraction > 0.02 else None,
            }
        )
