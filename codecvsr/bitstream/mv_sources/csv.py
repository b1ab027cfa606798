"""Motion vectors from any program that prints what FFmpeg's example ``extract_mvs`` prints."""

from __future__ import annotations

import csv
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.frame import VECTOR_DTYPE
from codecvsr.errors import InputError

#: The columns of every version of the program, and those that FFmpeg 5.1 added.
COLUMNS = ("framenum", "source", "blockw", "blockh", "srcx", "srcy", "dstx", "dsty", "flags")
MOTION_COLUMNS = ("motion_x", "motion_y", "motion_scale")

VectorTable = dict[int, npt.NDArray[np.void]]


def find_program(program: str | Path) -> str:
    """Returns the path of a program, which may be a name on PATH.

    Raises:
        InputError: there is none, or it is not executable.
    """
    found = shutil.which(str(program))
    if found is None:
        raise InputError(
            f"{program}: no such program, or not executable; a program that prints extract_mvs CSV was expected."
        )
    return found


def read_csv_vectors(program: str | Path, video: Path) -> VectorTable:
    """Runs ``program video`` and returns vectors by display index, from 0, as VECTOR_DTYPE arrays.

    Frames without vectors have no entry. Without the motion columns the displacement is srcx - dstx, in whole pixels.

    Raises:
        InputError: the program is missing, fails, or prints something else.
    """
    found = find_program(program)
    with tempfile.TemporaryFile("w+") as errors:
        try:
            process = subprocess.Popen([found, str(video)], stdout=subprocess.PIPE, stderr=errors, text=True)
        except OSError as error:
            raise InputError(f"{program}: cannot be run ({error.strerror}).") from error
        problem = ""
        with process:
            assert process.stdout is not None
            try:
                table = parse_csv_vectors(process.stdout)
            except (InputError, UnicodeDecodeError) as error:
                problem = str(error)
                process.kill()
        errors.seek(0)
        log_end = errors.read().strip()[-300:] or "nothing on stderr"
    if process.returncode > 0:
        raise InputError(f"{program}: failed with status {process.returncode} on {video} ({log_end}).")
    if problem:
        raise InputError(f"{program}: {problem} ({log_end})")
    if process.returncode < 0:
        raise InputError(f"{program}: was ended by signal {-process.returncode} on {video} ({log_end}).")
    return table


def parse_csv_vectors(lines: Iterable[str]) -> VectorTable:
    """Parses the lines of the program, header first; frames count from 1.

    Raises:
        InputError: the header or a row is not of that form.
    """
    rows = csv.reader(lines)
    header = tuple(name.strip() for name in next(rows, []))
    if header not in (COLUMNS, COLUMNS + MOTION_COLUMNS):
        raise InputError(
            f"its first line is {','.join(header)[:80]!r}; {','.join(COLUMNS)}[,motion_x,...] was expected."
        )
    has_motion = len(header) > len(COLUMNS)
    frames: dict[int, list[tuple[int, ...]]] = {}
    for number, row in enumerate(rows, 2):
        try:
            if len(row) != len(header):
                raise ValueError
            frame, source, w, h, src_x, src_y, dst_x, dst_y = (int(value) for value in row[:8])
            motion = (int(row[9]), int(row[10]), int(row[11])) if has_motion else (src_x - dst_x, src_y - dst_y, 1)
        except ValueError:
            raise InputError(
                f"its line {number} is {','.join(row)[:80]!r}; {len(header)} integers were expected."
            ) from None
        frames.setdefault(frame - 1, []).append((source, w, h, dst_x, dst_y, *motion))
    return {frame: np.array(vectors, VECTOR_DTYPE) for frame, vectors in frames.items()}
