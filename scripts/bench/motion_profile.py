"""Where the time of motion goes: processor time of each stage of one pass over a stream, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from codecvsr.bitstream.reader import read_video
from codecvsr.motion import estimate_motion, ops

#: Stages, and the operations of ``MotionOps`` that each consists of.
STAGES = {
    "blocks to cells": ("rasterise",),
    "references": ("best_reference",),
    "candidates": ("best_candidate", "splat", "fill_holes"),
    "block search and validation": ("search",),
    "prepared pictures": ("prepare",),
    "sub-pixel steps": ("refine",),
    "drift correction": ("compose", "correct_composed", "add_mean"),
    "temporal filter": ("temporal_filter",),
    "static smoothing": ("static_smoothing",),
    "matching errors": ("matching_error",),
}
DECODING, REST = "decoding and vectors", "everything else (Python, copies, confidence)"


def measure_profile(path: Path, frames: int, rounds: int) -> dict[str, Any]:
    """Returns milliseconds of processor time a frame by stage: of each stage the least of some rounds, taken in turn."""
    least: dict[str, float] = {}
    size, count = [0, 0], 0
    for _ in range(rounds):
        begun = time.process_time()
        coded = [frame for frame, _ in zip(read_video(path), range(frames), strict=False)]
        spent = {DECODING: time.process_time() - begun}
        size, count = [coded[0].width, coded[0].height], len(coded)
        with _timed_operations() as by_operation:
            begun = time.process_time()
            estimate_motion(coded, threads=1)
            total = time.process_time() - begun
        spent |= {stage: sum(by_operation[name] for name in names) for stage, names in STAGES.items()}
        spent[REST] = total - sum(by_operation.values())
        for stage, seconds in spent.items():
            least[stage] = min(seconds, least.get(stage, seconds))
    stages = {stage: round(1000 * seconds / count, 3) for stage, seconds in least.items()}
    return {"size": size, "frames": count, "rounds": rounds, "processor_ms_per_frame": stages}


def profile_table(measurements: list[dict[str, Any]]) -> list[str]:
    """Returns the table of stages, a column for each size; nothing where none was measured."""
    if not measurements:
        return []
    columns = sorted(measurements, key=lambda measurement: measurement["size"])
    times = [measurement["processor_ms_per_frame"] for measurement in columns]
    sizes = [f" {measurement['size'][0]}x{measurement['size'][1]} |" for measurement in columns]
    lines = [
        "Motion profile by stage: milliseconds of processor time a frame (both fields), one thread, of the title card (`inputs/bunny_720p.mp4`):",
        "",
        "| |" + "".join(sizes),
        "|---|" + "---|" * len(columns),
    ]
    lines += [f"| {stage} |" + "".join(f" {column[stage]:.2f} |" for column in times) for stage in times[0]]
    return [*lines, "| **all** |" + "".join(f" {sum(column.values()):.2f} |" for column in times), ""]


@contextmanager
def _timed_operations() -> Iterator[dict[str, float]]:
    """Adds up the seconds that each operation of the motion stages takes in this thread."""
    table, usual = ops.table(), ops.table
    spent = {name: 0.0 for name in vars(ops.MotionOps) if not name.startswith("_")}

    def timed(name: str) -> Callable[..., Any]:
        operation = getattr(table, name)

        def run(*arguments: Any, **options: Any) -> Any:
            begun = time.thread_time()
            try:
                return operation(*arguments, **options)
            finally:
                spent[name] += time.thread_time() - begun

        return run

    timed_table: Any = SimpleNamespace(**{name: timed(name) for name in spent})
    ops.table = lambda: timed_table  # type: ignore[assignment]
    try:
        yield spent
    finally:
        ops.table = usual  # type: ignore[assignment]
