"""The motion functions of native/ under the sanitizers, and the same bits from every build."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.native.test_sanitized import NATIVE, compile_program, run

SOURCES = [Path(__file__).parent / "motion_fuzz.c", *sorted((NATIVE / "motion").glob("*.c"))]
INPUTS = ("1500", "7")
SHIPPED = ["-std=c99", "-O3", "-DNDEBUG", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]


@pytest.fixture(scope="module")
def sanitized_output(tmp_path_factory):
    """The output of the program built without optimisation, with every access outside a buffer or a range trapped."""
    options = ["-fsanitize=float-cast-overflow", "-DCVSR_NO_CLONES", "-lm"]
    done = run(compile_program(tmp_path_factory.mktemp("fuzz") / "motion_fuzz", SOURCES, options), *INPUTS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_motion_is_right_on_random_input(sanitized_output):
    assert sanitized_output.startswith("1500 inputs, checksum ")


def test_every_build_gives_the_same_bits(sanitized_output, tmp_path):
    """Plain, and as shipped: on x86-64 that is the AVX2 or AVX-512 code where the processor has it."""
    for options in (["-DCVSR_NO_CLONES"], []):
        program = tmp_path / f"motion_fuzz_{len(options)}"
        command = [
            shutil.which("cc"),
            *SHIPPED,
            *options,
            f"-I{NATIVE / 'include'}",
            *map(str, SOURCES),
            "-o",
            program,
            "-lm",
        ]
        built = subprocess.run(command, check=False, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        assert run(program, *INPUTS).stdout == sanitized_output
