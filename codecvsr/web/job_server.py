"""A fork server for jobs: loads the libraries once and forks a child with resource limits for every job.

Reads orders from stdin, one per line: ``{"run": {...}}`` or ``{"stop": true}``. Writes events to stdout, one JSON object per line:
``ready`` with the available models, ``progress``, ``estimate``, ``failed``, and ``ended`` with the exit status of a job. When stdin ends, it
kills its child and ends. Only the child decodes files.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from codecvsr.errors import CodecVSRError
from codecvsr.inference.ablations import usual_ablations
from codecvsr.json_values import jsonable
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters

_POLL_SECONDS = 0.05
_MAX_TEXT = 2000
_MAX_CPU_SECONDS = 1 << 31
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "Insufficient memory",
    "Cannot allocate memory",
    "out of memory",
    "bad_alloc",
)


def emit(event: dict[str, Any]) -> None:
    """Write an event in a single call: the child and its parent share stdout."""
    os.write(1, (json.dumps(event) + "\n").encode())


def models() -> list[dict[str, Any]]:
    """Returns the models with local weights: entries of ``codecvsr models list`` and the ablations of each."""
    from codecvsr.models import catalogue
    from codecvsr.models.registry import ARCHITECTURES

    keys = ("name", "architecture", "description", "parameters", "licence", "training")
    rows = []
    for row in catalogue.overview():
        if row["present"]:
            motion = list(row["motion"])
            rows.append(
                {
                    **{key: row[key] for key in keys},
                    "motion": motion,
                    "ablations": usual_ablations(motion, ARCHITECTURES[row["architecture"]].ablations),
                }
            )
    return rows


def main() -> None:
    """Serve orders until stdin ends."""
    os.setsid()  # the server itself handles Ctrl-C at its terminal
    _preload()
    _in_child(lambda: emit({"event": "ready", "models": models()}), None)
    os.wait()
    child, ending, pending = 0, False, b""
    while child or not ending:
        readable, _, _ = select.select([] if ending else [0], [], [], _POLL_SECONDS if child else None)
        if readable:
            read = os.read(0, 1 << 16)
            *lines, pending = (pending + read).split(b"\n")
            ending = not read
            for order in map(json.loads, lines):
                if "run" in order:
                    child = _in_child(partial(_run_job, order["run"]), Limits(**order["run"]["limits"]))
                elif child:
                    _kill(child)
        if ending and child:
            _kill(child)
        if child:
            ended, status, _ = os.wait4(child, os.WNOHANG)
            if ended:
                child = 0
                code = os.waitstatus_to_exitcode(status)
                emit({"event": "ended", "exit": code})


def _preload() -> None:
    """Import the libraries of jobs without computing anything: a thread pool would not survive the fork."""
    import codecvsr.models.catalogue
    import codecvsr.web.job  # noqa: F401


def _kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _in_child(work: Callable[[], None], limits: Limits | None) -> int:
    """Fork; the child runs ``work`` and exits. Returns its process id."""
    child = os.fork()
    if child:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpgid(child, child)
        return child
    code = 1
    try:
        with contextlib.suppress(PermissionError):
            os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if limits is not None:
            confine(limits)
        work()
        code = 0
    except BaseException as error:  # noqa: BLE001 - the child exits here after any error
        emit({"event": "failed", **explain(error)})
    _leave(code)


def _leave(code: int) -> NoReturn:
    os._exit(code)  # without flushing or cleaning up the parent's objects


def confine(limits: Limits) -> None:
    """Limit memory, time and disk of this process to those of a job."""
    seconds = min(int(limits.job_seconds * (os.cpu_count() or 1)) + 1, _MAX_CPU_SECONDS)
    for kind, amount in (
        (resource.RLIMIT_DATA, limits.job_memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, limits.job_file),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 512),
    ):
        _, hard = resource.getrlimit(kind)
        amount = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        grace = amount + 5 if kind == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else amount
        resource.setrlimit(kind, (amount, grace))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write that is too long fails with an error instead


def _run_job(job: dict[str, Any]) -> None:
    from codecvsr.web.job import run_job
    from codecvsr.web.job_context import without_paths
    from codecvsr.web.whole_video import estimate_job

    folder, clip, name = Path(job["folder"]), Path(job["clip"]), str(job["clip_name"])
    parameters, limits = Parameters.stored(job["parameters"]), Limits(**job["limits"])
    try:
        if job.get("is_estimate"):
            emit({"event": "estimate", "estimate": jsonable(estimate_job(clip, folder, parameters, limits, name))})
        else:
            run_job(clip, folder, parameters, limits, emit, name=name)
    except CodecVSRError as error:
        raise CodecVSRError(without_paths(str(error), clip, folder, name)) from error


def explain(error: BaseException) -> dict[str, Any]:
    """Returns a sentence for the user, and a traceback for the server's log if the error is unexpected."""
    if isinstance(error, CodecVSRError):
        return {"error": str(error)[:_MAX_TEXT], "trace": None}
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY):
        return {
            "error": "it needs more memory than a job is allowed; try smaller frames or fewer seconds.",
            "trace": None,
        }
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return {"error": f"its files cannot be written or read ({reason}).", "trace": None}
    trace = "".join(traceback.format_exception(error))
    return {"error": f"internal error ({type(error).__name__}).", "trace": trace[-_MAX_TEXT:]}


if __name__ == "__main__":
    main()
    sys.exit(0)
