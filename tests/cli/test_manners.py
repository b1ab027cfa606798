"""The command line helps those who mistype: help, suggestions, plain words."""

from __future__ import annotations

import json

import pytest
import shell_files
from click.testing import CliRunner

from codecvsr.cli import cli


def run(*arguments: str):
    return CliRunner().invoke(cli, arguments)


def test_bare_codecvsr_and_help_show_the_commands_upscale_first():
    bare, asked = run(), run("help")
    assert (bare.exit_code, asked.exit_code) == (2, 0)
    assert "error" not in bare.stderr
    for text in (bare.stderr, asked.stdout):
        names = [line.split()[0] for line in text.split("Commands:\n")[1].splitlines() if line[2:3].strip()]
        assert names[0] == "upscale" and {"compare", "doctor", "help"} <= set(names)


@pytest.mark.parametrize(
    ("names", "usage"),
    [(["upscale"], "Usage: codecvsr upscale"), (["models", "list"], "Usage: codecvsr models list")],
)
def test_help_of_a_command_is_its_help(names, usage):
    asked = CliRunner().invoke(cli, ["help", *names], prog_name="codecvsr")
    assert asked.exit_code == 0 and asked.stdout.startswith(usage)
    assert asked.stdout == CliRunner().invoke(cli, [*names, "--help"], prog_name="codecvsr").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["upscael"], "no such command: upscael; did you mean upscale?"),
        (["help", "compar"], "no such command: compar; did you mean compare?"),
        (["models", "lst"], "no such command: lst; did you mean list?"),
        (["qqq"], "no such command: qqq."),
        (["help", "upscale", "x"], "upscale has no commands of its own."),
        (["upscale", "x", "--scale", "5"], "--scale: 5 is out of range; a whole number from 1 to 4 was expected."),
        (["upscale", "x", "--crf", "60"], "--crf: 60.0 is out of range; a number from 0 to 51 was expected."),
        (["upscale", "x", "--scale", "two"], "--scale: 'two' is no number; a whole number from 1 to 4 was expected."),
        (["upscale", "x", "--crf", "high"], "--crf: 'high' is no number; a number from 0 to 51 was expected."),
        (["upscale", "x", "--crf", "nan"], "--crf: nan is no such number; a number from 0 to 51 was expected."),
        (["upscale", "x", "--max-spool", "inf"], "--max-spool: inf is no such number; a number of at least 0.001"),
        (
            ["eval", "--sr-dir", "x", "--gt-dir", "x", "--min-psnr", "nan"],
            "--min-psnr: nan is no such number; a number",
        ),
        (["upscale", "x", "--quality", "fast", "-m", "bicubic"], "--quality and --model exclude each other"),
        (["upscale", "x", "--width", "0"], "--width: 0 is out of range; a whole number of at least 1 was expected."),
        (
            ["upscale", "x", "--width", "9", "--scale", "2"],
            "--scale and --width exclude each other; choose one of them.",
        ),
    ],
)
def test_wrong_use_in_plain_words(words, message):
    done = run(*words)
    assert done.exit_code == 2 and message in done.stderr


def test_a_video_in_place_of_a_command(tmp_path):
    (tmp_path / "a.mp4").touch()
    assert f"upscale {tmp_path / 'a.mp4'}'?" in run(str(tmp_path / "a.mp4")).stderr


def test_models_list_fits_a_screen():
    short, everything = run("models", "list"), run("models", "list", "--all")
    lines = short.stdout.splitlines()
    assert short.exit_code == 0 and len(lines) < 24 and all(len(line) <= 80 for line in lines)
    assert lines[1].startswith("codecvsr ") and "bicubic" in short.stdout and "edvr" not in short.stdout
    assert "codecvsr models list --all" in lines[-1]
    assert "edvr-m-reds" in everything.stdout and "networks, for NAME:random" in everything.stdout
    assert {row["name"] for row in json.loads(run("models", "list", "--json").stdout)["models"]} >= {"edvr-m-reds"}


def test_the_man_page_and_the_completions_are_those_of_the_commands():
    files = shell_files.files()
    assert set(files) == {shell_files.MAN, *shell_files.COMPLETIONS.values()}
    for name, text in files.items():
        assert (shell_files.ROOT / name).read_text(encoding="utf-8") == text, "run python scripts/cli_reference.py"
    page = files[shell_files.MAN]
    assert page.startswith(".TH CODECVSR 1") and "\n.SH CODECVSR UPSCALE\n" in page
    assert ".B \\-\\-strength X\n" in page and "default: 1.0" in page
    assert not any(line.startswith(("'", ". ")) for line in page.splitlines())
    assert "_CODECVSR_COMPLETE=bash_complete" in files[shell_files.COMPLETIONS["bash"]]
