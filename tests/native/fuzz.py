"""The native code under the sanitizers for as long as one likes.

    python -m tests.native.fuzz --minutes 10

Random records into the field library, random pictures and fields into its motion functions, damaged files into the reader;
each for so many minutes (``--only motion`` for one of them). Says how many inputs there were; what a sanitizer finds ends the run, and the input stays.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.native.test_motion_fuzz import SOURCES
from tests.native.test_sanitized import NATIVE, compile_program, run
from tests.streams import encode, moving_texture

BATCH = 500  # inputs of one run of a program
STREAMS = {
    ".mp4": "bframes=2:slices=2:keyint=6",
    ".h264": "bframes=3:b-pyramid=normal:ref=4:keyint=8",
    ".ts": "bframes=1:cabac=0:keyint=5",
    ".mkv": "bframes=2:weightp=2:8x8dct=0",
}


def random_input(program: Path, minutes: float) -> int:
    """Batches of a program that draws its inputs from a seed; how many inputs there were."""
    count, end = 0, time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        done = run(program, str(BATCH), str(1000 + count))
        if done.returncode:
            sys.exit(f"{program.name} {BATCH} {1000 + count}:\n{done.stdout}{done.stderr}")
        count += BATCH
    return count


def damaged_files(program: Path, minutes: float, folder: Path) -> tuple[int, int]:
    """Bits flipped, bytes left out or repeated, ends cut off; how many files there were, and how many were refused."""
    frames = moving_texture(10, 94, 126, 2, 1)
    sound = [
        (suffix, encode(folder / f"sound{suffix}", frames, options={"x264-params": parameters}).read_bytes())
        for suffix, parameters in STREAMS.items()
    ]
    rng = np.random.default_rng(5)
    count = refused = 0
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        suffix, content = sound[count % len(sound)]
        file = folder / f"damaged{suffix}"
        file.write_bytes(damage(content, rng))
        done = run(program, file)
        if done.returncode not in (0, 1):
            sys.exit(f"{file} stays for a debugger:\n{done.stderr}")
        count, refused = count + 1, refused + done.returncode
    return count, refused


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """A damaged copy."""
    data = np.frombuffer(content, np.uint8).copy()
    kind = rng.integers(4)
    begin, length = rng.integers(len(data)), rng.integers(1, 400)
    if kind == 0:
        data = data[: max(begin, 1)]
    elif kind == 1:
        data = np.concatenate([data[:begin], data[begin + length :]])
    elif kind == 2:
        data = np.concatenate([data[: begin + length], data[begin:]])
    at = rng.integers(0, len(data), size=rng.integers(1, 40))
    data[at] ^= rng.integers(1, 256, size=len(at), dtype=np.uint8)
    return data.tobytes()


def main() -> None:
    """Compile with the sanitizers, then run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each program")
    parser.add_argument("--only", choices=["field", "motion", "reader"], help="just one of the three")
    arguments = parser.parse_args()
    minutes, only = arguments.minutes, arguments.only
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    here = Path(__file__).parent
    if only in (None, "field"):
        field = compile_program(
            folder / "field_fuzz", [here / "field_fuzz.c", *sorted((NATIVE / "field").glob("*.c"))], ["-lm"]
        )
        print(f"field library: {random_input(field, minutes)} inputs", flush=True)
    if only in (None, "motion"):
        options = ["-fsanitize=float-cast-overflow", "-DCVSR_NO_CLONES", "-lm"]
        motion = compile_program(folder / "motion_fuzz", SOURCES, options)
        print(f"motion functions: {random_input(motion, minutes)} inputs", flush=True)
    if only in (None, "reader"):
        query = ["pkg-config", "--cflags", "--libs", "libavformat", "libavcodec", "libavutil"]
        libraries = subprocess.run(query, check=True, capture_output=True, text=True).stdout.split()
        sources = sorted((NATIVE / "reader").glob("*.c"))
        files, refused = damaged_files(compile_program(folder / "extract_mvs", sources, libraries), minutes, folder)
        print(f"reader: {files} damaged files, {refused} of them refused", flush=True)


if __name__ == "__main__":
    main()
