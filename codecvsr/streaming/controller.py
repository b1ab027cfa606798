"""Chooses the network: the best one that keeps up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from codecvsr.streaming.events import LevelChanged, LiveEvent

_MAX_BEHIND = 0.3  # seconds behind schedule: take the next faster network
_FAR_BEHIND = 2.0  # take the fastest
_ON_SCHEDULE = 0.1
_SPARE = 0.5  # share of the time that may be used for a better network to be tried
_FIRST_WAIT, _MAX_WAIT = (
    5.0,
    80.0,
)  # seconds on schedule before a better network is tried; doubled where it does not keep up
_SMOOTHING = 0.3  # share of the latest measurement


class Controller:
    """Watches how far the stream is behind schedule, and changes the network.

    Attributes:
        level: index of the network in use, 0 the best.
        changes: how often it changed.
    """

    def __init__(
        self,
        names: Sequence[str],
        on_event: Callable[[LiveEvent], None],
        *,
        is_active: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begins with the best network.

        Args:
            names: of the networks, the best first, the fastest last.
            on_event: called with :class:`LevelChanged`.
            is_active: False to stay with the first: nothing is due at a time.
            clock: seconds.
        """
        self.level = self.changes = 0
        self._names, self._on_event, self._is_active, self._clock = names, on_event, is_active, clock
        self._since = clock()  # of the latest change, or of being behind
        self._tried: float | None = None  # when a better network was tried last
        self._wait = _FIRST_WAIT
        self._load = 0.0  # share of the time that is used
        self.seconds = dict.fromkeys(names, 0.0)

    @property
    def is_fastest(self) -> bool:
        """Whether no faster network is left."""
        return self.level == len(self._names) - 1

    def choose(self, behind: float) -> None:
        """Chooses the network of the next window; ``behind`` in seconds."""
        if not self._is_active:
            return
        now = self._clock()
        if behind > _MAX_BEHIND:
            self.fall_back(behind)
        elif behind > _ON_SCHEDULE:
            self._since = now
        elif self.level > 0 and now - self._since >= self._wait and self._load < _SPARE:
            self._tried = now
            self._change(self.level - 1, 0.0)
        elif self._tried is not None and now - self._tried > 2 * _MAX_WAIT:
            self._wait = _FIRST_WAIT  # it has kept up for long

    def is_too_slow(self, behind: float) -> bool:
        """Returns whether a window that would end so many seconds behind schedule should be given up."""
        return self._is_active and not self.is_fastest and behind > 2 * _MAX_BEHIND

    def fall_back(self, behind: float) -> None:
        """Takes a faster network, if there is one."""
        now = self._clock()
        self._since = now
        if self.is_fastest or not self._is_active:
            return
        if self._tried is not None and now - self._tried < self._wait:
            self._wait = min(2 * self._wait, _MAX_WAIT)
        self._change(len(self._names) - 1 if behind > _FAR_BEHIND else self.level + 1, behind)

    def measured(self, seconds: float, shown: float) -> None:
        """Takes note of a window: the seconds it took, and those for which its frames are shown."""
        self.seconds[self._names[self.level]] += shown
        self._load += _SMOOTHING * (seconds / max(shown, 1e-3) - self._load)

    def _change(self, level: int, behind: float) -> None:
        old, self.level = self._names[self.level], level
        self.changes += 1
        self._since, self._load = self._clock(), 0.0
        self._on_event(LevelChanged(old, self._names[level], behind))
