"""Help and a missing input need none of the large libraries."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from codecvsr.cli import COMMANDS
from tests.videos import make_video

CODE = """
import sys
from codecvsr.cli import main
try:
    main(sys.argv[1:])
except SystemExit as error:
    loaded = sorted({"torch", "av", "cv2", "numpy", "rich.table"} & set(sys.modules))
    print("code", error.code, *loaded)
"""


def run(*arguments):
    """The exit code, the large modules that were imported, and stderr."""
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=True)
    _, code, *loaded = done.stdout.splitlines()[-1].split()
    return int(code), set(loaded), done.stderr


def test_help_imports_no_large_library():
    assert run("--help")[:2] == (0, set())


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "help"])
def test_help_of_a_command_imports_no_torch(name):
    code, loaded, _ = run(name, "--help")
    assert code == 0 and not loaded & {"torch", "cv2"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("codecvsr ups", "upscale"),
        ("codecvsr upscale --stre", "--strength"),
        ("codecvsr upscale --quality f", "fast"),
        ("codecvsr models l", "list"),
    ],
)
def test_words_are_completed_without_torch(words, expected):
    environment = {**os.environ, "_CODECVSR_COMPLETE": "bash_complete", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split()) - 1)
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment)
    *found, code = done.stdout.splitlines()
    assert f"plain,{expected}" in found and "torch" not in code.split()


@pytest.mark.parametrize(
    "arguments",
    [
        "upscale missing.mp4 -o x.mp4",
        "infer --clip-root missing.mp4 --out-dir x",
        "inspect missing.mp4",
        "eval --sr-dir missing.mp4 --gt-dir x",
        "benchmark --crf 25 --hr-root missing.mp4 --out-root x",
        "compare --models codecvsr --gt-root missing.mp4 --clip-root missing.mp4",
        "train --config missing.mp4",
    ],
)
def test_a_missing_input_is_reported_before_torch_is_imported(arguments):
    code, loaded, messages = run(*arguments.split())
    assert code == 1 and messages == "error: missing.mp4: no such file or folder.\n"
    assert "torch" not in loaded and "cv2" not in loaded


@pytest.mark.parametrize(
    "arguments",
    [
        "upscale {here} -o x.mp4 -m codecvsr-fst",
        "infer --clip-root {here} --out-dir x -m codecvsr-fst",
        "compare --clip-root {here} --gt-root {here} --models codecvsr,codecvsr-fst",
    ],
)
def test_a_misspelt_model_is_refused_before_torch_is_imported(arguments, tmp_path):
    code, loaded, messages = run(*arguments.format(here=tmp_path).split())
    assert code == 1 and messages.endswith("Did you mean 'codecvsr-fast'?\n")
    assert "torch" not in loaded


@pytest.mark.parametrize("model", ["bicubic", "lanczos"])
def test_a_dry_run_of_an_interpolation_imports_no_torch(model, tmp_path):
    source = make_video(tmp_path / "clip.mp4", 5, extras=False)
    code, loaded, messages = run("upscale", str(source), "--dry-run", "-m", model)
    assert (code, messages) == (0, "") and "torch" not in loaded


def test_closed_stdout_is_no_error():
    command = f"{shlex.quote(sys.executable)} -m codecvsr train --config missing >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: missing: no such file or folder.\n")


def test_file_names_of_any_bytes_are_printed():
    code = r"from codecvsr.cli import output; import click; output.begin(); click.echo('a\udcff.mp4')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"a\xff.mp4\n"
