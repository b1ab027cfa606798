"""Spelling, environment, output, errors and exit codes, which all commands share."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from codecvsr.cli import COMMANDS, cli, common, options, output
from codecvsr.errors import InputError, QualityGateError

ROOT = Path(__file__).resolve().parents[2]


@click.command("probe", cls=common.CodecVSRCommand)
@click.option("--hr-root", default="none", help="A value.")
@click.option("--two-words/--no-two-words", "flag", default=False, help="A flag.")
@click.option("--fail", default="", help="What to raise.")
@options.device_option
@options.precision_option
@options.overwrite_option
@options.json_option
def probe(hr_root: str, flag: bool, fail: str, device: str, precision: str, overwrite: bool, as_json: bool):
    """Print what came in, or fail as asked for."""
    failures = {
        "input": InputError("clip.mp4: is empty; a video was expected."),
        "gate": QualityGateError("PSNR is 1 dB; 2 dB was asked for."),
        "interrupt": KeyboardInterrupt(),
        "bug": RuntimeError("an unforeseen thing"),
        "disk": OSError(28, "whatever the system calls it", "out.png"),
        "package": ModuleNotFoundError("No module named 'lpips'", name="lpips"),
    }
    if fail == "part":
        return common.ExitCode.PARTIAL
    if fail:
        raise failures[fail]
    output.info("a log line")
    output.detail("a detail")
    output.warn("a warning")
    list(output.track(range(3), "counting"))
    output.print_json(
        {"hr_root": hr_root, "flag": flag, "device": device, "precision": precision, "json": as_json, "y": overwrite}
    )


@click.group(cls=common.CodecVSRGroup, context_settings={"auto_envvar_prefix": "CODECVSR"})
def group():
    """Has the probe."""


group.add_command(probe)


def run(*args: str, **env: str):
    return CliRunner().invoke(group, ["probe", *args], env=env)


def test_underscores_spell_options_but_not_values():
    result = run("--hr_root", "a_b/c_d", "--two_words", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        "hr_root": "a_b/c_d", "flag": True, "device": "auto", "precision": "auto", "json": True, "y": False,
    }  # fmt: skip
    assert json.loads(run("--hr_root=a_b", "--no_two_words").stdout)["hr_root"] == "a_b"
    assert json.loads(CliRunner().invoke(probe, ["--hr_root", "x"]).stdout)["hr_root"] == "x"


def test_environment_sets_any_option_and_the_command_line_wins():
    out = json.loads(run(CODECVSR_PROBE_HR_ROOT="env", CODECVSR_PROBE_JSON="1", CODECVSR_PROBE_TWO_WORDS="true").stdout)
    assert (out["hr_root"], out["json"], out["flag"]) == ("env", True, True)
    assert json.loads(run("--hr-root", "cli", CODECVSR_PROBE_HR_ROOT="env").stdout)["hr_root"] == "cli"


def test_device_and_precision_have_variables_for_all_commands():
    out = json.loads(run(CODECVSR_DEVICE="cuda:1", CODECVSR_PRECISION="bf16").stdout)
    assert (out["device"], out["precision"]) == ("cuda:1", "bf16")
    assert json.loads(run(CODECVSR_DEVICE="cuda", CODECVSR_PROBE_DEVICE="cpu").stdout)["device"] == "cpu"
    assert json.loads(run(CODECVSR_HR_ROOT="no", CODECVSR_OVERWRITE="1").stdout)["hr_root"] == "none"


def test_no_variable_asks_for_help_or_the_version():
    assert json.loads(run(CODECVSR_HELP="1", CODECVSR_PROBE_HELP="1").stdout)["flag"] is False
    result = CliRunner().invoke(cli, ["doctor", "--json"], env={"CODECVSR_VERSION": "9.9"})
    assert "backend" in json.loads(result.stdout)


@pytest.mark.parametrize("args", [("-d", "gpu"), ("-d", "cuda:"), ("--precision", "int8"), ("--nonsense",)])
def test_wrong_use_exits_2_with_one_line(args):
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "probe --help" in result.stderr


@pytest.mark.parametrize(
    ("fail", "code", "text"),
    [
        ("input", 1, "error: clip.mp4: is empty; a video was expected.\n"),
        ("gate", 4, "error: PSNR is 1 dB; 2 dB was asked for.\n"),
        ("part", 3, ""),
        ("disk", 1, "error: out.png: no space left on the disk.\n"),
        ("package", 1, "error: the Python package 'lpips' is not installed; install it with pip and run again.\n"),
    ],
)
def test_errors_are_a_sentence_and_a_code(fail, code, text):
    result = run("--fail", fail)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", text)


def test_a_bug_is_a_sentence_too_and_a_traceback_only_with_debug():
    plain, debug = run("--fail", "bug"), run("--fail", "bug", "--debug")
    assert plain.exit_code == debug.exit_code == 1
    assert "RuntimeError: an unforeseen thing" in plain.stderr and "--debug" in plain.stderr
    assert "Traceback" not in plain.stderr and plain.stderr.count("\n") == 1
    assert "Traceback" in debug.stderr
    assert "Traceback" in run("--fail", "input", CODECVSR_DEBUG="1").stderr
    assert "Traceback" not in run("--fail", "input").stderr, "--debug of an earlier run must not stay"


def test_interruption_exits_130():
    result = run("--fail", "interrupt")
    assert result.exit_code == 130
    assert result.stderr.strip() == "error: interrupted."


def test_logs_go_to_stderr_as_much_as_asked_for():
    plain, verbose, quiet = run(), run("-v"), run("-q")
    assert "a log line" in plain.stderr and "warning: a warning" in plain.stderr and "counting: 3/3" in plain.stderr
    assert "a detail" not in plain.stderr and "a detail" in verbose.stderr
    assert quiet.stderr == "warning: a warning\n"
    assert plain.stdout == verbose.stdout == quiet.stdout
    assert "\x1b" not in plain.stderr


def test_library_logs_appear_like_our_own(capsys):
    import logging

    output.begin()
    logging.getLogger("codecvsr.models").warning("from the %s", "library")
    logging.getLogger("codecvsr.models").debug("too much")
    assert capsys.readouterr().err == "warning: from the library\n"


def test_track_says_where_it_is_on_plain_stderr(capsys, monkeypatch):
    output.begin()
    monkeypatch.setattr(output, "PLAIN_SECONDS", 0.0)
    assert list(output.track((letter for letter in "abc"), "reading")) == ["a", "b", "c"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == ["reading: 1", "reading: 2", "reading: 3"] and lines[3].startswith("reading: 3 in ")
    assert list(output.track("abc", "reading")) == ["a", "b", "c"]
    assert capsys.readouterr().err.splitlines()[0] == "reading: 1/3"


def test_a_terminal_gets_colour_unless_no_color(monkeypatch):
    import io

    for no_color, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setenv("TERM", "xterm-256color")
        output.begin()
        terminal = io.StringIO()
        monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys, "stderr", terminal)
        output.warn("attention")
        assert ("\x1b[" in terminal.getvalue() and "33m" in terminal.getvalue()) is coloured
    output.begin()


def test_print_json_writes_what_json_cannot_say(capsys):
    @dataclass
    class Score:
        psnr: float
        path: Path

    output.print_json(
        {
            "inf": math.inf, "minus": -math.inf, "nan": math.nan, "numpy": np.float32(0.5), "count": np.int64(3),
            "array": np.array([1.0, math.inf]), "tuple": (1, 2), "score": Score(math.inf, Path("a/b")), 4: None,
        }
    )  # fmt: skip
    assert json.loads(capsys.readouterr().out) == {
        "inf": "inf", "minus": "-inf", "nan": None, "numpy": 0.5, "count": 3,
        "array": [1.0, "inf"], "tuple": [1, 2], "score": {"psnr": "inf", "path": "a/b"}, "4": None,
    }  # fmt: skip


def process(*args: str):
    return subprocess.run([sys.executable, *args], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_help_and_version_are_quick_and_import_no_torch():
    code = (
        "import sys; from codecvsr.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print('heavy:', sorted({'torch', 'cv2', 'av', 'rich', 'numpy'} & set(sys.modules)))"
    )
    done = process("-c", code)
    assert done.returncode == 0, done.stderr
    assert "heavy: []" in done.stdout
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    version = process("-m", "codecvsr", "--version")
    assert version.returncode == 0 and version.stdout.startswith("codecvsr ") and version.stderr == ""


def test_unknown_command_is_wrong_use():
    done = process("-m", "codecvsr", "enhance")
    assert done.returncode == 2 and done.stdout == "" and "enhance" in done.stderr and "--help" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break differently there")
def test_a_reader_that_leaves_gets_no_traceback():
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "codecvsr", "doctor", "--json"],
            cwd=ROOT, stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        )  # fmt: skip
    finally:
        os.close(write_end)
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send there")
def test_a_real_ctrl_c_exits_130(tmp_path):
    import signal

    code = (
        "import sys, time, click; from codecvsr.cli.common import CodecVSRCommand; from codecvsr.cli.output import info\n"
        "@click.command(cls=CodecVSRCommand)\n"
        "def wait():\n    info('ready'); time.sleep(60)\n"
        "wait()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None and child.stderr.readline() == "ready\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 130 and errors.strip() == "error: interrupted."


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command under ``command``, groups included."""
    found = [(path, command)]
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            found += leaves(child, (*path, name))
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name):
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert COMMANDS[name].endswith(".")
    for path, each in leaves(command, (name,)):
        assert each.help and len(each.help) > 20, f"{' '.join(path)} has no help text"
        assert isinstance(each, common.CodecVSRCommand | common.CodecVSRGroup), f"{path}: not one of our classes"
        for parameter in each.params:
            if isinstance(parameter, click.Option):
                assert parameter.help and len(parameter.help) > 8, f"{' '.join(path)} {parameter.opts}: no help text"
                long = [option for option in parameter.opts if option.startswith("--")]
                assert long and all("_" not in option for option in long), f"{path} {parameter.opts}: --kebab-case"
        assert CliRunner().invoke(each, ["--help"]).exit_code == 0
