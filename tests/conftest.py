"""What holds for every test."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import pytest


def pytest_configure() -> None:
    """Tests interrupt the processes they start: those must not inherit that a shell in the background ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _messages_stay_visible() -> Iterator[None]:
    """A command takes over the package's messages; the next test gets them back, whatever ran before it."""
    logger = logging.getLogger("codecvsr")
    level, propagate, handlers = logger.level, logger.propagate, logger.handlers[:]
    yield
    logger.setLevel(level)
    logger.propagate, logger.handlers[:] = propagate, handlers
