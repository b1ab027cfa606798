"""How far a job is: steps of guessed lengths, items inside each, speed and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Tell = Callable[[dict[str, Any]], None]
_EVERY_SECONDS = 0.2  #: between two reports


@dataclass(frozen=True)
class Step:
    """A part of a job. ``cost`` is a guess in seconds: only the proportions matter."""

    name: str
    label: str
    cost: float


class Meter:
    """Tells progress: ``{"event": "progress", "step", "label", "done", "total", "fraction", ...}``."""

    def __init__(self, steps: Sequence[Step], tell: Tell) -> None:
        self._steps = {step.name: step for step in steps}
        self._tell = tell
        self._begun = self._step_begun = time.monotonic()
        self._over = 0.0  # cost of the steps that are over
        self._total_cost = sum(step.cost for step in steps)
        self._step: Step | None = None
        self._done = self._total = 0
        self._said = 0.0

    def begin(self, name: str, total: int) -> None:
        """Begin a step of ``total`` items; the one before it is over."""
        if self._step is not None:
            self._over += self._step.cost
        self._step = self._steps[name]
        self._done, self._total = 0, total
        self._step_begun = time.monotonic()
        self._say(0.0)

    def at(self, done: int, total: int | None = None) -> None:
        """``done`` items of the step are over."""
        self._done, self._total = done, self._total if total is None else total
        self._say(_EVERY_SECONDS)

    def track(self, items: Iterable[Any]) -> Iterator[Any]:
        """Pass items on and count them."""
        for item in items:
            yield item
            self.at(self._done + 1)

    def wrap(self, items: Iterable[Any], description: str, total: int | None) -> Iterable[Any]:
        """:meth:`track`, as the functions of the pipeline call it."""
        return self.track(items)

    def _say(self, pause: float) -> None:
        now = time.monotonic()
        if self._step is None or (now - self._said < pause and self._done < self._total):
            return
        self._said = now
        part = min(self._done / max(self._total, 1), 1.0)
        fraction = min((self._over + self._step.cost * part) / self._total_cost, 1.0)
        elapsed, in_step = now - self._begun, now - self._step_begun
        self._tell(
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
