"""Fixtures and hooks of every test."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator

import pytest


def pytest_configure() -> None:
    """Tests interrupt the processes they start: those must not inherit that a shell in the background ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


#: What a machine without a GPU cannot try; mvextractor is tested in an environment of its own (.ci/run).
ALLOWED_SKIPS = ("GPU", "CUDA", "triton", "mvextractor", "this PyAV does not have it", "forget its peak")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With ``CODECVSR_NO_SKIPS=1``, as CI sets it, a skipped test that a CPU can run is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CODECVSR_NO_SKIPS") or reporter is None:
        return
    reasons = {str(report.longrepr[-1]) for report in reporter.stats.get("skipped", [])}
    unexpected = sorted(reason for reason in reasons if not any(part in reason for part in ALLOWED_SKIPS))
    if unexpected and not session.exitstatus:
        reporter.write_line(f"\nSkipped, though a CPU can run them: {'; '.join(unexpected)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _messages_stay_visible() -> Iterator[None]:
    """A command redirects the package's messages; this restores them for the next test."""
    logger = logging.getLogger("codecvsr")
    level, propagate, handlers = logger.level, logger.propagate, logger.handlers[:]
    yield
    logger.setLevel(level)
    logger.propagate, logger.handlers[:] = propagate, handlers
