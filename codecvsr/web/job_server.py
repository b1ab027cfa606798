"""The process that jobs are born in: it loads the libraries once and forks a child with limits for every job.

It reads orders from its input, ``{"run": {...}}`` or ``{"stop": true}``, one per line, and tells on its output what happens, a JSON
object per line: ``ready`` with the models there are, ``progress``, ``failed`` and, of every job, ``ended`` with how. When its
input ends it ends, and takes its child with it. What is in a file is decoded by the child alone.
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
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import ABLATIONS, Parameters

_POLL_SECONDS = 0.05
_LONGEST_TEXT = 2000
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "Insufficient memory",
    "Cannot allocate memory",
    "out of memory",
    "bad_alloc",
)


def tell(event: dict[str, Any]) -> None:
    """One line, in one piece: the child and its parent share this output."""
    os.write(1, (json.dumps(event) + "\n").encode())


def models() -> list[dict[str, Any]]:
    """Models whose weights are here: what ``codecvsr models list`` says, and which ablations each knows."""
    from codecvsr.models import catalogue

    kept = ("name", "architecture", "description", "parameters", "licence", "training")
    rows = []
    for row in catalogue.overview():
        if row["present"]:
            motion = list(row["motion"])
            rows.append(
                {
                    **{key: row[key] for key in kept},
                    "motion": motion,
                    "ablations": _ablations(row["architecture"], motion),
                }
            )
    return rows


def _ablations(architecture: str, motion: list[str]) -> list[str]:
    """The same as ``pipeline.infer.choose_motion`` lets through for a model's usual motion."""
    if not motion:
        return []
    own = {"codecvsr": ["second_order", "priors"], "mvsr-seed": ["second_order"]}.get(architecture, [])
    repair = ["p_inversion", "resolve", "refine"] if motion[0] == "codec" else []
    return [name for name in ABLATIONS if name in ("mvs", *own, *repair)]


def main() -> None:
    """Serve orders until the input ends."""
    os.setsid()  # a Ctrl-C at the server's terminal is the server's to handle
    _preload()
    _in_child(lambda: tell({"event": "ready", "models": models()}), None)
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
                    child = _in_child(partial(_work, order["run"]), Limits(**order["run"]["limits"]))
                elif child:
                    _kill(child)
        if ending and child:
            _kill(child)
        if child:
            ended, status, _ = os.wait4(child, os.WNOHANG)
            if ended:
                child = 0
                code = os.waitstatus_to_exitcode(status)
                tell({"event": "ended", "exit": code})


def _preload() -> None:
    """Import what jobs need, and compute nothing: a thread pool would not survive the fork."""
    import codecvsr.models.catalogue
    import codecvsr.web.job  # noqa: F401


def _kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _in_child(work: Callable[[], None], limits: Limits | None) -> int:
    """Fork; the child does ``work`` and ends. Returns its process id."""
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
    except BaseException as error:  # noqa: BLE001 - the child ends here, whatever happened
        tell({"event": "failed", **explain(error)})
    _leave(code)


def _leave(code: int) -> NoReturn:
    os._exit(code)  # nothing of the parent's is flushed or cleaned up twice


def confine(limits: Limits) -> None:
    """Give this process no more memory, time and disk than a job may have."""
    seconds = int(limits.job_seconds * (os.cpu_count() or 1)) + 1
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


def _work(job: dict[str, Any]) -> None:
    from codecvsr.web.job import run_job, without_paths

    folder, clip, name = Path(job["folder"]), Path(job["clip"]), str(job["clip_name"])
    try:
        run_job(clip, folder, Parameters.stored(job["parameters"]), Limits(**job["limits"]), tell, name=name)
    except CodecVSRError as error:
        raise CodecVSRError(without_paths(str(error), clip, folder, name)) from error


def explain(error: BaseException) -> dict[str, Any]:
    """A sentence for people, and the traceback for the server's log where nobody foresaw the error."""
    if isinstance(error, CodecVSRError):
        return {"error": str(error)[:_LONGEST_TEXT], "trace": None}
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY):
        return {
            "error": "it needs more memory than a job may have; try smaller frames or fewer seconds.",
            "trace": None,
        }
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return {"error": f"its files cannot be written or read ({reason}).", "trace": None}
    trace = "".join(traceback.format_exception(error))
    return {"error": f"internal error ({type(error).__name__}).", "trace": trace[-_LONGEST_TEXT:]}


if __name__ == "__main__":
    main()
    sys.exit(0)
