"""The C code of native/ under the address and undefined-behaviour sanitizers, on input nobody should send."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.streams import encode, moving_texture

NATIVE = Path(__file__).parents[2] / "native"
FLAGS = ["-std=c99", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover=all"]
SANITIZERS = "-fsanitize=address,undefined"
FOUND_SOMETHING = 99  # what a sanitizer makes a program exit with, here


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a sanitized program."""
    options = f"exitcode={FOUND_SOMETHING}"
    environment = {
        **os.environ,
        "ASAN_OPTIONS": options,
        "UBSAN_OPTIONS": options,
        "LSAN_OPTIONS": options,
        "TSAN_OPTIONS": options,
    }
    return subprocess.run(
        command, check=False, capture_output=True, text=True, errors="replace", timeout=600, env=environment
    )


def compile_program(target: Path, sources: list[Path], libraries: list[str], sanitizers: str = SANITIZERS) -> Path:
    """Compile ``sources`` with the sanitizers, or skip where this machine has no compiler that knows them."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc)")
    probe = target.with_name("probe.c")
    probe.write_text("int main(void) { return 0; }\n")
    if subprocess.run(
        [compiler, sanitizers, str(probe), "-o", str(target)], check=False, capture_output=True
    ).returncode:
        pytest.skip("the C compiler has no sanitizer libraries")
    command = [
        compiler,
        *FLAGS,
        sanitizers,
        f"-I{NATIVE / 'include'}",
        *map(str, sources),
        "-o",
        str(target),
        *libraries,
    ]
    built = subprocess.run(command, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return target


def test_field_survives_and_is_right_on_random_records(tmp_path):
    program = compile_program(
        tmp_path / "field_fuzz",
        [Path(__file__).parent / "field_fuzz.c", *sorted((NATIVE / "field").glob("*.c"))],
        ["-lm"],
    )
    done = run(program, "20000", "7")
    assert (done.returncode, done.stdout) == (0, "20000 inputs\n"), done.stdout + done.stderr


@pytest.mark.parametrize("name", ["net_fuzz", "net_tiles_fuzz"])
@pytest.mark.parametrize("sanitizers", [SANITIZERS, "-fsanitize=thread"])
def test_the_network_survives_and_convolves_right(tmp_path, sanitizers, name):
    sources = [Path(__file__).parent / f"{name}.c", NATIVE / "net" / "net.c", NATIVE / "net" / "isa.c"]
    libraries = ["-DCVSR_ISA=plain", "-Wno-psabi", "-pthread", "-lm"]
    program = compile_program(tmp_path / "net_fuzz", sources, libraries, sanitizers)
    done = run(program, "25", "7")
    assert (done.returncode, done.stdout) == (0, "25 inputs\n"), done.stdout + done.stderr


@pytest.fixture(scope="module")
def sanitized_extract_mvs(tmp_path_factory):
    query = ["pkg-config", "--cflags", "--libs", "libavformat", "libavcodec", "libavutil"]
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is not installed")
    found = subprocess.run(query, check=False, capture_output=True, text=True)
    if found.returncode:
        pytest.skip("the libav headers are not installed")
    folder = tmp_path_factory.mktemp("sanitized")
    sources = sorted((NATIVE / "reader").glob("*.c"))
    return compile_program(folder / "extract_mvs", sources, found.stdout.split())


@pytest.mark.parametrize("suffix", [".mp4", ".h264", ".ts"])
def test_reader_survives_damaged_files(sanitized_extract_mvs, tmp_path, suffix):
    """Bits flipped anywhere, the end cut off: an error or fewer frames, never a step outside a buffer, never a leak."""
    frames = moving_texture(10, 94, 126, 2, 1)
    sound = encode(tmp_path / f"sound{suffix}", frames, options={"x264-params": "bframes=2:slices=2:keyint=6"})
    content = sound.read_bytes()
    clean = run(sanitized_extract_mvs, sound)
    assert (clean.returncode, clean.stderr) == (0, "")
    rng = np.random.default_rng(11)
    failures = 0
    for round_number in range(12):
        damaged = np.frombuffer(content, np.uint8).copy()
        at = rng.integers(0, len(damaged), size=1 + round_number * 3)
        damaged[at] ^= rng.integers(1, 256, size=len(at), dtype=np.uint8)
        if round_number % 3 == 0:
            damaged = damaged[: rng.integers(1, len(damaged))]
        file = tmp_path / f"damaged{suffix}"
        file.write_bytes(damaged.tobytes())
        done = run(sanitized_extract_mvs, file)
        assert done.returncode in (0, 1), done.stderr
        failures += done.returncode
    assert failures > 0  # the damaged data arrived at the reader
